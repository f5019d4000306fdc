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

void attention(Tensor out, Tensor q, const KvPages& keys, const KvPages& values, const AttentionShape& s) {
  std::vector<double> p, o(static_cast<size_t>(s.head_dim));
  for (int64_t t = 0; t < q.rows(); ++t) {
    int64_t visible = s.past + t + 1, first = s.window > 0 ? std::max<int64_t>(0, visible - s.window) : 0;
    for (int64_t h = 0; h < s.heads; ++h) {
      int64_t kv_head = h / (s.heads / s.kv_heads);
      const float* qh = q.row(t) + h * s.head_dim;
      p.assign(static_cast<size_t>(visible - first), 0.0);
      double largest = -INFINITY, total = 0;
      for (int64_t n = first; n < visible; ++n) {
        double dot = 0;
        for (int64_t i = 0; i < s.head_dim; ++i)
          dot += static_cast<double>(qh[i]) * load_kv(keys, n, kv_head, i);
        p[static_cast<size_t>(n - first)] = dot * s.scale;
        largest = std::max(largest, dot * s.scale);
      }
      std::fill(o.begin(), o.end(), 0.0);
      for (int64_t n = first; n < visible; ++n) {
        double e = std::exp(p[static_cast<size_t>(n - first)] - largest);
        total += e;
        for (int64_t i = 0; i < s.head_dim; ++i)
          o[static_cast<size_t>(i)] += e * load_kv(values, n, kv_head, i);
      }
      for (int64_t i = 0; i < s.head_dim; ++i)
        store(out, t, h * s.head_dim + i, static_cast<float>(o[static_cast<size_t>(i)] / total));
    }
  }
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

const Kernels kReferenceKernels = {
    "reference",  "plain loops: the specification",
    always,       embed,
    rmsnorm,      linear,
    packed_bytes, rope,
    store_kv,     attention,
    swiglu,       log_prob,
};

}  // namespace longspan
