// The digest of a model: of every byte of its weights, config and adapter. Two models under the same name or
// path never have the same.
#pragma once

#include <filesystem>
#include <string>

#include "generate/engine.h"

namespace longspan {

/// 32 hexadecimal digits (XXH3, 128 bits). Digests of files are remembered in the file `known` under their
/// stamps (base/file.h), so that large weights are digested once; it is made and rewritten as needed, and
/// whatever is wrong with it costs time only.
std::string model_digest(const Engine& engine, const std::filesystem::path& known);

}  // namespace longspan
