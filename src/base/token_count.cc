#include "base/token_count.h"

#include <charconv>

namespace longspan {

std::optional<int64_t> parse_token_count(std::string_view text) {
  constexpr int64_t kMost = int64_t{1} << 62;
  int64_t unit = 1;
  if (text.ends_with('k') || text.ends_with('K')) unit = int64_t{1} << 10;
  if (text.ends_with('m') || text.ends_with('M')) unit = int64_t{1} << 20;
  if (unit > 1) text.remove_suffix(1);
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  int64_t count = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count > kMost / unit) return std::nullopt;
  return count * unit;
}

}  // namespace longspan
