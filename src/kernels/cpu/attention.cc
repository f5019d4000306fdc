// Plans attention: many rows are cut into blocks of queries, heavy ones first (prefill); few rows into ranges
// of keys whose partial results are merged (decode, as Flash-Decoding does). The cuts depend on the shape
// alone, never on the number of threads, except the size of query blocks, which changes no result.
#include "kernels/cpu/attention.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <vector>

#include "base/threads.h"
#include "kernels/cpu/attention_internal.h"
#include "kernels/reference/reference.h"

namespace longspan {

namespace {

constexpr int64_t kBlockRows = 384;        // rows that share a packed tile: packing costs a few per cent
constexpr int64_t kSmallBlockRows = 48;    // no smaller, even to occupy all threads
constexpr int64_t kPartKeys = 256;         // fewest keys of a decode part
constexpr int64_t kMostParts = 32;         // of one head
constexpr double kSerialWork = 1'000'000;  // multiply-adds below which threads cost more than they give

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// 64-byte aligned, kept for the life of the thread; its contents do not survive the next call.
float* scratch(int64_t floats) {
  thread_local std::vector<float> memory;
  if (static_cast<int64_t>(memory.size()) < floats + 16) memory.resize(static_cast<size_t>(floats + 16));
  auto address = reinterpret_cast<uintptr_t>(memory.data());
  return reinterpret_cast<float*>((address + 63) / 64 * 64);
}

AttentionJob make_job(Tensor out, Tensor q, const KvPages& keys, const KvPages& values,
                      const AttentionShape& s) {
  assert(s.heads % s.kv_heads == 0 && q.cols() == s.heads * s.head_dim && out.cols() == q.cols());
  assert(keys.heads == s.kv_heads && keys.head_dim == s.head_dim && values.head_dim == s.head_dim);
  assert(q.dtype == DType::F32 && (out.dtype == DType::F32 || out.dtype == DType::BF16));
  bool bf16 = out.dtype == DType::BF16;
  return {static_cast<const float*>(q.data),
          q.row_stride / static_cast<int64_t>(sizeof(float)),
          out.data,
          out.row_stride / (bf16 ? 2 : 4),
          bf16,
          keys.pages.data(),
          values.pages.data(),
          keys.dtype,
          values.dtype,
          s.kv_heads,
          s.heads / s.kv_heads,
          s.head_dim,
          s.past,
          s.window,
          s.scale * static_cast<float>(M_LOG2E)};
}

void run(int64_t tasks, double work, const std::function<void(int64_t)>& body) {
  if (work < kSerialWork)
    for (int64_t i = 0; i < tasks; ++i) body(i);
  else
    parallel_for(tasks, body);
}

/// Multiply-adds of the whole call, about.
double work_of(const AttentionJob& job, int64_t tokens) {
  int64_t seen = job.past + tokens;
  if (job.window > 0) seen = std::min(seen, job.window);
  return 2.0 * static_cast<double>(tokens * job.kv_heads * job.group) *
         static_cast<double>(seen * job.head_dim);
}

void prefill(const AttentionJob& job, int64_t tokens, PrefillBlock block) {
  int64_t size = std::max<int64_t>(1, kBlockRows / job.group);
  auto tasks = [&] { return (tokens + size - 1) / size * job.kv_heads; };
  while (size * job.group > kSmallBlockRows && size > 1 && threads() > 1 && tasks() < 4 * threads())
    size = (size + 1) / 2;
  int64_t blocks = (tokens + size - 1) / size;
  run(tasks(), work_of(job, tokens), [&](int64_t i) {
    int64_t begin = (blocks - 1 - i / job.kv_heads) * size;
    block(job, i % job.kv_heads, begin, std::min(begin + size, tokens), scratch(prefill_scratch(job, size)));
  });
}

/// out = sum over parts of 2^(max_part - max) out_part, over the sum of the same of sum_part.
void merge_row(const AttentionJob& job, int64_t token, int64_t head, const float* part, int64_t parts,
               int64_t part_stride) {
  int64_t d = job.head_dim;
  float largest = kFloor, total = 0;
  for (int64_t p = 0; p < parts; ++p) largest = std::max(largest, part[p * part_stride + d]);
  std::vector<float> sum(static_cast<size_t>(d));
  for (int64_t p = 0; p < parts; ++p) {
    const float* x = part + p * part_stride;
    float weight = std::exp2(x[d] - largest);
    total += weight * x[d + 1];
    for (int64_t i = 0; i < d; ++i) sum[static_cast<size_t>(i)] += weight * x[i];
  }
  int64_t at = token * job.out_stride + head * d;
  for (int64_t i = 0; i < d; ++i) {
    float value = sum[static_cast<size_t>(i)] / total;
    if (job.out_bf16)
      static_cast<uint16_t*>(job.out)[at + i] = f32_to_bf16(value);
    else
      static_cast<float*>(job.out)[at + i] = value;
  }
}

void decode(const AttentionJob& job, int64_t tokens, DecodePart part) {
  int64_t end = job.past + tokens;
  int64_t first = job.window > 0 ? std::max<int64_t>(0, job.past + 1 - job.window) : 0;
  first = first / kChunkKeys * kChunkKeys;
  int64_t size = std::max(kPartKeys, round_up((end - first + kMostParts - 1) / kMostParts, kChunkKeys));
  int64_t parts = (end - first + size - 1) / size, rows = tokens * job.group;
  int64_t stride = rows * (round_up(job.head_dim, 16) + kPartialState);
  float* partial = scratch(parts * job.kv_heads * stride);
  run(parts * job.kv_heads, work_of(job, tokens), [&](int64_t i) {
    int64_t begin = first + i / job.kv_heads * size;
    part(job, tokens, i % job.kv_heads, begin, std::min(begin + size, end), partial + i * stride);
  });
  for (int64_t r = 0; r < rows * job.kv_heads; ++r) {
    int64_t kv_head = r / rows, row = r % rows;
    merge_row(job, row / job.group, kv_head * job.group + row % job.group,
              partial + kv_head * stride + row * (job.head_dim + kPartialState), parts,
              stride * job.kv_heads);
  }
}

void attention(const AttentionJob& job, int64_t tokens, PrefillBlock block, DecodePart part) {
  if (tokens == 0) return;
  if (tokens * job.group <= kStreamRows && job.head_dim % 16 == 0)
    decode(job, tokens, part);
  else
    prefill(job, tokens, block);
}

}  // namespace

int64_t prefill_scratch(const AttentionJob& job, int64_t tokens) {
  int64_t width = round_up(job.head_dim, 32), rows = round_up(tokens * job.group, 48);
  return rows * (2 * width + kStateLanes + 1) + 2 * kTileKeys * width;
}

namespace {
/// Not yet in vectors: zones, positions, documents.
bool plain(const AttentionShape& s, std::span<const AttentionZone> zones, const Tensor& log_sum) {
  return zones.size() == 1 && !log_sum && s.causal && s.positions.empty() && s.starts.empty() &&
         s.slopes.empty() && s.decay.empty() && s.past >= 0;
}

void attention(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
               const AttentionShape& shape, PrefillBlock block, DecodePart part) {
  if (!plain(shape, zones, log_sum)) return kReferenceKernels.attention(out, log_sum, zones, values, shape);
  attention(make_job(out, zones[0].q, zones[0].keys, values, shape), out.rows(), block, part);
}
}  // namespace

void attention_avx2(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                    const AttentionShape& shape) {
  attention(out, log_sum, zones, values, shape, prefill_avx2, decode_avx2);
}

void attention_avx512(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                      const AttentionShape& shape) {
  attention(out, log_sum, zones, values, shape, prefill_avx512, decode_avx512);
}

void attention_avx512_bf16(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones,
                           const KvPages& values, const AttentionShape& shape) {
  attention(out, log_sum, zones, values, shape,
            out.dtype == DType::BF16 ? prefill_avx512_bf16 : prefill_avx512, decode_avx512);
}

}  // namespace longspan
