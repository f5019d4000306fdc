#include "kernels/host_attention.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace longspan {

namespace {

template <class T>
std::span<const T> elements(const Tensor& x) {
  if (!x) return {};
  return {x.row<T>(0), static_cast<size_t>(x.rows() * x.cols())};
}

/// What estimates of cells know nothing of makes attention dense, and so do heads whose rows of a cell are no
/// whole vectors.
bool can_be_sparse(const AttentionShape& s, int64_t past) {
  return s.head_dim % 32 == 0 && s.causal && past >= 0 && s.window == 0 && s.soft_cap == 0 && !s.starts &&
         !s.slopes && !s.decay;
}

}  // namespace

SequenceRows sequence_rows(const Sequences& s, int64_t sequence) {
  assert(sequence < s.count && s.rows.dtype == DType::I32 && s.past.dtype == DType::I32);
  const auto *rows = s.rows.row<int32_t>(0), *past = s.past.row<int32_t>(0);
  return {rows[sequence], rows[sequence + 1] - rows[sequence], past[sequence]};
}

SequenceAttention sequence_attention(const AttentionShape& s, int64_t sequence) {
  assert(s.sequences.count == 1 || (!s.positions && !s.starts));
  assert(s.heads % s.kv_heads == 0);
  assert(!s.starts || s.starts.dtype == DType::I32);
  assert(!s.positions || s.positions.dtype == DType::F32);
  auto [first, tokens, past] = sequence_rows(s.sequences, sequence);
  return {.heads = s.heads,
          .kv_heads = s.kv_heads,
          .head_dim = s.head_dim,
          .first = first,
          .tokens = tokens,
          .past = past,
          .scale = s.scale,
          .soft_cap = s.soft_cap,
          .window = s.window,
          .causal = s.causal,
          .chunk = s.chunk,
          .positions = elements<float>(s.positions),
          .starts = elements<int32_t>(s.starts),
          .slopes = elements<float>(s.slopes),
          .decay = elements<float>(s.decay),
          .sparse = can_be_sparse(s, past) ? s.sparse : 0};
}

void keep_largest(uint8_t* keep, const float* masses, int64_t count, float share) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return masses[a] > masses[b]; });
  double wanted = share * std::accumulate(masses, masses + count, 0.0), sum = 0;
  for (int32_t i : order) {
    if (sum >= wanted) break;
    keep[i] = 1;
    sum += masses[i];
  }
}

std::vector<void*> page_addresses(const KvPages& pages, int64_t sequence, int64_t keys) {
  std::vector<void*> addresses;
  int64_t count = keys > 0 ? (keys + kPageTokens - 1) / kPageTokens : 0;
  addresses.reserve(static_cast<size_t>(count));
  const auto* table = count > 0 ? pages.table.row<int32_t>(sequence) : nullptr;
  assert(count == 0 || count <= pages.table.cols());
  for (int64_t i = 0; i < count; ++i) addresses.push_back(pages.memory + table[i] * pages.stride);
  return addresses;
}

}  // namespace longspan
