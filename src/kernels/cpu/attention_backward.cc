// Plans the gradients of attention. Queries and keys are cut into blocks; a task is a pair of blocks of one
// KV head, which adds to the gradients of its queries and of its keys. Tasks run in rounds: no two pairs of a
// round share a block (round r pairs block s with block s + r), so two tasks never add to the same place at
// once, and every sum has one fixed order.
#include "kernels/cpu/attention_backward.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <vector>

#include "base/threads.h"
#include "kernels/cpu/attention_backward_internal.h"
#include "kernels/cpu/cpu.h"
#include "kernels/host_attention.h"
#include "kernels/reference/reference.h"

namespace longspan {

namespace {

constexpr double kSerialWork = 1'000'000;  // multiply-adds below which threads cost more than they give

// Large blocks read and write queries' gradients less often, but must leave some tasks.
constexpr int64_t kSmallBlock = 256, kLargeBlock = 512, kFewTasks = 12;

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

int64_t block_of(int64_t keys, int64_t kv_heads) {
  return keys * kv_heads >= kFewTasks * kLargeBlock ? kLargeBlock : kSmallBlock;
}

/// Values on the side of the queries or of the keys, with a tile of padding.
struct Places {
  std::vector<float> position, cell;
  std::vector<Reach> positions, cells;

  Places(const SequenceAttention& s, int64_t first, int64_t count) {
    auto padded = static_cast<size_t>(round_up(count, kBackwardTile));
    position.resize(padded);
    cell.resize(padded);
    for (int64_t i = 0; i < count; ++i) {
      auto at = static_cast<size_t>(i);
      int64_t index = first + i;
      double p = s.positions.empty() || index < 0 ? static_cast<double>(index)
                                                  : s.positions[static_cast<size_t>(index)];
      position[at] = static_cast<float>(p);
      cell[at] = static_cast<float>(s.chunk == 0 ? p : std::floor(p / static_cast<double>(s.chunk)));
    }
    positions = reaches(position, count);
    cells = reaches(cell, count);
  }

  static std::vector<Reach> reaches(const std::vector<float>& x, int64_t count) {
    std::vector<Reach> result;
    for (int64_t n = 0; n < count; n += kBackwardTile) {
      auto [low, high] = std::minmax_element(x.begin() + n, x.begin() + std::min(n + kBackwardTile, count));
      result.push_back({*low, *high});
    }
    return result;
  }
};

/// Everything a job points to.
struct Plan {
  Places queries, keys;
  std::vector<int64_t> key_first, key_last;
  std::vector<float> log_sum, delta, slopes, decay;
  std::vector<void*> key_pages[kMaxAttentionZones], value_pages;

  Plan(const SequenceAttention& s, int64_t tokens, int64_t key_count, Tensor log_sums)
      : queries(s, s.past, tokens), keys(s, 0, key_count) {
    see(s, tokens, key_count);
    int64_t stride = round_up(tokens, kBackwardTile);
    log_sum.resize(static_cast<size_t>(s.heads * stride));
    delta.resize(log_sum.size());
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t h = 0; h < s.heads; ++h) {
        float x = log_sums.row(t)[h];
        log_sum[static_cast<size_t>(h * stride + t)] = std::isinf(x) ? 0 : x * static_cast<float>(M_LOG2E);
      }
    for (float x : s.slopes) slopes.push_back(x * static_cast<float>(M_LOG2E));
    for (float x : s.decay) decay.push_back(x * static_cast<float>(M_LOG2E));
    if (!decay.empty()) decay.resize(static_cast<size_t>(round_up(s.head_dim, kBackwardTile)));
  }

  /// No query sees the keys beyond the last.
  void see(const SequenceAttention& s, int64_t tokens, int64_t key_count) {
    key_first.resize(static_cast<size_t>(round_up(key_count, kBackwardTile)), tokens);
    key_last.resize(key_first.size(), tokens);
    int64_t started = 0;
    for (int64_t n = 0; n < key_count; ++n) {
      while (started < tokens && (s.starts.empty() || s.starts[static_cast<size_t>(started)] <= n)) ++started;
      int64_t first = s.causal ? n - s.past : 0, last = started;
      if (s.window > 0 && s.positions.empty()) last = std::min(last, n - s.past + s.window);
      key_first[static_cast<size_t>(n)] = std::clamp<int64_t>(first, 0, tokens);
      key_last[static_cast<size_t>(n)] = std::clamp<int64_t>(last, 0, tokens);
    }
  }
};

/// Whether the factor of decay of each pair that is seen is the product of one of its query and one of its
/// key, both within range: distances are not negative, and a block of keys spans few enough of them.
bool decay_factors(const SequenceAttention& s, const Plan& plan, int64_t keys) {
  if (s.decay.empty()) return true;
  for (size_t n = 1; n < s.positions.size(); ++n) {
    if (s.positions[n] >= s.positions[n - 1]) continue;
    int64_t t = std::max<int64_t>(static_cast<int64_t>(n) - s.past, 0);
    if (s.starts.empty() || s.starts[static_cast<size_t>(t)] < static_cast<int64_t>(n)) return false;
  }
  int64_t block = block_of(keys, s.kv_heads);
  float span = 0, most = -*std::min_element(plan.decay.begin(), plan.decay.end());
  for (int64_t n = 0; n < keys; n += block) {
    auto end = plan.keys.position.begin() + std::min(n + block, keys);
    auto [low, high] = std::minmax_element(plan.keys.position.begin() + n, end);
    span = std::max(span, *high - *low);
  }
  return s.causal && 0.5f * span * most <= kMostDecay;
}

FloatRows rows_of(const Tensor& x) {
  assert(!x || x.dtype == DType::F32);
  return {static_cast<float*>(x.data), x.row_stride / static_cast<int64_t>(sizeof(float))};
}

/// Tensors are those of the sequence's rows.
BackwardJob make_job(const AttentionGradients& g, Tensor dout, Tensor out,
                     std::span<const AttentionZone> zones, const KvPages& values, const SequenceAttention& s,
                     int64_t sequence, Plan& plan) {
  assert(s.heads % s.kv_heads == 0 && dout.cols() == s.heads * s.head_dim && out.cols() == dout.cols());
  assert(out.dtype == DType::F32 || out.dtype == DType::BF16);
  BackwardJob job{};
  plan.value_pages = page_addresses(values, sequence, s.keys());
  for (size_t z = 0; z < zones.size(); ++z) {
    plan.key_pages[z] = page_addresses(zones[z].keys, sequence, s.keys());
    job.zones[z] = {
        static_cast<float>(zones[z].from), rows_of(zones[z].q), rows_of(g.q[z]), rows_of(g.keys[z]),
        plan.key_pages[z].data(),          zones[z].keys.dtype};
  }
  job.zone_count = static_cast<int64_t>(zones.size());
  job.dout = rows_of(dout);
  job.dvalues = rows_of(g.values);
  job.value_pages = plan.value_pages.data();
  job.value_dtype = values.dtype;
  job.out = out.data;
  job.out_bf16 = out.dtype == DType::BF16;
  job.out_stride = out.row_stride / (job.out_bf16 ? 2 : 4);
  job.tokens = dout.rows();
  job.past = s.past;
  job.keys = s.past + job.tokens;
  job.kv_heads = s.kv_heads;
  job.group = s.heads / s.kv_heads;
  job.head_dim = s.head_dim;
  job.block = block_of(job.keys, s.kv_heads);
  assert(s.soft_cap == 0);
  job.scale = s.scale;
  job.window = s.positions.empty() ? 0.0f : static_cast<float>(s.window);
  job.slopes = plan.slopes.empty() ? nullptr : plan.slopes.data();
  job.decay = plan.decay.empty() ? nullptr : plan.decay.data();
  job.key_first = plan.key_first.data();
  job.key_last = plan.key_last.data();
  job.query_position = plan.queries.position.data();
  job.key_position = plan.keys.position.data();
  job.query_cell = plan.queries.cell.data();
  job.key_cell = plan.keys.cell.data();
  job.query_positions = plan.queries.positions.data();
  job.key_positions = plan.keys.positions.data();
  job.query_cells = plan.queries.cells.data();
  job.key_cells = plan.keys.cells.data();
  job.log_sum = plan.log_sum.data();
  job.delta = plan.delta.data();
  job.state_stride = round_up(job.tokens, kBackwardTile);
  return job;
}

void clear(Tensor x) {
  for (int64_t t = 0; t < x.rows(); ++t) std::fill_n(x.row(t), x.cols(), 0.0f);
}

struct BlockPair {
  int64_t query, key;
};

/// The pairs of one round in which some query may see some key.
std::vector<BlockPair> pairs_of_round(const BackwardJob& job, int64_t round) {
  int64_t queries = (job.tokens + job.block - 1) / job.block;
  int64_t keys = (job.keys + job.block - 1) / job.block;
  std::vector<BlockPair> pairs;
  for (int64_t s = 0; s < std::min(queries, keys); ++s) {
    int64_t other = (s + round) % std::max(queries, keys);
    BlockPair p = queries >= keys ? BlockPair{other, s} : BlockPair{s, other};
    int64_t first = p.key * job.block, last = std::min(first + job.block, job.keys) - 1;
    int64_t begin = p.query * job.block, end = std::min(begin + job.block, job.tokens);
    if (job.key_first[first] < end && job.key_last[last] > begin) pairs.push_back(p);
  }
  return pairs;
}

void run(const BackwardJob& job, const BackwardRoutines& routines) {
  double work = 5.0 * static_cast<double>(job.tokens * job.kv_heads * job.group) *
                static_cast<double>(job.keys * job.head_dim);
  auto each = [&](int64_t n, const std::function<void(int64_t)>& body) {
    if (work > kSerialWork) return parallel_for(n, body);
    for (int64_t i = 0; i < n; ++i) body(i);
  };
  each((job.tokens + job.block - 1) / job.block,
       [&](int64_t i) { routines.delta(job, i * job.block, std::min((i + 1) * job.block, job.tokens)); });
  int64_t rounds = (std::max(job.tokens, job.keys) + job.block - 1) / job.block;
  int64_t bytes = backward_scratch(job) * static_cast<int64_t>(sizeof(float));
  for (int64_t r = 0; r < rounds; ++r) {
    std::vector<BlockPair> pairs = pairs_of_round(job, r);
    each(static_cast<int64_t>(pairs.size()) * job.kv_heads, [&](int64_t i) {
      BlockPair p = pairs[static_cast<size_t>(i / job.kv_heads)];
      routines.pair(job, i % job.kv_heads, p.query, p.key, static_cast<float*>(scratch(bytes)));
    });
  }
}

/// False, with nothing written, where decay is no product of factors.
bool sequence_backward(const AttentionGradients& all, Tensor dout, Tensor out, Tensor log_sum,
                       std::span<const AttentionZone> zones, const KvPages& values,
                       const AttentionShape& shape, int64_t sequence, const BackwardRoutines& routines) {
  SequenceAttention s = sequence_attention(shape, sequence);
  int64_t keys = std::max<int64_t>(s.keys(), 0);
  auto own = [&](const Tensor& x) { return x ? x.slice(s.first, s.tokens) : x; };
  Plan plan(s, s.tokens, keys, own(log_sum));
  bool seen = keys > 0 && s.tokens > 0;
  if (seen && !decay_factors(s, plan, keys)) return false;
  AttentionGradients g{.q = {}, .keys = {}, .values = own(all.values)};
  std::vector<AttentionZone> own_zones;
  for (size_t z = 0; z < zones.size(); ++z) {
    g.q[z] = own(all.q[z]), g.keys[z] = own(all.keys[z]);
    clear(g.q[z]);
    if (g.values) clear(g.keys[z]);
    own_zones.push_back({zones[z].from, own(zones[z].q), zones[z].keys});
  }
  if (g.values) clear(g.values);
  if (seen) run(make_job(g, own(dout), own(out), own_zones, values, s, sequence, plan), routines);
  return true;
}

void attention_backward(const AttentionGradients& g, Tensor dout, Tensor out, Tensor log_sum,
                        std::span<const AttentionZone> zones, const KvPages& values,
                        const AttentionShape& shape, const BackwardRoutines& routines) {
  for (int64_t s = 0; s < shape.sequences.count; ++s)
    if (!sequence_backward(g, dout, out, log_sum, zones, values, shape, s, routines))
      return kReferenceKernels.attention_backward(g, dout, out, log_sum, zones, values, shape);
}

}  // namespace

int64_t backward_scratch(const BackwardJob& job) {
  int64_t width = round_up(job.head_dim, 32), block = job.block * width;
  int64_t tile = kBackwardTile * kBackwardTile;
  return job.zone_count * (6 * block + 2 * tile) + 6 * block + 3 * tile + kBackwardTile * width;
}

void attention_backward_avx2(const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
                             std::span<const AttentionZone> zones, const KvPages& values,
                             const AttentionShape& shape) {
  attention_backward(gradients, dout, out, log_sum, zones, values, shape, kBackwardAvx2);
}

void attention_backward_avx512(const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
                               std::span<const AttentionZone> zones, const KvPages& values,
                               const AttentionShape& shape) {
  attention_backward(gradients, dout, out, log_sum, zones, values, shape, kBackwardAvx512);
}

void attention_backward_avx512_bf16(const AttentionGradients& gradients, Tensor dout, Tensor out,
                                    Tensor log_sum, std::span<const AttentionZone> zones,
                                    const KvPages& values, const AttentionShape& shape) {
  bool bf16 = out.dtype == DType::BF16 && values.dtype == DType::BF16;
  for (const AttentionZone& z : zones) bf16 = bf16 && z.keys.dtype == DType::BF16;
  attention_backward(gradients, dout, out, log_sum, zones, values, shape,
                     bf16 ? kBackwardAvx512Bf16 : kBackwardAvx512);
}

}  // namespace longspan
