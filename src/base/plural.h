// Counts of things in sentences.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/text.h"

namespace longspan {

/// "1 token", "5,255 tokens"; "1 query", "2 queries".
inline std::string counted(int64_t n, std::string_view noun) {
  std::string out = grouped(n) + " " + std::string(noun);
  if (n == 1) return out;
  if (!noun.ends_with('y')) return out + "s";
  out.pop_back();
  return out + "ies";
}

}  // namespace longspan
