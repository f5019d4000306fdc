#include "score/similarity.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>
#include <vector>

namespace longspan {
namespace {

using Places = std::unordered_map<char32_t, std::vector<size_t>>;

struct Range {
  size_t a_begin, a_end, b_begin, b_end;
};
struct Block {
  size_t a, b, size;
};

/// The longest block of characters that `places` knows, earliest in a, then in b; then grown on both sides by
/// whatever is equal. `ending[j + 1]`, all 0 before and after: size of the block that ends in b[j].
Block longest_block(std::u32string_view a, std::u32string_view b, const Range& range, const Places& places,
                    std::vector<size_t>& ending) {
  Block best{range.a_begin, range.b_begin, 0};
  const std::vector<size_t>* before = nullptr;
  auto clear = [&](const std::vector<size_t>* at) {
    if (at)
      for (size_t j : *at) ending[j + 1] = 0;
  };
  for (size_t i = range.a_begin; i < range.a_end; ++i) {
    auto found = places.find(a[i]);
    const std::vector<size_t>* now = found == places.end() ? nullptr : &found->second;
    std::vector<size_t> sizes;  // taken before the old ones are cleared: the same places may be in both rows
    if (now) {
      sizes.reserve(now->size());
      for (size_t j : *now) {
        bool inside = j >= range.b_begin && j < range.b_end;
        sizes.push_back(inside ? ending[j] + 1 : 0);
        if (sizes.back() > best.size) best = {i + 1 - sizes.back(), j + 1 - sizes.back(), sizes.back()};
      }
    }
    clear(before);
    if (now)
      for (size_t k = 0; k < sizes.size(); ++k) ending[(*now)[k] + 1] = sizes[k];
    before = now;
  }
  clear(before);
  while (best.a > range.a_begin && best.b > range.b_begin && a[best.a - 1] == b[best.b - 1])
    --best.a, --best.b, ++best.size;
  while (best.a + best.size < range.a_end && best.b + best.size < range.b_end &&
         a[best.a + best.size] == b[best.b + best.size])
    ++best.size;
  return best;
}

}  // namespace

double difflib_ratio(std::u32string_view a, std::u32string_view b, bool autojunk) {
  if (a.empty() && b.empty()) return 1;
  Places places;
  for (size_t j = 0; j < b.size(); ++j) places[b[j]].push_back(j);
  if (autojunk && b.size() >= 200)
    std::erase_if(places, [&](const auto& entry) { return entry.second.size() > b.size() / 100 + 1; });
  size_t matched = 0;
  std::vector<size_t> ending(b.size() + 1, 0);
  std::vector<Range> open = {{0, a.size(), 0, b.size()}};
  while (!open.empty()) {
    Range range = open.back();
    open.pop_back();
    Block block = longest_block(a, b, range, places, ending);
    if (block.size == 0) continue;
    matched += block.size;
    if (range.a_begin < block.a && range.b_begin < block.b)
      open.push_back({range.a_begin, block.a, range.b_begin, block.b});
    if (block.a + block.size < range.a_end && block.b + block.size < range.b_end)
      open.push_back({block.a + block.size, range.a_end, block.b + block.size, range.b_end});
  }
  return 2.0 * double(matched) / double(a.size() + b.size());
}

double indel_ratio(std::u32string_view a, std::u32string_view b) {
  if (a.empty() && b.empty()) return 1;
  return 2.0 * double(common_subsequence(a, b)) / double(a.size() + b.size());
}

int fuzz_percent(std::u32string_view a, std::u32string_view b, double ratio) {
  if (a == b) return 100;
  if (a.empty() || b.empty()) return 0;
  return static_cast<int>(std::nearbyint(100 * ratio));
}

int64_t levenshtein_distance(std::u32string_view a, std::u32string_view b) {
  std::vector<int64_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    int64_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      int64_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] != b[j])});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace longspan
