// Movement, elementwise arithmetic, the gate, adapters and the rope table in plain loops. Operations that
// round once (add, scale, axpby, convert) give the same bits in every implementation.
#include <cassert>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/reference/element.h"
#include "kernels/reference/reference.h"

namespace longspan {

namespace {

bool same_shape(const Tensor& a, const Tensor& b) { return a.rows() == b.rows() && a.cols() == b.cols(); }

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Activations are x sigmoid(z(x)): the tanh form of gelu too, since 0.5 (1 + tanh(u)) = sigmoid(2 u), which
/// loses no digits where tanh(u) is near -1.
struct Argument {
  double z, slope;  // dz/dx
};

Argument argument(Activation activation, double x) {
  constexpr double kScale = 2 * 0.79788456080286535588, kCube = 0.044715;  // 2 sqrt(2 / pi)
  switch (activation) {
    case Activation::Silu:
      return {x, 1};
    case Activation::GeluTanh:
      return {kScale * (x + kCube * x * x * x), kScale * (1 + 3 * kCube * x * x)};
  }
  assert(!"an activation");
  return {NAN, NAN};
}

}  // namespace

void reference_convert(Tensor out, Tensor x) {
  assert(same_shape(out, x));
  std::vector<std::byte> raw(static_cast<size_t>(dtype_bytes(x.dtype, x.cols())));
  std::vector<float> values(static_cast<size_t>(x.cols()));
  for (int64_t t = 0; t < x.rows(); ++t) {
    std::memcpy(raw.data(), x.row<std::byte>(t),
                raw.size());  // aligned, which the bytes of a file need not be
    if (out.dtype == x.dtype) {
      std::memcpy(out.row<std::byte>(t), raw.data(), raw.size());
      continue;
    }
    dequantise(values.data(), raw.data(), x.dtype, x.cols());
    for (int64_t i = 0; i < x.cols(); ++i) store(out, t, i, values[static_cast<size_t>(i)]);
  }
}

void reference_split(Tensor high, Tensor low, Tensor x) {
  assert(same_shape(high, x) && same_shape(low, x) && x.dtype == DType::F32);
  assert(high.dtype == DType::BF16 && low.dtype == DType::BF16);
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) {
      store(high, t, i, x.row(t)[i]);
      store(low, t, i, x.row(t)[i] - load(high, t, i));
    }
}

void reference_gather(Tensor out, Tensor x, Tensor rows) {
  assert(x.dtype == DType::F32 && rows.dtype == DType::I32 && out.cols() == x.cols());
  for (int64_t t = 0; t < out.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) store(out, t, i, x.row(rows.row<int32_t>(0)[t])[i]);
}

void reference_scatter(Tensor out, Tensor x, Tensor rows) {
  assert(x.dtype == DType::F32 && out.dtype == DType::F32 && rows.dtype == DType::I32);
  assert(out.cols() == x.cols());
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) out.row(rows.row<int32_t>(0)[t])[i] = x.row(t)[i];
}

void reference_fill(Tensor x, float value) {
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i)
      if (x.dtype == DType::F64)
        x.row<double>(t)[i] = value;
      else
        store(x, t, i, value);
}

void reference_add(Tensor to, Tensor x) {
  assert(same_shape(to, x) && to.dtype == DType::F32 && x.dtype == DType::F32);
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) to.row(t)[i] += x.row(t)[i];
}

void reference_scale(Tensor x, float factor, Tensor factors) {
  assert(x.dtype == DType::F32 && (!factors || factors.dtype == DType::F32));
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) x.row(t)[i] *= factors ? factor * factors.row(0)[t] : factor;
}

void reference_axpby(Tensor x, float a, Tensor y, float b) {
  assert(same_shape(x, y) && x.dtype == DType::F32 && y.dtype == DType::F32);
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) x.row(t)[i] = a * x.row(t)[i] + b * y.row(t)[i];
}

void reference_soft_cap(Tensor x, float cap) {
  assert(x.dtype == DType::F32 && cap > 0);
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i)
      x.row(t)[i] = static_cast<float>(cap * std::tanh(static_cast<double>(x.row(t)[i]) / cap));
}

void reference_gate(Tensor out, Tensor gate, Tensor up, Activation activation) {
  assert(same_shape(out, gate) && same_shape(gate, up));
  assert(gate.dtype == DType::F32 && up.dtype == DType::F32);
  for (int64_t t = 0; t < gate.rows(); ++t)
    for (int64_t i = 0; i < gate.cols(); ++i) {
      double g = gate.row(t)[i];
      store(out, t, i, static_cast<float>(g * sigmoid(argument(activation, g).z) * up.row(t)[i]));
    }
}

void reference_gelu(Tensor out, Tensor x) {
  assert(same_shape(out, x) && x.dtype == DType::F32);
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) {
      double v = x.row(t)[i];
      store(out, t, i, static_cast<float>(v * 0.5 * std::erfc(-v / std::sqrt(2.0))));
    }
}

void reference_gate_backward(Tensor dgate, Tensor dup, Tensor dout, Tensor gate, Tensor up,
                             Activation activation) {
  assert(same_shape(dgate, gate) && same_shape(dup, gate) && same_shape(dout, gate) && same_shape(up, gate));
  for (int64_t t = 0; t < gate.rows(); ++t)
    for (int64_t i = 0; i < gate.cols(); ++i) {
      double g = gate.row(t)[i], u = up.row(t)[i], d = dout.row(t)[i];
      auto [z, slope] = argument(activation, g);
      double s = sigmoid(z);
      store(dgate, t, i, static_cast<float>(d * u * (s + g * s * (1 - s) * slope)));
      store(dup, t, i, static_cast<float>(d * g * s));
    }
}

void reference_low_rank(Tensor out, Tensor low, Tensor x, const Adapter& adapter) {
  kReferenceKernels.linear(low, x, adapter.a, false);
  reference_scale(low, adapter.scale, {});
  kReferenceKernels.linear(out, low, adapter.b, true);
}

void reference_merge(Tensor w, const Adapter& adapter) {
  const Tensor &a = adapter.a.weight, &b = adapter.b.weight;
  assert(w.rows() == b.rows() && w.cols() == a.cols() && a.rows() == b.cols());
  assert(w.dtype == DType::F32 && a.dtype == DType::F32 && b.dtype == DType::F32);
  for (int64_t n = 0; n < w.rows(); ++n)
    for (int64_t c = 0; c < w.cols(); ++c) {
      double sum = 0;
      for (int64_t r = 0; r < a.rows(); ++r) sum += static_cast<double>(b.row(n)[r]) * a.row(r)[c];
      w.row(n)[c] = static_cast<float>(w.row(n)[c] + adapter.scale * sum);
    }
}

void reference_rope_table(const RopeTable& table, Tensor positions, const Rotation& rotation, double scale) {
  int64_t pairs = table.cos.cols();
  assert(positions.dtype == DType::F64 && pairs == static_cast<int64_t>(rotation.inv_freq.size()));
  for (int64_t t = 0; t < table.cos.rows(); ++t)
    for (int64_t i = 0; i < pairs; ++i) {
      double angle =
          apply(rotation.map, positions.row<double>(0)[t]) * rotation.inv_freq[static_cast<size_t>(i)];
      table.cos.row(t)[i] = static_cast<float>(std::cos(angle) * scale);
      table.sin.row(t)[i] = static_cast<float>(std::sin(angle) * scale);
    }
}

}  // namespace longspan
