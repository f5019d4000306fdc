// SHA-256 of files, by which `fetch` knows that a model is the one it lists.
#pragma once

#include <filesystem>
#include <string>

namespace longspan::cli {

/// 64 hexadecimal digits in lower case. Error naming the file when it is not a readable regular file.
std::string sha256_of(const std::filesystem::path& file);

}  // namespace longspan::cli
