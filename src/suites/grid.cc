#include "suites/grid.h"

#include <fmt/core.h>

namespace longspan {

std::vector<int64_t> read_lengths(Settings& row) {
  constexpr int64_t kMost = int64_t{1} << 27;  // texts of a gigabyte are no longer a test but a mistake
  std::vector<int64_t> lengths;
  row.read("lengths", lengths, 1);
  if (lengths.empty()) row.refuse("lengths", "at least one is needed");
  for (int64_t length : lengths)
    if (length > kMost) row.refuse("lengths", fmt::format("{} is too large: at most {}", length, kMost));
  return lengths;
}

std::vector<double> read_depths(Settings& row) {
  std::vector<double> depths;
  int64_t count = 0;
  if (!row.any("depths").is_number_integer()) {
    row.read("depths", depths, 0, 100);
    return depths;
  }
  row.read("depths", count, 1, 1000);
  for (int64_t i = 0; i < count; ++i)
    depths.push_back(count == 1 ? 50 : static_cast<double>(i) * 100 / static_cast<double>(count - 1));
  return depths;
}

void keep_limit(std::vector<Case>& cases, int64_t limit) {
  int64_t n = std::ssize(cases);
  if (limit <= 0 || limit >= n) return;
  std::vector<Case> kept;
  for (int64_t k = 0; k < limit; ++k) kept.push_back(std::move(cases[static_cast<size_t>(k * n / limit)]));
  cases = std::move(kept);
}

uint64_t case_seed(uint64_t seed, std::string_view id) {
  uint64_t hash = 0xcbf29ce484222325 ^ seed;
  for (char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace longspan
