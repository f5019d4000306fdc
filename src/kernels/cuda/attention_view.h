// AttentionShape, zones and pages as kernels read them, and the rules of what a query sees, written once for
// all of them. Row counts, pasts and page tables are read from device memory: the host does not know them.
// Device code: for .cu files only.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cuda/warp.cuh"
#include "kernels/kernels.h"

namespace longspan {

/// Sequences of at most this many rows are computed by attention_decode.cu.
constexpr int kDecodeRows = 8;

/// KvPages.
struct PagesView {
  std::byte* memory = nullptr;
  int64_t stride = 0;  // bytes from page to page
  const int32_t* table = nullptr;
  int64_t table_stride = 0;  // entries from sequence to sequence
  DType dtype = DType::F32;
  int head_dim = 0;
};

inline PagesView view_of(const KvPages& pages) {
  return {.memory = pages.memory,
          .stride = pages.stride,
          .table = static_cast<const int32_t*>(pages.table.data),
          .table_stride = pages.table.row_stride / static_cast<int64_t>(sizeof(int32_t)),
          .dtype = pages.dtype,
          .head_dim = static_cast<int>(pages.head_dim)};
}

/// Rows of F32 or BF16, `stride` elements apart.
struct RowsView {
  void* data = nullptr;
  int64_t stride = 0;
  bool bf16 = false;

  __device__ float load(int64_t row, int64_t i) const {
    return bf16 ? __bfloat162float(static_cast<const __nv_bfloat16*>(data)[row * stride + i])
                : static_cast<const float*>(data)[row * stride + i];
  }
  __device__ void store(int64_t row, int64_t i, float x) const {
    if (bf16)
      static_cast<__nv_bfloat16*>(data)[row * stride + i] = __float2bfloat16_rn(x);
    else
      static_cast<float*>(data)[row * stride + i] = x;
  }
};

inline RowsView view_of(const Tensor& x) {
  bool bf16 = x.dtype == DType::BF16;
  assert(!x || bf16 || x.dtype == DType::F32);
  return {x.data, x.row_stride / (bf16 ? 2 : 4), bf16};
}

/// A zone holds the distances from <= r < until.
struct ZoneView {
  float from = 0, until = 0;
  const float* q = nullptr;
  int64_t q_stride = 0;  // floats from row to row
  PagesView keys;
};

/// Everything that kernels read.
struct AttentionView {
  int heads = 0, kv_heads = 0, group = 0, head_dim = 0;
  float scale = 1, soft_cap = 0;
  float window = 0;  // 0: none
  float chunk = 0;   // 0: zones count tokens
  bool causal = true;
  const int32_t *rows = nullptr, *past = nullptr;  // of the sequences
  const float* positions = nullptr;
  const int32_t* starts = nullptr;
  const float *slopes = nullptr, *decay = nullptr;
  int zones = 1;
  ZoneView zone[kMaxAttentionZones];
  PagesView values;
};

inline AttentionView view_of(std::span<const AttentionZone> zones, const KvPages& values,
                             const AttentionShape& s) {
  assert(s.heads % s.kv_heads == 0 && !zones.empty() && std::ssize(zones) <= kMaxAttentionZones);
  AttentionView v{.heads = static_cast<int>(s.heads),
                  .kv_heads = static_cast<int>(s.kv_heads),
                  .group = static_cast<int>(s.heads / s.kv_heads),
                  .head_dim = static_cast<int>(s.head_dim),
                  .scale = s.scale,
                  .soft_cap = s.soft_cap,
                  .window = static_cast<float>(s.window),
                  .chunk = static_cast<float>(s.chunk),
                  .causal = s.causal,
                  .rows = static_cast<const int32_t*>(s.sequences.rows.data),
                  .past = static_cast<const int32_t*>(s.sequences.past.data),
                  .positions = static_cast<const float*>(s.positions.data),
                  .starts = static_cast<const int32_t*>(s.starts.data),
                  .slopes = static_cast<const float*>(s.slopes.data),
                  .decay = static_cast<const float*>(s.decay.data),
                  .zones = static_cast<int>(zones.size()),
                  .values = view_of(values)};
  for (size_t z = 0; z < zones.size(); ++z)
    v.zone[z] = {.from = z == 0 ? -INFINITY : static_cast<float>(zones[z].from),
                 .until = z + 1 == zones.size() ? INFINITY : static_cast<float>(zones[z + 1].from),
                 .q = static_cast<const float*>(zones[z].q.data),
                 .q_stride = zones[z].q.row_stride / static_cast<int64_t>(sizeof(float)),
                 .keys = view_of(zones[z].keys)};
  return v;
}

/// One sequence of the batch.
struct SequenceView {
  int index;
  int64_t first;         // row of the batch
  int rows, past, keys;  // keys = past + rows, at least 0
};

__device__ inline SequenceView sequence_of(const AttentionView& v, int index) {
  int first = v.rows[index], rows = v.rows[index + 1] - first, past = v.past[index];
  return {index, first, rows, past, max(past + rows, 0)};
}

/// Token n of one head: `head_dim` elements.
__device__ inline std::byte* key_address(const PagesView& pages, int sequence, int head, int n) {
  int64_t page = pages.table[sequence * pages.table_stride + n / kPageTokens];
  int64_t at = (static_cast<int64_t>(head) * kPageTokens + n % kPageTokens) * pages.head_dim;
  return pages.memory + page * pages.stride + at * (pages.dtype == DType::F32 ? 4 : 2);
}

__device__ inline float load_element(const std::byte* row, DType dtype, int i) {
  if (dtype == DType::F32) return reinterpret_cast<const float*>(row)[i];
  if (dtype == DType::F16) return __half2float(reinterpret_cast<const __half*>(row)[i]);
  return __bfloat162float(reinterpret_cast<const __nv_bfloat16*>(row)[i]);
}

/// A query's or key's position, and what zones count of it. In double, distances of F32 positions are exact;
/// in float, those of whole numbers below 2^24.
template <class Real>
struct Place {
  Real at, coarse;
};

template <class Real>
__device__ Place<Real> place_of(const AttentionView& v, int index) {
  Real at = static_cast<Real>(index);
  if (v.positions) at = index >= 0 ? static_cast<Real>(v.positions[index]) : Real(0);
  return {at, v.chunk == 0 ? at : floor(at / static_cast<Real>(v.chunk))};
}

/// A query: the keys that it sees have indices first .. last and distances below the window.
template <class Real>
struct Query {
  Place<Real> place;
  int first, last;
};

template <class Real>
__device__ Query<Real> query_of(const AttentionView& v, const SequenceView& s, int row) {
  int at = s.past + row;
  return {place_of<Real>(v, at), v.starts ? v.starts[row] : 0, v.causal ? min(at, s.keys - 1) : s.keys - 1};
}

template <class Real>
__device__ bool sees(const AttentionView& v, const Query<Real>& q, int n, const Place<Real>& key) {
  return n >= q.first && n <= q.last && (v.window == 0 || q.place.at - key.at < static_cast<Real>(v.window));
}

template <class Real>
__device__ bool in_zone(const ZoneView& zone, const Place<Real>& q, const Place<Real>& key) {
  Real r = q.coarse - key.coarse;
  return r >= static_cast<Real>(zone.from) && r < static_cast<Real>(zone.until);
}

/// The first key that one of the rows from `row` on may see; a multiple of `multiple` (at least 0).
__device__ inline int first_key(const AttentionView& v, const SequenceView& s, int row, int multiple) {
  int first = v.starts ? v.starts[row] : 0;
  if (v.window > 0 && !v.positions) {
    float from = static_cast<float>(s.past + row) - v.window + 1;
    if (from > static_cast<float>(first)) first = static_cast<int>(from);
  }
  return max(first, 0) / multiple * multiple;
}

/// One past the last key that rows up to `row` may see.
__device__ inline int end_key(const AttentionView& v, const SequenceView& s, int row) {
  return v.causal ? max(min(s.past + row + 1, s.keys), 0) : s.keys;
}

/// Whether rows first .. last and keys n0 .. n1 - 1 may have pairs in the zone; true where it takes positions
/// to know.
__device__ inline bool may_meet(const AttentionView& v, const SequenceView& s, int zone, int first, int last,
                                int n0, int n1) {
  if (v.zones == 1) return true;
  if (v.positions) return true;
  Place<float> near = place_of<float>(v, s.past + first), far = place_of<float>(v, s.past + last);
  float least = near.coarse - place_of<float>(v, n1 - 1).coarse;
  float most = far.coarse - place_of<float>(v, n0).coarse;
  return most >= v.zone[zone].from && least < v.zone[zone].until;
}

}  // namespace longspan
