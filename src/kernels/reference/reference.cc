// The reference implementation of the vocabulary: plain loops, one thread, sums in double where the order of
// summation would otherwise show. It is what every fast version is compared with, so it is written to be
// checked by eye.
#include "kernels/reference/reference.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

namespace longspan {

namespace {

float load(const Tensor& x, int64_t row, int64_t i) {
  switch (x.dtype) {
    case DType::F32:
      return x.row<float>(row)[i];
    case DType::BF16:
      return bf16_to_f32(x.row<uint16_t>(row)[i]);
    case DType::F16:
      return f16_to_f32(x.row<uint16_t>(row)[i]);
    default:
      assert(false);
      return 0;
  }
}

void store(Tensor x, int64_t row, int64_t i, float value) {
  switch (x.dtype) {
    case DType::F32:
      x.row<float>(row)[i] = value;
      break;
    case DType::BF16:
      x.row<uint16_t>(row)[i] = f32_to_bf16(value);
      break;
    case DType::F16:
      x.row<uint16_t>(row)[i] = f32_to_f16(value);
      break;
    default:
      assert(false);
  }
}

/// Element i of head h at position p.
float load_kv(const KvPages& kv, int64_t p, int64_t h, int64_t i) {
  int64_t at = (h * kPageTokens + p % kPageTokens) * kv.head_dim + i;
  const void* page = kv.pages[p / kPageTokens];
  switch (kv.dtype) {
    case DType::F32:
      return static_cast<const float*>(page)[at];
    case DType::F16:
      return f16_to_f32(static_cast<const uint16_t*>(page)[at]);
    default:
      return bf16_to_f32(static_cast<const uint16_t*>(page)[at]);
  }
}

bool always() { return true; }

void embed(Tensor out, Tensor table, std::span<const int32_t> ids) {
  for (size_t t = 0; t < ids.size(); ++t)
    dequantise(out.row(static_cast<int64_t>(t)), table.row<std::byte>(ids[t]), table.dtype, table.cols());
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

void linear(Tensor out, Tensor x, const Linear& w, bool accumulate) {
  int64_t features = w.weight.rows(), n = w.weight.cols();
  std::vector<float> row(static_cast<size_t>(n));
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

void rope(Tensor x, const RopeTable& table, int64_t heads, int64_t head_dim) {
  int64_t half = table.cos.cols();
  for (int64_t t = 0; t < x.rows(); ++t) {
    const float *c = table.cos.row(t), *s = table.sin.row(t);
    for (int64_t h = 0; h < heads; ++h) {
      float* v = x.row(t) + h * head_dim;
      for (int64_t i = 0; i < half; ++i) {
        float a = v[i], b = v[i + half];
        v[i] = a * c[i] - b * s[i];
        v[i + half] = b * c[i] + a * s[i];
      }
    }
  }
}

void store_kv(const KvPages& kv, Tensor x, int64_t past) {
  for (int64_t t = 0; t < x.rows(); ++t) {
    int64_t p = past + t;
    Tensor page = matrix_view(kv.pages[p / kPageTokens], kv.dtype, kv.heads * kPageTokens, kv.head_dim);
    for (int64_t h = 0; h < kv.heads; ++h)
      for (int64_t i = 0; i < kv.head_dim; ++i)
        store(page, h * kPageTokens + p % kPageTokens, i, x.row(t)[h * kv.head_dim + i]);
  }
}

/// Where a query stands, what it sees, and which zone a key belongs to.
struct View {
  const AttentionShape& s;
  std::span<const AttentionZone> zones;
  int64_t tokens;

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
    const AttentionZone& z = zones[zone(t, n)];
    const float* q = z.q.row(t) + h * s.head_dim;
    double dot = 0;
    for (int64_t i = 0; i < s.head_dim; ++i)
      dot += static_cast<double>(q[i]) * load_kv(z.keys, n, h / (s.heads / s.kv_heads), i) * decay(t, n, i);
    dot *= s.scale;
    return s.slopes.empty() ? dot : dot - s.slopes[static_cast<size_t>(h)] * distance(t, n);
  }
};

void attention(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
               const AttentionShape& s) {
  View view{s, zones, out.rows()};
  int64_t keys = s.past + out.rows();
  std::vector<double> scores(static_cast<size_t>(std::max<int64_t>(keys, 0))), o(size_t(s.head_dim));
  for (int64_t t = 0; t < out.rows(); ++t)
    for (int64_t h = 0; h < s.heads; ++h) {
      double largest = -INFINITY, total = 0;
      for (int64_t n = 0; n < keys; ++n)
        if (view.sees(t, n))
          largest = std::max(largest, scores[static_cast<size_t>(n)] = view.score(t, h, n));
      std::fill(o.begin(), o.end(), 0.0);
      for (int64_t n = 0; n < keys; ++n) {
        if (!view.sees(t, n)) continue;
        double e = std::exp(scores[static_cast<size_t>(n)] - largest);
        total += e;
        for (int64_t i = 0; i < s.head_dim; ++i)
          o[static_cast<size_t>(i)] += e * load_kv(values, n, h / (s.heads / s.kv_heads), i);
      }
      for (int64_t i = 0; i < s.head_dim; ++i)
        store(out, t, h * s.head_dim + i,
              total > 0 ? static_cast<float>(o[static_cast<size_t>(i)] / total) : 0);
      if (log_sum) log_sum.row(t)[h] = static_cast<float>(total > 0 ? largest + std::log(total) : -INFINITY);
    }
}

/// Plain chain rule, sums in double.
void attention_backward(const AttentionGradients& g, Tensor dout, Tensor out, Tensor log_sum,
                        std::span<const AttentionZone> zones, const KvPages& values,
                        const AttentionShape& s) {
  View view{s, zones, out.rows()};
  int64_t keys = s.past + out.rows(), d = s.head_dim, width = s.heads * d, kv_width = s.kv_heads * d;
  auto zeros = [](int64_t n) {
    return std::vector<double>(static_cast<size_t>(std::max<int64_t>(n, 0)), 0.0);
  };
  std::vector<double> dv = zeros(keys * kv_width);
  std::vector<std::vector<double>> dq(zones.size(), zeros(out.rows() * width)),
      dk(zones.size(), zeros(keys * kv_width));
  for (int64_t t = 0; t < out.rows(); ++t)
    for (int64_t h = 0; h < s.heads; ++h) {
      int64_t kv_head = h / (s.heads / s.kv_heads);
      const float* grad = dout.row(t) + h * d;
      double delta = 0;  // dout . out
      for (int64_t i = 0; i < d; ++i) delta += static_cast<double>(grad[i]) * load(out, t, h * d + i);
      for (int64_t n = 0; n < keys; ++n) {
        if (!view.sees(t, n)) continue;
        double p = std::exp(view.score(t, h, n) - log_sum.row(t)[h]), dp = 0;
        for (int64_t i = 0; i < d; ++i) {
          dp += static_cast<double>(grad[i]) * load_kv(values, n, kv_head, i);
          dv[static_cast<size_t>(n * kv_width + kv_head * d + i)] += p * grad[i];
        }
        double ds = p * (dp - delta) * s.scale;
        size_t z = view.zone(t, n);
        for (int64_t i = 0; i < d; ++i) {
          double factor = ds * view.decay(t, n, i);
          dq[z][static_cast<size_t>(t * width + h * d + i)] += factor * load_kv(zones[z].keys, n, kv_head, i);
          dk[z][static_cast<size_t>(n * kv_width + kv_head * d + i)] += factor * zones[z].q.row(t)[h * d + i];
        }
      }
    }
  auto write = [](Tensor to, const std::vector<double>& from) {
    for (int64_t t = 0; t < to.rows(); ++t)
      for (int64_t i = 0; i < to.cols(); ++i)
        to.row(t)[i] = static_cast<float>(from[static_cast<size_t>(t * to.cols() + i)]);
  };
  for (size_t z = 0; z < zones.size(); ++z) write(g.q[z], dq[z]), write(g.keys[z], dk[z]);
  write(g.values, dv);
}

void swiglu(Tensor out, Tensor gate, Tensor up) {
  for (int64_t t = 0; t < gate.rows(); ++t)
    for (int64_t i = 0; i < gate.cols(); ++i) {
      float g = gate.row(t)[i];
      store(out, t, i, g / (1.0f + std::exp(-g)) * up.row(t)[i]);
    }
}

void log_prob(Tensor out, Tensor x, std::span<const int32_t> targets) {
  for (int64_t t = 0; t < x.rows(); ++t) {
    const float* row = x.row(t);
    double largest = *std::max_element(row, row + x.cols()), sum = 0;
    for (int64_t i = 0; i < x.cols(); ++i) sum += std::exp(row[i] - largest);
    out.row(0)[t] = static_cast<float>(row[targets[static_cast<size_t>(t)]] - largest - std::log(sum));
  }
}

}  // namespace

void reference_attention_backward(const AttentionGradients& gradients, Tensor dout, Tensor out,
                                  Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                                  const AttentionShape& shape) {
  attention_backward(gradients, dout, out, log_sum, zones, values, shape);
}

const Kernels kReferenceKernels = {
    "reference",
    "plain loops: the specification",
    always,
    embed,
    rmsnorm,
    linear,
    packed_bytes,
    rope,
    store_kv,
    attention,
    attention_backward,
    swiglu,
    log_prob,
    reference_embed_backward,
    reference_rmsnorm_backward,
    reference_linear_input_gradient,
    reference_linear_weight_gradient,
    reference_swiglu_backward,
    reference_cross_entropy,
    reference_divergence,
    reference_adamw,
    reference_sum_of_squares,
};

}  // namespace longspan
