// Plans attention: many rows are cut into blocks of queries, heavy ones first (prefill); few rows into ranges
// of keys whose partial results are merged (decode, as Flash-Decoding does). The cuts depend on the shape
// alone, never on the number of threads, except the size of query blocks, which changes no result.
#include "kernels/cpu/attention.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "base/threads.h"
#include "kernels/cpu/attention_internal.h"

namespace longspan {

namespace {

constexpr int64_t kBlockRows = 384;        // rows that share a packed tile: packing costs a few per cent
constexpr int64_t kSmallBlockRows = 48;    // no smaller, even to occupy all threads
constexpr int64_t kPaddedRows = 96;        // a multiple of the rows of every micro-kernel
constexpr int64_t kPartKeys = 256;         // fewest keys of a decode part
constexpr int64_t kMostParts = 32;         // of one head
constexpr double kSerialWork = 1'000'000;  // multiply-adds below which threads cost more than they give

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// 64-byte aligned, in `memory`, which is kept for the life of the thread; its contents do not survive the
/// next call.
float* scratch(int64_t floats, std::vector<float>& memory) {
  if (static_cast<int64_t>(memory.size()) < floats + 16) memory.resize(static_cast<size_t>(floats + 16));
  auto address = reinterpret_cast<uintptr_t>(memory.data());
  return reinterpret_cast<float*>((address + 63) / 64 * 64);
}

float* scratch(int64_t floats) {
  thread_local std::vector<float> memory;
  return scratch(floats, memory);
}
/// The same beside it, for decoded codes; null for none.
float* room_of(int64_t floats) {
  thread_local std::vector<float> memory;
  return floats > 0 ? scratch(floats, memory) : nullptr;
}

/// One sequence: its job and what that points to and the caller did not bring.
struct Prepared {
  SequenceAttention shape;
  std::vector<RowKeys> rows;
  std::vector<float> slopes, decay;                     // in base 2
  std::vector<void*> keys[kMaxAttentionZones], values;  // pages
  AttentionJob job;
};

std::vector<float> in_base_2(std::span<const float> from, size_t size) {
  std::vector<float> to(size);
  for (size_t i = 0; i < from.size(); ++i) to[i] = from[i] * static_cast<float>(M_LOG2E);
  return to;
}

/// Writes p.job and what it points to; p stays where it is.
void prepare(Prepared& p, Tensor out, Tensor log_sum, std::span<const AttentionZone> zones,
             const KvPages& values, const AttentionShape& shape, int64_t sequence) {
  p.shape = sequence_attention(shape, sequence);
  const SequenceAttention& s = p.shape;
  assert(out.cols() == s.heads * s.head_dim && values.head_dim == s.head_dim);
  assert(out.dtype == DType::F32 || out.dtype == DType::BF16);
  assert(!log_sum || (log_sum.dtype == DType::F32 && log_sum.cols() == s.heads));
  p.rows = keys_of_rows(s, zones);
  p.slopes = in_base_2(s.slopes, s.slopes.size());
  p.decay =
      in_base_2(s.decay, s.decay.empty() ? 0 : static_cast<size_t>(round_up(s.head_dim, kDecayPadding)));
  p.values = page_addresses(values, sequence, s.keys());
  constexpr auto kFloat = static_cast<int64_t>(sizeof(float));
  auto pointer = [](const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); };
  bool bf16 = out.dtype == DType::BF16;
  Tensor rows = out.slice(s.first, s.tokens);
  p.job = {.zones = {},
           .zone_count = 0,
           .rows = p.rows.data(),
           .out = rows.data,
           .out_stride = out.row_stride / (bf16 ? 2 : kFloat),
           .out_bf16 = bf16,
           .log_sum = log_sum ? log_sum.row(s.first) : nullptr,
           .log_sum_stride = log_sum.row_stride / kFloat,
           .value_pages = p.values.data(),
           .value_dtype = values.dtype,
           .kv_heads = s.kv_heads,
           .group = s.heads / s.kv_heads,
           .head_dim = s.head_dim,
           .past = s.past,
           .scale = s.scale * static_cast<float>(M_LOG2E),
           .soft_cap = s.soft_cap * static_cast<float>(M_LOG2E),
           .positions = s.positions.empty() ? nullptr : s.positions.data(),
           .slopes = pointer(p.slopes),
           .decay = pointer(p.decay),
           .sparse = s.sparse,
           .scores = shape.scores};
  for (size_t z = zones.size(); z-- > 0;) {
    const auto& [from, q, keys] = zones[z];
    assert(keys.heads == s.kv_heads && keys.head_dim == s.head_dim);
    assert(q.dtype == DType::F32 && q.cols() == out.cols());
    p.keys[z] = page_addresses(keys, sequence, s.keys());
    p.job.zones[p.job.zone_count++] = {q.row(s.first), q.row_stride / kFloat, p.keys[z].data(), keys.dtype};
  }
}

template <class Body>
void run(int64_t tasks, double work, const Body& body) {
  if (work < kSerialWork)
    for (int64_t i = 0; i < tasks; ++i) body(i);
  else
    parallel_for(tasks, body);
}

/// Multiply-adds of the whole call, about.
double work_of(const AttentionJob& job, int64_t tokens) {
  int64_t pairs = 0;
  for (int64_t t = 0; t < tokens; ++t) pairs += job.rows[t].edge[kMaxAttentionZones] - job.rows[t].edge[0];
  return 2.0 * static_cast<double>(pairs) * static_cast<double>(job.kv_heads * job.group * job.head_dim);
}

struct Range {
  int64_t begin, end;
};

/// Blocks of at most `size` queries. With decay, a block's queries are of one document and near each other,
/// so that factors of decay relative to its first query stay far inside F32.
std::vector<Range> query_blocks(const AttentionJob& job, const SequenceAttention& s, int64_t size) {
  constexpr double kMostPower = 16;
  double fastest = 0;
  for (float x : s.decay) fastest = std::max(fastest, std::abs(x) * M_LOG2E);
  auto position = [&](int64_t t) {
    int64_t index = std::max<int64_t>(s.past + t, 0);  // queries before the first key see nothing
    return job.positions ? job.positions[index] : static_cast<double>(index);
  };
  std::vector<Range> blocks;
  for (int64_t t = 0; t < s.tokens; ++t) {
    bool cut = blocks.empty() || t - blocks.back().begin == size;
    if (!cut && fastest > 0) {
      bool other =
          !s.starts.empty() && s.starts[static_cast<size_t>(t)] != s.starts[static_cast<size_t>(t - 1)];
      cut = other || (position(t) - position(blocks.back().begin)) * fastest > kMostPower;
    }
    if (cut) blocks.push_back({t, t});
    blocks.back().end = t + 1;
  }
  return blocks;
}

void prefill(const Prepared& p, PrefillBlock block) {
  const AttentionJob& job = p.job;
  int64_t tokens = p.shape.tokens;
  int64_t size = std::max<int64_t>(1, kBlockRows / job.group);
  auto tasks = [&] { return (tokens + size - 1) / size * job.kv_heads; };
  if (job.sparse > 0) size = kSparseQueries;
  bool fixed = job.decay != nullptr || job.sparse > 0;  // what comes out depends on where blocks begin
  while (!fixed && size * job.group > kSmallBlockRows && size > 1 && threads() > 1 && tasks() < 4 * threads())
    size = (size + 1) / 2;
  std::vector<Range> blocks = query_blocks(job, p.shape, size);
  auto count = static_cast<int64_t>(blocks.size());
  run(count * job.kv_heads, work_of(job, tokens), [&](int64_t i) {
    auto [begin, end] = blocks[static_cast<size_t>(count - 1 - i / job.kv_heads)];
    int64_t last = job.rows[end - 1].edge[kMaxAttentionZones];
    block(job, i % job.kv_heads, begin, end,
          scratch(prefill_scratch(job, end - begin) + sparse_scratch(job, end - begin, last)));
  });
}

/// out = sum over parts of 2^(max_part - max) out_part, over the sum of the same of sum_part.
void merge_row(const AttentionJob& job, int64_t token, int64_t head, const float* part, int64_t parts,
               int64_t part_stride) {
  int64_t d = job.head_dim;
  float largest = kFloor, total = 0;
  for (int64_t p = 0; p < parts; ++p) largest = std::max(largest, part[p * part_stride + d]);
  thread_local std::vector<float> sum;  // allocated once, not for every head of every token
  sum.assign(static_cast<size_t>(d), 0);
  for (int64_t p = 0; p < parts; ++p) {
    const float* x = part + p * part_stride;
    float weight = std::exp2(x[d] - largest);
    total += weight * x[d + 1];
    for (int64_t i = 0; i < d; ++i) sum[static_cast<size_t>(i)] += weight * x[i];
  }
  if (job.log_sum) job.log_sum[token * job.log_sum_stride + head] = log_of_sum(largest, total);
  int64_t at = token * job.out_stride + head * d;
  for (int64_t i = 0; i < d; ++i) {
    float value = total > 0 ? sum[static_cast<size_t>(i)] / total : 0;
    if (job.out_bf16)
      static_cast<uint16_t*>(job.out)[at + i] = f32_to_bf16(value);
    else
      static_cast<float*>(job.out)[at + i] = value;
  }
}

/// How the keys of one sequence are cut into parts, and where their results are.
struct DecodePlan {
  int64_t first, end, size, parts, rows, stride;  // keys; of one part; parts; rows; floats of a part's result
  int64_t tasks, at;                              // parts x KV heads; floats before the first result
};

DecodePlan plan_decode(const Prepared& p) {
  const AttentionJob& job = p.job;
  int64_t end = 0, first = job.rows[0].edge[0];
  for (int64_t t = 0; t < p.shape.tokens; ++t) {
    first = std::min(first, job.rows[t].edge[0]);
    end = std::max(end, job.rows[t].edge[kMaxAttentionZones]);
  }
  first = std::min(first / kChunkKeys * kChunkKeys, end);
  int64_t size = std::max(kPartKeys, round_up((end - first + kMostParts - 1) / kMostParts, kChunkKeys));
  int64_t parts = (end - first + size - 1) / size, rows = p.shape.tokens * job.group;
  int64_t stride = rows * (round_up(job.head_dim, 16) + kPartialState);
  return {first, end, size, parts, rows, stride, parts * job.kv_heads, 0};
}

void merge_rows(const Prepared& p, const DecodePlan& plan, const float* partial) {
  const AttentionJob& job = p.job;
  for (int64_t r = 0; r < plan.rows * job.kv_heads; ++r) {
    int64_t kv_head = r / plan.rows, row = r % plan.rows;
    merge_row(job, row / job.group, kv_head * job.group + row % job.group,
              partial + kv_head * plan.stride + row * (job.head_dim + kPartialState), plan.parts,
              plan.stride * job.kv_heads);
  }
}

/// All sequences that stream their keys, side by side: their parts, then their merges.
void decode(std::span<const Prepared* const> sequences, DecodePart part) {
  std::vector<DecodePlan> plans;
  plans.reserve(sequences.size());
  std::vector<std::pair<size_t, int64_t>> tasks;  // sequence, task of it
  double work = 0;
  int64_t floats = 0;
  size_t count = 0;
  for (const Prepared* p : sequences) {
    DecodePlan plan = plan_decode(*p);
    plan.at = floats;
    floats += plan.tasks * plan.stride;
    work += work_of(p->job, p->shape.tokens);
    count += static_cast<size_t>(plan.tasks);
    plans.push_back(plan);
  }
  tasks.reserve(count);
  for (size_t s = 0; s < plans.size(); ++s)
    for (int64_t i = 0; i < plans[s].tasks; ++i) tasks.emplace_back(s, i);
  float* partial = scratch(floats);
  run(std::ssize(tasks), work, [&](int64_t i) {
    auto [s, task] = tasks[static_cast<size_t>(i)];
    const DecodePlan& plan = plans[s];
    const AttentionJob& job = sequences[s]->job;
    int64_t begin = plan.first + task / job.kv_heads * plan.size;
    part(job, sequences[s]->shape.tokens, task % job.kv_heads, begin, std::min(begin + plan.size, plan.end),
         partial + plan.at + task * plan.stride, room_of(chunk_room(job)));
  });
  auto merge = [&](int64_t s) {
    const DecodePlan& plan = plans[static_cast<size_t>(s)];
    merge_rows(*sequences[static_cast<size_t>(s)], plan, partial + plan.at);
  };
  // The merges of one sequence are not worth waking another thread.
  run(std::ssize(plans), plans.size() > 1 ? work : 0, merge);
}

/// Whether few rows are worth streaming all keys for, and may.
bool streams(const AttentionJob& job, int64_t tokens) {
  bool one_type = true;
  for (int64_t z = 1; z < job.zone_count; ++z)
    one_type = one_type && job.zones[z].key_dtype == job.zones[0].key_dtype;
  return tokens * job.group <= kStreamRows && job.head_dim % 16 == 0 && !job.decay && one_type;
}

void attention(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
               const AttentionShape& shape, PrefillBlock block, DecodePart part) {
  std::vector<Prepared> all(static_cast<size_t>(shape.sequences.count));
  std::vector<const Prepared*> streaming;
  for (size_t s = 0; s < all.size(); ++s) {
    prepare(all[s], out, log_sum, zones, values, shape, static_cast<int64_t>(s));
    int64_t tokens = all[s].shape.tokens;
    if (tokens == 0) continue;
    if (streams(all[s].job, tokens))
      streaming.push_back(&all[s]);
    else
      prefill(all[s], block);
  }
  if (!streaming.empty()) decode(streaming, part);
}

}  // namespace

float log_of_sum(float largest, float sum) {
  return sum > 0 ? (largest + std::log2(sum)) * static_cast<float>(M_LN2) : -INFINITY;
}

int64_t tile_room(const AttentionJob& job) {
  bool codes = is_quantised(job.value_dtype);
  for (int64_t z = 0; z < job.zone_count; ++z) codes = codes || is_quantised(job.zones[z].key_dtype);
  return codes ? kTileKeys * job.head_dim : 0;
}

int64_t chunk_room(const AttentionJob& job) {
  return tile_room(job) / kTileKeys * kChunkKeys * (job.zone_count + 1);
}

int64_t prefill_scratch(const AttentionJob& job, int64_t tokens) {
  int64_t width = round_up(job.head_dim, 32), rows = round_up(tokens * job.group, kPaddedRows);
  return rows * ((1 + job.zone_count) * width + kStateLanes + 1) +
         ((1 + job.zone_count) * width + 1) * kTileKeys + tile_room(job);
}

int64_t sparse_scratch(const AttentionJob& job, int64_t tokens, int64_t last) {
  if (job.sparse <= 0) return 0;
  constexpr int64_t kAlignment = 16, kParts = 8;
  int64_t width = round_up(job.head_dim, 32) * kSparseCell, rows = tokens / kSparseCell * job.group,
          tiles = (last + kTileKeys - 1) / kTileKeys, cells = tiles * (kTileKeys / kSparseCell);
  return job.zone_count * round_up(rows, kPaddedRows) * width + width * kTileKeys +
         (rows + job.group) * cells + (job.group + 1) * tiles + kAlignment * kParts;
}

void count_scores(const AttentionJob& job, int64_t all, int64_t skipped) {
  if (!job.scores) return;
  job.scores->all += all;
  job.scores->skipped += skipped;
}

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

void attention_amx(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                   const AttentionShape& shape) {
  attention(out, log_sum, zones, values, shape, out.dtype == DType::BF16 ? prefill_amx : prefill_avx512,
            decode_avx512);
}

}  // namespace longspan
