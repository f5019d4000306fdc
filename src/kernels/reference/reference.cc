// The reference implementation of the vocabulary: plain loops, one thread, sums in double where the order of
// summation would otherwise show. Every fast version is compared with it, so it is written to be checked by
// eye.
#include "kernels/reference/reference.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <vector>

#include "kernels/cache_codes.h"
#include "kernels/host_attention.h"
#include "kernels/reference/element.h"

namespace longspan {

namespace {

/// KvPages of one sequence.
struct Pages {
  DType dtype;
  int64_t head_dim;
  std::vector<void*> pages;

  Pages(const KvPages& kv, int64_t sequence, int64_t keys)
      : dtype(kv.dtype), head_dim(kv.head_dim), pages(page_addresses(kv, sequence, keys)) {}
};

/// Element i of head h at position p.
float load_kv(const Pages& kv, int64_t p, int64_t h, int64_t i) {
  int64_t at = (h * kPageTokens + p % kPageTokens) * kv.head_dim + i;
  const void* page = kv.pages[static_cast<size_t>(p / kPageTokens)];
  switch (kv.dtype) {
    case DType::F32:
      return static_cast<const float*>(page)[at];
    case DType::F16:
      return f16_to_f32(static_cast<const uint16_t*>(page)[at]);
    case DType::BF16:
      return bf16_to_f32(static_cast<const uint16_t*>(page)[at]);
    default:
      return load_code(
          static_cast<const std::byte*>(page) + h * dtype_bytes(kv.dtype, kPageTokens * kv.head_dim),
          kv.dtype, kv.head_dim, p % kPageTokens, i);
  }
}

bool always() { return true; }

/// BF16 products take BF16 activations of any number of rows.
DType product_dtype(Compute compute, int64_t) { return compute == Compute::BF16 ? DType::BF16 : DType::F32; }

void embed(Tensor out, Tensor table, Tensor ids) {
  for (int64_t t = 0; t < out.rows(); ++t)
    dequantise(out.row(t), table.row<std::byte>(ids.row<int32_t>(0)[t]), table.dtype, table.cols());
}

void rmsnorm(Tensor out, Tensor x, Tensor weight, float eps) {
  int64_t n = x.cols();
  for (int64_t t = 0; t < x.rows(); ++t) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x.row(t)[i]) * x.row(t)[i];
    auto r = static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(n) + eps));
    for (int64_t i = 0; i < n; ++i) store(out, t, i, x.row(t)[i] * r * weight.row(0)[i]);
  }
}

void layernorm(Tensor out, Tensor x, Tensor weight, Tensor bias, float eps) {
  auto n = static_cast<double>(x.cols());
  for (int64_t t = 0; t < x.rows(); ++t) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < x.cols(); ++i) sum += x.row(t)[i];
    double mean = sum / n;
    for (int64_t i = 0; i < x.cols(); ++i) squares += (x.row(t)[i] - mean) * (x.row(t)[i] - mean);
    double r = 1.0 / std::sqrt(squares / n + eps);
    for (int64_t i = 0; i < x.cols(); ++i)
      store(out, t, i, static_cast<float>((x.row(t)[i] - mean) * r * weight.row(0)[i] + bias.row(0)[i]));
  }
}

/// x as what its codes of 8 bits stand for, in groups of 32 along a row (Linear::eight_bits).
std::vector<float> rounded_to_eight_bits(Tensor x) {
  constexpr int64_t kGroup = 32;
  std::vector<float> out(static_cast<size_t>(x.rows() * x.cols()));
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t first = 0; first < x.cols(); first += kGroup) {
      const float* from = x.row(t) + first;
      float largest = 0, nothing = 0;
      for (int64_t i = 0; i < kGroup; ++i)
        largest = std::max(largest, std::fabs(from[i])), nothing += 0 * from[i];
      float scale = largest / 127 + nothing, inverse = largest > 0 ? 127 / largest : 0.0f;
      for (int64_t i = 0; i < kGroup; ++i)
        out[static_cast<size_t>(t * x.cols() + first + i)] = scale * std::nearbyint(from[i] * inverse);
    }
  return out;
}

void linear(Tensor out, Tensor x, const Linear& w, bool accumulate) {
  int64_t features = w.weight.rows(), n = w.weight.cols();
  std::vector<float> row(static_cast<size_t>(n)), rounded;
  if (w.eight_bits && is_quantised(w.weight.dtype) && x.dtype == DType::F32) {
    rounded = rounded_to_eight_bits(x);
    x = host_matrix(rounded.data(), DType::F32, x.rows(), n);
  }
  for (int64_t j = 0; j < features; ++j) {
    dequantise(row.data(), w.weight.row<std::byte>(j), w.weight.dtype, n);
    for (int64_t t = 0; t < x.rows(); ++t) {
      double sum = w.bias ? w.bias.row(0)[j] : 0.0;
      for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(load(x, t, i)) * row[static_cast<size_t>(i)];
      float& y = out.row(t)[j];
      y = static_cast<float>(accumulate ? y + sum : sum);
    }
  }
}

int64_t packed_bytes(const Linear&, Compute) { return 0; }

void rope(Tensor x, const RopeTable& table, int64_t heads, int64_t head_dim, Turn turn) {
  int64_t half = table.cos.cols();
  for (int64_t t = 0; t < x.rows(); ++t) {
    const float *c = table.cos.row(t), *s = table.sin.row(t);
    for (int64_t h = 0; h < heads; ++h) {
      float* v = x.row(t) + h * head_dim;
      for (int64_t i = 0; i < half; ++i) {
        float a = v[i], b = v[i + half], sine = turn == Turn::Forward ? s[i] : -s[i];
        v[i] = a * c[i] - b * sine;
        v[i + half] = b * c[i] + a * sine;
      }
    }
  }
}

void hadamard(Tensor x, int64_t heads, int64_t head_dim) {
  auto size = static_cast<size_t>(head_dim & -head_dim);  // the largest power of two
  std::vector<double> turned(size);
  for (int64_t t = 0; t < x.rows(); ++t)
    for (float* part = x.row(t); part < x.row(t) + heads * head_dim; part += size) {
      for (size_t i = 0; i < size; ++i) {
        turned[i] = 0;
        for (size_t j = 0; j < size; ++j) turned[i] += std::popcount(i & j) % 2 == 0 ? part[j] : -part[j];
      }
      for (size_t i = 0; i < size; ++i)
        part[i] = static_cast<float>(turned[i] / std::sqrt(static_cast<double>(size)));
    }
}

void store_kv(const KvPages& kv, Tensor x, const Sequences& sequences) {
  if (is_quantised(kv.dtype)) return store_codes(kv, x, sequences);
  for (int64_t q = 0; q < sequences.count; ++q) {
    auto [first, tokens, past] = sequence_rows(sequences, q);
    std::vector<void*> pages = page_addresses(kv, q, past + tokens);
    for (int64_t t = 0; t < tokens; ++t) {
      int64_t p = past + t;
      Tensor page = host_matrix(pages[static_cast<size_t>(p / kPageTokens)], kv.dtype, kv.heads * kPageTokens,
                                kv.head_dim);
      for (int64_t h = 0; h < kv.heads; ++h)
        for (int64_t i = 0; i < kv.head_dim; ++i)
          store(page, h * kPageTokens + p % kPageTokens, i, x.row(first + t)[h * kv.head_dim + i]);
    }
  }
}

/// The position of a query, what it sees, and the zone of each key.
struct View {
  SequenceAttention s;
  std::span<const AttentionZone> zones;
  std::vector<Pages> keys;  // of each zone

  View(const AttentionShape& shape, std::span<const AttentionZone> all, int64_t sequence)
      : s(sequence_attention(shape, sequence)), zones(all) {
    for (const AttentionZone& z : zones) keys.emplace_back(z.keys, sequence, s.keys());
  }

  double position(int64_t index) const {
    return s.positions.empty() ? static_cast<double>(index) : s.positions[static_cast<size_t>(index)];
  }
  double distance(int64_t t, int64_t n) const { return position(s.past + t) - position(n); }
  bool sees(int64_t t, int64_t n) const {
    bool after_start = s.starts.empty() || n >= s.starts[static_cast<size_t>(t)];
    bool causal = !s.causal || n <= s.past + t;
    return after_start && causal && (s.window == 0 || distance(t, n) < static_cast<double>(s.window));
  }
  size_t zone(int64_t t, int64_t n) const {
    auto chunk = static_cast<double>(s.chunk);
    double r = s.chunk == 0 ? distance(t, n)
                            : std::floor(position(s.past + t) / chunk) - std::floor(position(n) / chunk);
    size_t z = 0;
    while (z + 1 < zones.size() && r >= static_cast<double>(zones[z + 1].from)) ++z;
    return z;
  }
  /// The factor of product i of q.k.
  double decay(int64_t t, int64_t n, int64_t i) const {
    return s.decay.empty() ? 1.0 : std::exp(s.decay[static_cast<size_t>(i)] * distance(t, n));
  }
  double score(int64_t t, int64_t h, int64_t n) const {
    size_t z = zone(t, n);
    const float* q = zones[z].q.row(s.first + t) + h * s.head_dim;
    double dot = 0;
    for (int64_t i = 0; i < s.head_dim; ++i)
      dot += static_cast<double>(q[i]) * load_kv(keys[z], n, h / (s.heads / s.kv_heads), i) * decay(t, n, i);
    dot *= s.scale;
    if (s.soft_cap > 0) dot = s.soft_cap * std::tanh(dot / s.soft_cap);
    return s.slopes.empty() ? dot : dot - s.slopes[static_cast<size_t>(h)] * distance(t, n);
  }
};

/// keep[tile] of sparse attention for the heads of a KV head and the queries of a block
/// (AttentionShape::sparse): the mean of the antidiagonal of each cell of 8 queries x 8 keys, its softmax
/// over the cells that the row of cells sees, summed over rows and the cells of a tile.
std::vector<uint8_t> kept_tiles(const View& view, int64_t kv_head, int64_t begin, int64_t end) {
  constexpr int64_t kCell = 8;
  const SequenceAttention& s = view.s;
  int64_t seen = s.past + end, group = s.heads / s.kv_heads, tiles = (seen + kSparseKeys - 1) / kSparseKeys,
          cells = seen / kCell;
  std::vector<uint8_t> keep(static_cast<size_t>(tiles), end - begin < kCell);
  std::vector<size_t> zone(keep.size());
  for (int64_t i = 0; i < tiles; ++i) {
    size_t most = 0, least = view.zones.size();
    for (int64_t t = begin; t < end; ++t)
      for (int64_t n = i * kSparseKeys; n < std::min(seen, (i + 1) * kSparseKeys); ++n)
        if (view.sees(t, n)) most = std::max(most, view.zone(t, n)), least = std::min(least, view.zone(t, n));
    // Zones are counted from the nearest one.
    zone[static_cast<size_t>(i)] = least;
    bool near = (i + 2) * kSparseKeys > s.past + begin;
    if (i == 0 || near || most != least) keep[static_cast<size_t>(i)] = 1;
  }
  for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    std::vector<float> masses(keep.size());
    for (int64_t c = begin; c + kCell <= end; c += kCell) {
      std::vector<double> x(static_cast<size_t>(cells), -INFINITY);
      double largest = -INFINITY, total = 0;
      for (int64_t j = 0; j < cells && j * kCell <= s.past + c; ++j) {
        size_t z = zone[static_cast<size_t>(j * kCell / kSparseKeys)];
        double dot = 0;
        for (int64_t k = 0; k < kCell; ++k)
          for (int64_t i = 0; i < s.head_dim; ++i)
            dot += static_cast<double>(view.zones[z].q.row(s.first + c + kCell - 1 - k)[h * s.head_dim + i]) *
                   load_kv(view.keys[z], j * kCell + k, kv_head, i);
        largest = std::max(largest, x[static_cast<size_t>(j)] = dot * s.scale / kCell);
      }
      for (double& v : x) total += v = std::exp(v - largest);
      for (int64_t j = 0; j < cells; ++j)
        masses[static_cast<size_t>(j * kCell / kSparseKeys)] +=
            static_cast<float>(x[static_cast<size_t>(j)] / total);
    }
    keep_largest(keep.data(), masses.data(), tiles, s.sparse);
  }
  return keep;
}

/// Which keys each query of a KV head attends to; everything that it sees where attention is dense.
class KeptKeys {
 public:
  explicit KeptKeys(const View& view) {
    const SequenceAttention& s = view.s;
    for (int64_t k = 0; s.sparse > 0 && k < s.kv_heads; ++k)
      for (int64_t begin = 0; begin < s.tokens; begin += kSparseQueries)
        tiles_.push_back(kept_tiles(view, k, begin, std::min(s.tokens, begin + kSparseQueries)));
    blocks_ = (s.tokens + kSparseQueries - 1) / kSparseQueries;
  }
  bool has(int64_t kv_head, int64_t t, int64_t n) const {
    return tiles_.empty() || tiles_[static_cast<size_t>(kv_head * blocks_ + t / kSparseQueries)]
                                   [static_cast<size_t>(n / kSparseKeys)] > 0;
  }

 private:
  std::vector<std::vector<uint8_t>> tiles_;
  int64_t blocks_ = 0;
};

void sequence_attention(Tensor out, Tensor log_sum, const View& view, const Pages& values) {
  const SequenceAttention& s = view.s;
  int64_t keys = s.keys();
  KeptKeys kept(view);
  std::vector<double> scores(static_cast<size_t>(std::max<int64_t>(keys, 0))), o(size_t(s.head_dim));
  for (int64_t t = 0; t < s.tokens; ++t)
    for (int64_t h = 0; h < s.heads; ++h) {
      double largest = -INFINITY, total = 0;
      int64_t kv_head = h / (s.heads / s.kv_heads);
      auto reads = [&](int64_t n) { return view.sees(t, n) && kept.has(kv_head, t, n); };
      for (int64_t n = 0; n < keys; ++n)
        if (reads(n)) largest = std::max(largest, scores[static_cast<size_t>(n)] = view.score(t, h, n));
      std::fill(o.begin(), o.end(), 0.0);
      for (int64_t n = 0; n < keys; ++n) {
        if (!reads(n)) continue;
        double e = std::exp(scores[static_cast<size_t>(n)] - largest);
        total += e;
        for (int64_t i = 0; i < s.head_dim; ++i)
          o[static_cast<size_t>(i)] += e * load_kv(values, n, kv_head, i);
      }
      for (int64_t i = 0; i < s.head_dim; ++i)
        store(out, s.first + t, h * s.head_dim + i,
              total > 0 ? static_cast<float>(o[static_cast<size_t>(i)] / total) : 0);
      if (log_sum)
        log_sum.row(s.first + t)[h] = static_cast<float>(total > 0 ? largest + std::log(total) : -INFINITY);
    }
}

void attention(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
               const AttentionShape& shape) {
  for (int64_t q = 0; q < shape.sequences.count; ++q) {
    View view(shape, zones, q);
    sequence_attention(out, log_sum, view, Pages(values, q, view.s.keys()));
  }
}

void attention_weights(Tensor out, std::span<const AttentionZone> zones, const AttentionShape& shape,
                       Tensor rows) {
  assert(shape.sequences.count == 1);
  View view(shape, zones, 0);
  std::vector<double> scores(static_cast<size_t>(std::max<int64_t>(view.s.keys(), 0)));
  for (int64_t i = 0; i < out.rows(); ++i) {
    int64_t t = rows.row<int32_t>(0)[i / shape.heads], h = i % shape.heads;
    double largest = -INFINITY, total = 0;
    for (size_t n = 0; n < scores.size(); ++n) {
      auto key = static_cast<int64_t>(n);
      scores[n] = view.sees(t, key) ? view.score(t, h, key) : -INFINITY;
      largest = std::max(largest, scores[n]);
    }
    for (double& x : scores) total += x = x == -INFINITY ? 0 : std::exp(x - largest);
    std::fill_n(out.row(i), out.cols(), 0.0f);
    for (size_t n = 0; n < scores.size() && total > 0; ++n)
      out.row(i)[n] = static_cast<float>(scores[n] / total);
  }
}

/// Plain chain rule, sums in double.
void sequence_backward(const AttentionGradients& g, Tensor dout, Tensor out, Tensor log_sum,
                       std::span<const AttentionZone> zones, const KvPages& value_pages,
                       const AttentionShape& shape, int64_t sequence) {
  assert(shape.soft_cap == 0);
  View view(shape, zones, sequence);
  const SequenceAttention& s = view.s;
  Pages values(value_pages, sequence, s.keys());
  int64_t keys = s.keys(), d = s.head_dim, width = s.heads * d, kv_width = s.kv_heads * d;
  auto zeros = [](int64_t n) { return std::vector<double>(static_cast<size_t>(n), 0.0); };
  std::vector<double> dv = zeros(s.tokens * kv_width);
  std::vector<std::vector<double>> dq(zones.size(), zeros(s.tokens * width)),
      dk(zones.size(), zeros(s.tokens * kv_width));
  for (int64_t t = 0; t < s.tokens; ++t)
    for (int64_t h = 0; h < s.heads; ++h) {
      int64_t kv_head = h / (s.heads / s.kv_heads), row = s.first + t;
      const float* grad = dout.row(row) + h * d;
      double delta = 0;  // dout . out
      for (int64_t i = 0; i < d; ++i) delta += static_cast<double>(grad[i]) * load(out, row, h * d + i);
      for (int64_t n = 0; n < keys; ++n) {
        if (!view.sees(t, n)) continue;
        double p = std::exp(view.score(t, h, n) - log_sum.row(row)[h]), dp = 0;
        for (int64_t i = 0; i < d; ++i) dp += static_cast<double>(grad[i]) * load_kv(values, n, kv_head, i);
        double ds = p * (dp - delta) * s.scale;
        size_t z = view.zone(t, n);
        for (int64_t i = 0; i < d; ++i) {
          double factor = ds * view.decay(t, n, i);
          dq[z][static_cast<size_t>(t * width + h * d + i)] += factor * load_kv(view.keys[z], n, kv_head, i);
          if (n < s.past) continue;
          auto at = static_cast<size_t>((n - s.past) * kv_width + kv_head * d + i);
          dk[z][at] += factor * zones[z].q.row(row)[h * d + i];
          dv[at] += p * grad[i];
        }
      }
    }
  auto write = [&](Tensor to, const std::vector<double>& from) {
    for (int64_t t = 0; t < s.tokens; ++t)
      for (int64_t i = 0; i < to.cols(); ++i)
        to.row(s.first + t)[i] = static_cast<float>(from[static_cast<size_t>(t * to.cols() + i)]);
  };
  for (size_t z = 0; z < zones.size(); ++z) write(g.q[z], dq[z]);
  if (!g.values) return;
  for (size_t z = 0; z < zones.size(); ++z) write(g.keys[z], dk[z]);
  write(g.values, dv);
}

void attention_backward(const AttentionGradients& g, Tensor dout, Tensor out, Tensor log_sum,
                        std::span<const AttentionZone> zones, const KvPages& values,
                        const AttentionShape& shape) {
  for (int64_t s = 0; s < shape.sequences.count; ++s)
    sequence_backward(g, dout, out, log_sum, zones, values, shape, s);
}

void log_prob(Tensor out, Tensor x, Tensor targets) {
  for (int64_t t = 0; t < x.rows(); ++t) {
    const float* row = x.row(t);
    double largest = *std::max_element(row, row + x.cols()), sum = 0;
    for (int64_t i = 0; i < x.cols(); ++i) sum += std::exp(row[i] - largest);
    out.row(0)[t] = static_cast<float>(row[targets.row<int32_t>(0)[t]] - largest - std::log(sum));
  }
}

}  // namespace

void reference_attention_backward(const AttentionGradients& gradients, Tensor dout, Tensor out,
                                  Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                                  const AttentionShape& shape) {
  attention_backward(gradients, dout, out, log_sum, zones, values, shape);
}

const Kernels kReferenceKernels = {
    .name = "reference",
    .description = "plain loops: the specification",
    .on_host = true,
    .preferred = Compute::F32,
    .supported = always,
    .product_dtype = product_dtype,
    .convert = reference_convert,
    .split = reference_split,
    .gather = reference_gather,
    .scatter = reference_scatter,
    .fill = reference_fill,
    .add = reference_add,
    .scale = reference_scale,
    .axpby = reference_axpby,
    .soft_cap = reference_soft_cap,
    .gate = reference_gate,
    .gelu = reference_gelu,
    .embed = embed,
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .linear = linear,
    .low_rank = reference_low_rank,
    .merge = reference_merge,
    .packed_bytes = packed_bytes,
    .rope_table = reference_rope_table,
    .rope = rope,
    .hadamard = hadamard,
    .store_kv = store_kv,
    .attention = attention,
    .attention_weights = attention_weights,
    .log_prob = log_prob,
    .attention_backward = attention_backward,
    .embed_backward = reference_embed_backward,
    .rmsnorm_backward = reference_rmsnorm_backward,
    .linear_input_gradient = reference_linear_input_gradient,
    .linear_weight_gradient = reference_linear_weight_gradient,
    .gate_backward = reference_gate_backward,
    .cross_entropy = reference_cross_entropy,
    .divergence = reference_divergence,
    .adamw = reference_adamw,
    .sum_of_squares = reference_sum_of_squares,
};

}  // namespace longspan
