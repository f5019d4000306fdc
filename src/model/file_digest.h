// Digests of bytes (XXH3, 128 bits, 32 hexadecimal digits): what models, adapters and embedders are known by.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace longspan {

/// Of the digests of its blocks, which all threads compute: for weights.
std::string file_digest(std::span<const std::byte> bytes);
std::string text_digest(std::string_view text);

}  // namespace longspan
