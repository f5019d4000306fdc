// Kernels::attention_weights for x86-64, the same for every instruction set: the keys of one head are laid
// out as columns, so that the products of one query with all its keys are a stream of plain multiply-adds.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "base/threads.h"
#include "kernels/cache_codes.h"
#include "kernels/cpu/attention_keys.h"
#include "kernels/cpu/cpu.h"
#include "kernels/host_attention.h"

namespace longspan {

namespace {

/// What every query of a call shares.
struct Call {
  SequenceAttention s;
  std::vector<RowKeys> seen{};                       // [T]
  int64_t first_page = 0, pages = 0;                 // of the keys that the wanted rows see
  std::vector<float> columns[kMaxAttentionZones]{};  // [pages, D, kPageTokens] of one KV head
  int64_t least_distance = 0, most_distance = 0;     // of those keys, where positions are indices
  std::vector<float> fades{};                        // [D, most - least + 1]: see lay_decay
};

/// One head's keys of some pages as columns, 0 beyond the last key.
void lay_columns(std::vector<float>& out, const Call& call, const KvPages& keys, int64_t head) {
  int64_t d = keys.head_dim;
  std::vector<void*> addresses = page_addresses(keys, 0, call.s.keys());
  out.assign(static_cast<size_t>(call.pages * d * kPageTokens), 0.0f);
  parallel_for(call.pages, [&](int64_t i) {
    int64_t page = call.first_page + i;
    const auto* rows = static_cast<const std::byte*>(addresses[static_cast<size_t>(page)]) +
                       head * dtype_bytes(keys.dtype, kPageTokens * d);
    std::vector<float> key(static_cast<size_t>(d));
    float* columns = out.data() + i * d * kPageTokens;
    for (int64_t n = 0; n < std::min(kPageTokens, call.s.keys() - page * kPageTokens); ++n) {
      if (is_quantised(keys.dtype))
        load_codes(key.data(), rows, keys.dtype, d, n);
      else
        dequantise(key.data(), rows + n * dtype_bytes(keys.dtype, d), keys.dtype, d);
      for (int64_t j = 0; j < d; ++j) columns[j * kPageTokens + n] = key[static_cast<size_t>(j)];
    }
  });
}

/// exp(decay[i] r) of the distances r between tokens of a sequence, from the largest to the smallest: the
/// order of keys. Made step by step from r = 0, in double.
void lay_decay(Call& call) {
  int64_t width = call.most_distance - call.least_distance + 1;
  call.fades.assign(call.s.decay.size() * static_cast<size_t>(width), 0.0f);
  parallel_for(std::ssize(call.s.decay), [&](int64_t i) {
    double step = std::exp(static_cast<double>(call.s.decay[static_cast<size_t>(i)])), fade = 1;
    float* at_zero = call.fades.data() + i * width + call.most_distance;
    for (int64_t r = 0; r <= call.most_distance && fade > 1e-50; ++r, fade *= step)
      if (r >= call.least_distance) at_zero[-r] = static_cast<float>(fade);
    fade = 1 / step;
    for (int64_t r = -1; r >= call.least_distance; --r, fade /= step)
      if (r <= call.most_distance) at_zero[-r] = static_cast<float>(fade);
  });
}

double distance(const SequenceAttention& s, int64_t t, int64_t n) {
  int64_t m = s.past + t;
  if (s.positions.empty()) return static_cast<double>(m - n);
  return static_cast<double>(s.positions[static_cast<size_t>(m)]) - s.positions[static_cast<size_t>(n)];
}

/// The factors of decay of product i of q.k for query t and keys from .. to - 1 of one page, perhaps written
/// to `some`.
const float* fades_of(const Call& call, int64_t t, int64_t i, int64_t from, int64_t to, float* some) {
  if (!call.fades.empty()) {
    int64_t width = call.most_distance - call.least_distance + 1;
    return call.fades.data() + i * width + call.most_distance - (call.s.past + t - from);
  }
  double rate = call.s.decay[static_cast<size_t>(i)];
  for (int64_t n = from; n < to; ++n)
    some[n - from] = static_cast<float>(std::exp(rate * distance(call.s, t, n)));
  return some;
}

/// y[j] += x key[j] for `count` keys of one page, product by product of q.k.
void add_plain(float* y, const float* x, const float* key, int64_t count, int64_t d) {
  int64_t i = 0;
  for (; i + 4 <= d; i += 4, key += 4 * kPageTokens) {
    float a = x[i], b = x[i + 1], c = x[i + 2], e = x[i + 3];
#pragma omp simd
    for (int64_t j = 0; j < count; ++j)
      y[j] = y[j] + a * key[j] + b * key[j + kPageTokens] + c * key[j + 2 * kPageTokens] +
             e * key[j + 3 * kPageTokens];
  }
  for (; i < d; ++i, key += kPageTokens) {
#pragma omp simd
    for (int64_t j = 0; j < count; ++j) y[j] += x[i] * key[j];
  }
}

/// out[n] += x.k[n] of the keys [begin, end), which are of one zone; x is the scaled query t.
void add_products(float* out, const Call& call, const std::vector<float>& columns, const float* x, int64_t t,
                  int64_t begin, int64_t end) {
  int64_t d = call.s.head_dim;
  for (int64_t page = begin / kPageTokens; page * kPageTokens < end; ++page) {
    int64_t from = std::max(begin, page * kPageTokens);
    int64_t count = std::min(end, (page + 1) * kPageTokens) - from;
    float *y = out + from, some[kPageTokens];
    const float* key = columns.data() + (page - call.first_page) * d * kPageTokens + from % kPageTokens;
    if (call.s.decay.empty()) {
      add_plain(y, x, key, count, d);
      continue;
    }
    for (int64_t i = 0; i < d; ++i, key += kPageTokens) {
      const float* fade = fades_of(call, t, i, from, from + count, some);
#pragma omp simd
      for (int64_t j = 0; j < count; ++j) y[j] += x[i] * key[j] * fade[j];
    }
  }
}

void softmax(float* x, int64_t n) {
  float largest = *std::max_element(x, x + n);
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += x[i] = std::exp(x[i] - largest);
  auto share = static_cast<float>(1 / total);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) x[i] *= share;
}

/// The row of query t at one head, which is 0 so far.
void weigh(float* row, const Call& call, std::span<const AttentionZone> zones, int64_t t, int64_t head) {
  const int64_t* edge = call.seen[static_cast<size_t>(t)].edge;
  int64_t begin = edge[0], end = edge[kMaxAttentionZones];
  if (begin >= end) return;
  std::vector<float> x(static_cast<size_t>(call.s.head_dim));
  for (size_t range = 0; range < zones.size(); ++range) {
    size_t z = zones.size() - 1 - range;
    const float* q = zones[z].q.row(call.s.first + t) + head * call.s.head_dim;
    for (size_t i = 0; i < x.size(); ++i) x[i] = q[i] * call.s.scale;
    add_products(row, call, call.columns[z], x.data(), t, edge[range], edge[range + 1]);
  }
  if (float cap = call.s.soft_cap; cap > 0)
    for (int64_t n = begin; n < end; ++n) row[n] = cap * std::tanh(row[n] / cap);
  if (!call.s.slopes.empty())
    for (int64_t n = begin; n < end; ++n)
      row[n] -= call.s.slopes[static_cast<size_t>(head)] * static_cast<float>(distance(call.s, t, n));
  softmax(row + begin, end - begin);
}

/// Which pages and distances the wanted rows need.
void measure(Call& call, std::span<const int32_t> rows) {
  int64_t first = INT64_MAX, last = 0;
  for (int32_t t : rows) {
    const int64_t* edge = call.seen[static_cast<size_t>(t)].edge;
    int64_t begin = edge[0], end = edge[kMaxAttentionZones], m = call.s.past + t;
    if (begin >= end) continue;
    call.least_distance = first == INT64_MAX ? m - end + 1 : std::min(call.least_distance, m - end + 1);
    call.most_distance = first == INT64_MAX ? m - begin : std::max(call.most_distance, m - begin);
    first = std::min(first, begin);
    last = std::max(last, end);
  }
  if (first >= last) return;
  call.first_page = first / kPageTokens;
  call.pages = (last + kPageTokens - 1) / kPageTokens - call.first_page;
}

}  // namespace

void cpu_attention_weights(Tensor out, std::span<const AttentionZone> zones, const AttentionShape& shape,
                           Tensor rows) {
  assert(shape.sequences.count == 1 && rows.dtype == DType::I32 && out.dtype == DType::F32);
  Call call{.s = sequence_attention(shape, 0)};
  assert(out.cols() >= call.s.keys() && out.rows() == rows.cols() * shape.heads);
  std::span<const int32_t> wanted(rows.row<int32_t>(0), static_cast<size_t>(rows.cols()));
  call.seen = keys_of_rows(call.s, zones);
  measure(call, wanted);
  if (!call.s.decay.empty() && call.s.positions.empty() && call.pages > 0) lay_decay(call);
  int64_t group = shape.heads / shape.kv_heads;
  for (int64_t kv_head = 0; kv_head < shape.kv_heads; ++kv_head) {
    for (size_t z = 0; z < zones.size(); ++z) lay_columns(call.columns[z], call, zones[z].keys, kv_head);
    parallel_for(std::ssize(wanted) * group, [&](int64_t i) {
      int64_t head = kv_head * group + i % group;
      float* row = out.row(i / group * shape.heads + head);
      std::fill_n(row, out.cols(), 0.0f);
      weigh(row, call, zones, wanted[static_cast<size_t>(i / group)], head);
    });
  }
}

}  // namespace longspan
