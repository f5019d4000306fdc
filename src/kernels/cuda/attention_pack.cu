#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cassert>

#include "kernels/cuda/attention_pack.h"
#include "kernels/cuda/cache_codes.cuh"
#include "kernels/cuda/device.h"

namespace longspan {

namespace {

/// Every thread moves this many elements at a time.
constexpr int kWide = 8;
constexpr int kThreads = 256;
/// And takes this many of them: all are read before the first is written, so that reads overlap.
constexpr int kEach = 4;

__device__ void load(float (&x)[kWide], const float* from) {
  auto a = reinterpret_cast<const float4*>(from)[0], b = reinterpret_cast<const float4*>(from)[1];
  x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}

template <class Half>
__device__ void load_halves(float (&x)[kWide], const Half* from) {
  uint4 bits = *reinterpret_cast<const uint4*>(from);
  const auto* halves = reinterpret_cast<const Half*>(&bits);
#pragma unroll
  for (int i = 0; i < kWide; ++i) x[i] = static_cast<float>(halves[i]);
}
__device__ void load(float (&x)[kWide], const __nv_bfloat16* from) { load_halves(x, from); }
__device__ void load(float (&x)[kWide], const __half* from) { load_halves(x, from); }

__device__ void store(__nv_bfloat16* to, const float (&x)[kWide]) {
  uint4 bits;
  auto* halves = reinterpret_cast<__nv_bfloat16*>(&bits);
#pragma unroll
  for (int i = 0; i < kWide; ++i) halves[i] = __float2bfloat16(x[i]);
  *reinterpret_cast<uint4*>(to) = bits;
}
__device__ void store(float* to, const float (&x)[kWide]) {
  reinterpret_cast<float4*>(to)[0] = make_float4(x[0], x[1], x[2], x[3]);
  reinterpret_cast<float4*>(to)[1] = make_float4(x[4], x[5], x[6], x[7]);
}

template <class T>
__device__ T* at(T* base, int64_t row, int64_t row_stride) {
  using Byte = std::conditional_t<std::is_const_v<T>, const std::byte, std::byte>;
  return reinterpret_cast<T*>(reinterpret_cast<Byte*>(base) + row * row_stride);
}

/// The source of packed row p, or -1.
__device__ int source(const Segments& s, uint32_t p) {
  uint32_t b = s.count == 1 ? 0 : p / static_cast<uint32_t>(s.length);
  int i = static_cast<int>(p - b * static_cast<uint32_t>(s.length));
  return i < s.rows[b] ? s.first[b] + i : -1;
}

/// A piece of kWide elements, pieces counted through all rows: its row and first column.
struct Piece {
  uint32_t row;
  int col;

  __device__ Piece(uint32_t index, uint32_t per_row)
      : row(index / per_row), col(static_cast<int>(index - row * per_row) * kWide) {}
};
/// Piece j of a thread, j < kEach: neighbouring threads take neighbouring pieces.
__device__ uint32_t piece_index(int j) { return (blockIdx.x * kEach + j) * kThreads + threadIdx.x; }

uint32_t pieces_of(int64_t rows, int64_t cols) {
  int64_t pieces = rows * (cols / kWide);
  assert(cols % kWide == 0 && pieces < (int64_t{1} << 32) - kThreads * kEach);
  return static_cast<uint32_t>(pieces);
}
unsigned blocks_of(uint32_t pieces) { return (pieces + kThreads * kEach - 1) / (kThreads * kEach); }

template <class From>
__global__ void __launch_bounds__(kThreads)
    pack_rows_kernel(__nv_bfloat16* to, const From* from, int64_t row_stride,
                     const __grid_constant__ Segments segments, uint32_t pieces, uint32_t per_row) {
  float x[kEach][kWide] = {};
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    uint32_t index = piece_index(j);
    if (index >= pieces) break;
    Piece piece(index, per_row);
    int t = source(segments, piece.row);
    if (t >= 0) load(x[j], at(from, t, row_stride) + piece.col);
  }
#pragma unroll
  for (int j = 0; j < kEach; ++j)
    if (uint32_t index = piece_index(j); index < pieces)
      store(to + static_cast<int64_t>(index) * kWide, x[j]);
}

/// Stands for the elements of quantised pages.
template <DType kType>
struct Codes {};

/// Elements d .. d + 7 of token `token` (below kPageTokens) of a head of a page.
template <class From>
__device__ void load_token(float (&x)[kWide], std::byte* page, const From*, int head_dim, int head, int token,
                           int d) {
  load(x, reinterpret_cast<const From*>(page) + (head * kPageTokens + token) * head_dim + d);
}
template <DType kType>
__device__ void load_token(float (&x)[kWide], std::byte* page, const Codes<kType>*, int head_dim, int head,
                           int token, int d) {
  load_codes8<kType>(x, codes_of(page, kType, head_dim, head, token), d);
}

/// What gathering reads of a zone's keys (blockIdx.y 0) or of the values (1), and where it writes.
struct PagesSource {
  __nv_bfloat16* to;
  std::byte* memory;
  int64_t page_stride;
  const int32_t* table;
};

/// Calls body with a null pointer of the type of the elements.
template <class Body>
void with_page_type(DType dtype, Body body) {
  switch (dtype) {
    case DType::F32:
      return body(static_cast<const float*>(nullptr));
    case DType::F16:
      return body(static_cast<const __half*>(nullptr));
    case DType::BF16:
      return body(static_cast<const __nv_bfloat16*>(nullptr));
    case DType::Q8_0:
      return body(static_cast<const Codes<DType::Q8_0>*>(nullptr));
    default:
      assert(dtype == DType::Q4_0);
      return body(static_cast<const Codes<DType::Q4_0>*>(nullptr));
  }
}

template <class From>
__global__ void __launch_bounds__(kThreads)
    pack_pages_kernel(PagesSource keys, PagesSource values, int first_head, int head_dim,
                      const __grid_constant__ Segments segments, uint32_t pieces, uint32_t per_row) {
  PagesSource s = blockIdx.y == 0 ? keys : values;
  float x[kEach][kWide] = {};
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    uint32_t index = piece_index(j);
    if (index >= pieces) break;
    Piece piece(index, per_row);
    int n = source(segments, piece.row);
    if (n < 0) continue;
    int head = piece.col / head_dim, d = piece.col - head * head_dim;
    load_token(x[j], s.memory + s.table[n / kPageTokens] * s.page_stride, static_cast<const From*>(nullptr),
               head_dim, first_head + head, n % static_cast<int>(kPageTokens), d);
  }
#pragma unroll
  for (int j = 0; j < kEach; ++j)
    if (uint32_t index = piece_index(j); index < pieces)
      store(s.to + static_cast<int64_t>(index) * kWide, x[j]);
}

template <class To, bool kAdd>
__global__ void __launch_bounds__(kThreads)
    unpack_rows_kernel(To* to, int64_t row_stride, const __nv_bfloat16* from,
                       const __grid_constant__ Segments segments, uint32_t pieces, uint32_t per_row) {
  float x[kEach][kWide];
  To* target[kEach] = {};
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    uint32_t index = piece_index(j);
    if (index >= pieces) break;
    Piece piece(index, per_row);
    int t = source(segments, piece.row);
    if (t < 0) continue;
    target[j] = at(to, t, row_stride) + piece.col;
    load(x[j], from + static_cast<int64_t>(index) * kWide);
  }
#pragma unroll
  for (int j = 0; j < kEach; ++j) {
    if (!target[j]) continue;
    if constexpr (kAdd) {
      float before[kWide];
      load(before, target[j]);
#pragma unroll
      for (int i = 0; i < kWide; ++i) x[j][i] += before[i];
    }
    store(target[j], x[j]);
  }
}

/// Between rows and heads: neighbouring threads take neighbouring rows, so the packed side is contiguous.
template <bool kPack>
__global__ void log_sum_kernel(float* packed, float* rows, int64_t row_stride,
                               const __grid_constant__ Segments segments) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= segments.length) return;
  int b = static_cast<int>(blockIdx.z), heads = static_cast<int>(gridDim.y), h = static_cast<int>(blockIdx.y);
  float* p = packed + (static_cast<int64_t>(b) * heads + h) * segments.length + i;
  bool inside = i < segments.rows[b];
  float* row = inside ? at(rows, segments.first[b] + i, row_stride) + h : nullptr;
  if (kPack)
    *p = inside ? *row : 0.0f;
  else if (inside)
    *row = *p;
}

__global__ void write_counts_kernel(int32_t* to, int32_t rows, int32_t keys) {
  to[0] = rows;
  to[kCountStride] = keys;
}

__global__ void hide_kernel(float* log_sum, int64_t n) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) log_sum[i] = -INFINITY;
}

struct ZoneParts {
  struct {
    const __nv_bfloat16* out;
    const float* log_sum;
    int64_t log_sum_stride, first;
  } part[kMaxAttentionZones];
  int count;
};

/// What row t of head h takes of each part, and its log-sum.
struct Shares {
  float share[kMaxAttentionZones];
  float log_sum;

  __device__ Shares(const ZoneParts& parts, int64_t t, int h) {
    float largest = -INFINITY, sum = 0;
#pragma unroll
    for (int z = 0; z < kMaxAttentionZones; ++z) {
      share[z] = -INFINITY;
      if (z >= parts.count || t < parts.part[z].first) continue;
      share[z] = at(parts.part[z].log_sum, t, parts.part[z].log_sum_stride)[h];
      largest = fmaxf(largest, share[z]);
    }
#pragma unroll
    for (int z = 0; z < kMaxAttentionZones; ++z) {
      share[z] = share[z] == -INFINITY ? 0.0f : expf(share[z] - largest);
      sum += share[z];
    }
    log_sum = sum > 0 ? largest + logf(sum) : -INFINITY;
#pragma unroll
    for (int z = 0; z < kMaxAttentionZones; ++z) share[z] = sum > 0 ? share[z] / sum : 0.0f;
  }
};

__global__ void __launch_bounds__(kThreads)
    merge_kernel(__nv_bfloat16* out, int64_t out_stride, float* log_sum, int64_t log_sum_stride,
                 const __grid_constant__ ZoneParts parts, uint32_t pieces, uint32_t per_row, int head_dim) {
  uint32_t index = blockIdx.x * kThreads + threadIdx.x;
  if (index >= pieces) return;
  Piece piece(index, per_row);
  int h = piece.col / head_dim;
  Shares shares(parts, piece.row, h);
  if (log_sum && piece.col == h * head_dim) at(log_sum, piece.row, log_sum_stride)[h] = shares.log_sum;
  float sum[kWide] = {};
#pragma unroll
  for (int z = 0; z < kMaxAttentionZones; ++z) {
    if (shares.share[z] == 0) continue;
    float x[kWide];
    load(x, parts.part[z].out + (piece.row - parts.part[z].first) * per_row * kWide + piece.col);
#pragma unroll
    for (int j = 0; j < kWide; ++j) sum[j] += shares.share[z] * x[j];
  }
  store(at(out, piece.row, out_stride) + piece.col, sum);
}

template <bool kPack>
void move_log_sum(CudaDevice& device, float* packed, Tensor log_sum, const Segments& segments) {
  assert(log_sum.dtype == DType::F32);
  dim3 grid(static_cast<unsigned>((segments.length + kThreads - 1) / kThreads),
            static_cast<unsigned>(log_sum.cols()), static_cast<unsigned>(segments.count));
  log_sum_kernel<kPack><<<grid, kThreads, 0, device.stream()>>>(packed, static_cast<float*>(log_sum.data),
                                                                log_sum.row_stride, segments);
  check_launch("moving log-sums");
}

}  // namespace

void pack_rows(CudaDevice& device, uint16_t* to, Tensor from, const Segments& segments) {
  uint32_t pieces = pieces_of(segments.packed_rows(), from.cols());
  auto pack = [&]<class From>(const From* data) {
    pack_rows_kernel<<<blocks_of(pieces), kThreads, 0, device.stream()>>>(
        reinterpret_cast<__nv_bfloat16*>(to), data, from.row_stride, segments, pieces,
        static_cast<uint32_t>(from.cols() / kWide));
  };
  assert(from.dtype == DType::F32 || from.dtype == DType::BF16);
  if (from.dtype == DType::F32)
    pack(static_cast<const float*>(from.data));
  else
    pack(static_cast<const __nv_bfloat16*>(from.data));
  check_launch("packing queries");
}

void pack_pages(CudaDevice& device, uint16_t* to_keys, uint16_t* to_values, const KvPages& keys,
                const KvPages& values, int64_t first_head, int64_t heads, const Segments& segments) {
  assert(keys.head_dim == values.head_dim);
  uint32_t pieces = pieces_of(segments.packed_rows(), heads * keys.head_dim);
  auto source_of = [](uint16_t* to, const KvPages& pages) {
    return PagesSource{reinterpret_cast<__nv_bfloat16*>(to), pages.memory, pages.stride,
                       static_cast<const int32_t*>(pages.table.data)};
  };
  PagesSource sources[] = {source_of(to_keys, keys), source_of(to_values, values)};
  /// Of one type: source `first` and, where there are two, the one after it.
  auto pack = [&](DType dtype, int first, unsigned count) {
    with_page_type(dtype, [&]<class From>(const From*) {
      pack_pages_kernel<From><<<dim3(blocks_of(pieces), count), kThreads, 0, device.stream()>>>(
          sources[first], sources[1], static_cast<int>(first_head), static_cast<int>(keys.head_dim), segments,
          pieces, static_cast<uint32_t>(heads * keys.head_dim / kWide));
    });
    check_launch("packing keys and values");
  };
  if (keys.dtype == values.dtype) return pack(keys.dtype, 0, 2);
  pack(keys.dtype, 0, 1);
  pack(values.dtype, 1, 1);
}

void pack_log_sum(CudaDevice& device, float* to, Tensor log_sum, const Segments& segments) {
  move_log_sum<true>(device, to, log_sum, segments);
}

void unpack_log_sum(CudaDevice& device, Tensor log_sum, const float* from, const Segments& segments) {
  move_log_sum<false>(device, const_cast<float*>(from), log_sum, segments);
}

void unpack_rows(CudaDevice& device, Tensor to, const uint16_t* from, const Segments& segments, bool add) {
  uint32_t pieces = pieces_of(segments.packed_rows(), to.cols());
  auto unpack = [&](auto kernel, auto* data) {
    kernel<<<blocks_of(pieces), kThreads, 0, device.stream()>>>(
        data, to.row_stride, reinterpret_cast<const __nv_bfloat16*>(from), segments, pieces,
        static_cast<uint32_t>(to.cols() / kWide));
  };
  assert(to.dtype == DType::F32 || (to.dtype == DType::BF16 && !add));
  if (to.dtype == DType::BF16)
    unpack(unpack_rows_kernel<__nv_bfloat16, false>, static_cast<__nv_bfloat16*>(to.data));
  else
    unpack(add ? unpack_rows_kernel<float, true> : unpack_rows_kernel<float, false>,
           static_cast<float*>(to.data));
  check_launch("unpacking rows");
}

void write_counts(CudaDevice& device, int32_t* to, int64_t rows, int64_t keys) {
  write_counts_kernel<<<1, 1, 0, device.stream()>>>(to, static_cast<int32_t>(rows),
                                                    static_cast<int32_t>(keys));
  check_launch("writing lengths");
}

void merge_zones(CudaDevice& device, Tensor out, Tensor log_sum, std::span<const ZonePart> parts,
                 int64_t heads) {
  assert(parts.size() <= kMaxAttentionZones && out.dtype == DType::BF16);
  ZoneParts all{{}, static_cast<int>(parts.size())};
  for (size_t z = 0; z < parts.size(); ++z)
    all.part[z] = {reinterpret_cast<const __nv_bfloat16*>(parts[z].out),
                   static_cast<const float*>(parts[z].log_sum.data), parts[z].log_sum.row_stride,
                   parts[z].first};
  uint32_t pieces = pieces_of(out.rows(), out.cols());
  merge_kernel<<<(pieces + kThreads - 1) / kThreads, kThreads, 0, device.stream()>>>(
      static_cast<__nv_bfloat16*>(out.data), out.row_stride, static_cast<float*>(log_sum.data),
      log_sum.row_stride, all, pieces, static_cast<uint32_t>(out.cols() / kWide),
      static_cast<int>(out.cols() / heads));
  check_launch("merging zones of attention");
}

void hide_rows(CudaDevice& device, Tensor log_sum) {
  int64_t n = log_sum.rows() * log_sum.cols();
  auto blocks = static_cast<unsigned>((n + kThreads - 1) / kThreads);
  hide_kernel<<<blocks, kThreads, 0, device.stream()>>>(static_cast<float*>(log_sum.data), n);
  check_launch("hiding rows");
}

void clear_rows(CudaDevice& device, Tensor x, int64_t first, int64_t count) {
  if (count <= 0) return;
  Tensor rows = x.slice(first, count);
  auto width = static_cast<size_t>(dtype_bytes(x.dtype, x.cols()));
  check(cudaMemset2DAsync(rows.data, static_cast<size_t>(x.row_stride), 0, width, static_cast<size_t>(count),
                          device.stream()),
        "clearing rows");
}

namespace {

/// A block writes one head of one page of one sequence.
template <class From>
__global__ void __launch_bounds__(kThreads)
    open_kernel(float* to, PagesView pages, int head_dim, int64_t pages_of_sequence, const int32_t* rows,
                const int32_t* past) {
  int sequence = static_cast<int>(blockIdx.z), head = static_cast<int>(blockIdx.y);
  int keys = past[sequence] + rows[sequence + 1] - rows[sequence];
  int first = static_cast<int>(blockIdx.x) * static_cast<int>(kPageTokens);
  if (first >= keys) return;
  std::byte* page = pages.memory + pages.table[sequence * pages.table_stride + blockIdx.x] * pages.stride;
  int64_t at = (sequence * pages_of_sequence + blockIdx.x) * gridDim.y + head;
  int tokens = min(keys - first, static_cast<int>(kPageTokens)), vectors = head_dim / kWide;
  for (int e = static_cast<int>(threadIdx.x); e < tokens * vectors; e += kThreads) {
    float x[kWide];
    load_token(x, page, static_cast<const From*>(nullptr), head_dim, head, e / vectors, e % vectors * kWide);
    store(to + at * kPageTokens * head_dim + e * kWide, x);
  }
}

__global__ void count_kernel(int32_t* table, int32_t n) {
  int32_t i = static_cast<int32_t>(blockIdx.x * kThreads + threadIdx.x);
  if (i < n) table[i] = i;
}

}  // namespace

OpenAttention opened(Scratch& scratch, CudaDevice& device, std::span<const AttentionZone> zones,
                     const KvPages& values, const Sequences& sequences) {
  OpenAttention open{{zones.begin(), zones.end()}, values};
  int64_t pages = (std::max<int64_t>(sequences.most_keys, 1) + kPageTokens - 1) / kPageTokens;
  Tensor table;
  auto open_one = [&](KvPages& p) {
    if (!is_quantised(p.dtype)) return;
    int64_t count = sequences.count * pages, floats = p.heads * kPageTokens * p.head_dim;
    if (!table) {
      table = host_matrix(scratch.take<int32_t>(count), DType::I32, sequences.count, pages);
      table.device = &device;
      count_kernel<<<static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads, 0, device.stream()>>>(
          static_cast<int32_t*>(table.data), static_cast<int32_t>(count));
    }
    auto* memory = scratch.take<float>(count * floats);
    dim3 grid(static_cast<unsigned>(pages), static_cast<unsigned>(p.heads),
              static_cast<unsigned>(sequences.count));
    with_page_type(p.dtype, [&]<class From>(const From*) {
      open_kernel<From><<<grid, kThreads, 0, device.stream()>>>(
          memory, view_of(p), static_cast<int>(p.head_dim), pages,
          static_cast<const int32_t*>(sequences.rows.data), static_cast<const int32_t*>(sequences.past.data));
    });
    check_launch("opening quantised pages");
    p.memory = reinterpret_cast<std::byte*>(memory), p.stride = floats * 4, p.table = table, p.dtype = DType::F32;
  };
  for (AttentionZone& zone : open.zones) open_one(zone.keys);
  if (values.memory) open_one(open.values);
  return open;
}

}  // namespace longspan
