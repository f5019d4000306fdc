#include "kernels/cpu/attention_keys.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace longspan {

namespace {

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

/// The first of the keys [begin, end) whose distance from the query at index m is below `limit`, counted in
/// tokens (chunk 0) or in chunks; end if there is none. In double, as the specification.
int64_t first_nearer(const SequenceAttention& s, int64_t m, int64_t limit, int64_t chunk, int64_t begin,
                     int64_t end) {
  if (s.positions.empty()) {
    int64_t first = chunk == 0 ? m - limit + 1 : (floor_divide(m, chunk) - limit + 1) * chunk;
    return std::clamp(first, begin, end);
  }
  auto step = [&](int64_t index) {
    double position = s.positions[static_cast<size_t>(index)];
    return chunk == 0 ? position : std::floor(position / static_cast<double>(chunk));
  };
  double at = begin < end ? step(m) : 0;  // a query that sees nothing may have no position
  while (begin < end) {
    int64_t middle = begin + (end - begin) / 2;
    if (at - step(middle) < static_cast<double>(limit))
      end = middle;
    else
      begin = middle + 1;
  }
  return begin;
}

}  // namespace

std::vector<RowKeys> keys_of_rows(const SequenceAttention& s, std::span<const AttentionZone> zones) {
  assert(!zones.empty() && zones.size() <= static_cast<size_t>(kMaxAttentionZones));
  int64_t keys = std::max<int64_t>(s.keys(), 0);
  std::vector<RowKeys> rows(static_cast<size_t>(s.tokens));
  for (int64_t t = 0; t < s.tokens; ++t) {
    int64_t m = s.past + t, begin = s.starts.empty() ? 0 : s.starts[static_cast<size_t>(t)];
    int64_t end = std::max(begin, s.causal ? m + 1 : keys);
    if (s.window > 0) begin = first_nearer(s, m, s.window, 0, begin, end);
    int64_t* edge = rows[static_cast<size_t>(t)].edge;
    *edge++ = begin;
    for (size_t z = zones.size() - 1; z > 0; --z, ++edge)
      *edge = begin = first_nearer(s, m, zones[z].from, s.chunk, begin, end);
    std::fill(edge, rows[static_cast<size_t>(t)].edge + kMaxAttentionZones + 1, end);
  }
  return rows;
}

}  // namespace longspan
