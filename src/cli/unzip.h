// One file out of a zip archive (a wheel is one).
#pragma once

#include <filesystem>
#include <string>

namespace longspan::cli {

/// Writes the archive's `member` to `to`. Error naming the archive when it is none, when it holds no such
/// file, or when writing fails.
void unzip(const std::filesystem::path& archive, const std::string& member, const std::filesystem::path& to);

}  // namespace longspan::cli
