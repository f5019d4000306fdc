// Arithmetic element by element: sums, factors, the gate of the MLP and its backward.
#include <algorithm>
#include <cassert>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/device.h"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1 << 16;

/// body(row, column) for every element; a thread takes `kWide` neighbours.
template <class Body>
__global__ void each_kernel(int64_t rows, int64_t cols, Body body) {
  int64_t n = rows * cols, step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < n; at += step)
    body(at / cols, at % cols);
}

/// Whether rows of a tensor can be read in groups of four elements.
bool by_four(const Tensor& x) {
  int64_t group = x.dtype == DType::F32 ? 16 : 8;
  return x.cols() % 4 == 0 && reinterpret_cast<uintptr_t>(x.data) % group == 0 && x.row_stride % group == 0;
}

template <class Body>
void each(const Tensor& shape, int64_t rows, int64_t cols, const char* what, Body body) {
  if (rows * cols == 0) return;
  CudaDevice& device = device_of(shape);
  int64_t blocks = std::clamp<int64_t>((rows * cols + kThreads - 1) / kThreads, 1, kMostBlocks);
  each_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, device.stream()>>>(rows, cols, body);
  check_launch(what);
}

__device__ inline float4 load4(const Rows& x, int64_t t, int64_t i) {
  return reinterpret_cast<const float4*>(x.row<float>(t))[i];
}
template <class T>
__device__ void store4(const Rows& x, int64_t t, int64_t i, float4 v) {
  if constexpr (sizeof(T) == 4) {
    reinterpret_cast<float4*>(x.row<float>(t))[i] = v;
  } else {
    T four[4] = {from_float<T>(v.x), from_float<T>(v.y), from_float<T>(v.z), from_float<T>(v.w)};
    reinterpret_cast<uint2*>(x.row<T>(t))[i] = *reinterpret_cast<uint2*>(four);
  }
}

/// out = f(a, b) over F32 tensors.
template <class F>
void binary(Tensor out, Tensor a, Tensor b, const char* what, F f) {
  assert(out.rows() == a.rows() && out.cols() == a.cols() && a.rows() == b.rows() && a.cols() == b.cols());
  Rows o = rows_of(out), x = rows_of(a), y = rows_of(b);
  if (by_four(out) && by_four(a) && by_four(b))
    each(out, out.rows(), out.cols() / 4, what, [=] __device__(int64_t t, int64_t i) {
      float4 p = load4(x, t, i), q = load4(y, t, i);
      store4<float>(o, t, i, {f(p.x, q.x), f(p.y, q.y), f(p.z, q.z), f(p.w, q.w)});
    });
  else
    each(out, out.rows(), out.cols(), what, [=] __device__(int64_t t, int64_t i) {
      o.row<float>(t)[i] = f(x.row<float>(t)[i], y.row<float>(t)[i]);
    });
}

struct Add {
  __device__ float operator()(float a, float b) const { return __fadd_rn(a, b); }
};
struct Axpby {
  float a, b;
  // Without contraction: rounded as on the host.
  __device__ float operator()(float x, float y) const { return __fadd_rn(__fmul_rn(a, x), __fmul_rn(b, y)); }
};

/// dgate and dup of one element.
template <Activation kActivation>
__device__ void back(float d, float g, float u, float& dgate, float& dup) {
  float z, slope;
  argument<kActivation>(g, z, slope);
  float s = sigmoid(z);
  dgate = d * u * (s + g * s * (1 - s) * slope);
  dup = d * g * s;
}

template <class Body>
void with_activation(Activation activation, Body body) {
  if (activation == Activation::Silu)
    body(std::integral_constant<Activation, Activation::Silu>{});
  else
    body(std::integral_constant<Activation, Activation::GeluTanh>{});
}

template <class T>
void gelu_of(Tensor out, Tensor x) {
  Rows o = rows_of(out), in = rows_of(x);
  each(out, x.rows(), x.cols(), "gelu", [=] __device__(int64_t t, int64_t i) {
    float v = in.row<float>(t)[i];
    o.row<T>(t)[i] = from_float<T>(0.5f * v * erfcf(-v * 0.70710678118654752f));
  });
}

template <Activation kActivation, class T>
void gate_of(Tensor out, Tensor gate, Tensor up) {
  Rows o = rows_of(out), g = rows_of(gate), u = rows_of(up);
  if (by_four(out) && by_four(gate) && by_four(up))
    each(out, out.rows(), out.cols() / 4, "gate", [=] __device__(int64_t t, int64_t i) {
      float4 a = load4(g, t, i), b = load4(u, t, i);
      store4<T>(o, t, i,
                {activate<kActivation>(a.x) * b.x, activate<kActivation>(a.y) * b.y,
                 activate<kActivation>(a.z) * b.z, activate<kActivation>(a.w) * b.w});
    });
  else
    each(out, out.rows(), out.cols(), "gate", [=] __device__(int64_t t, int64_t i) {
      o.row<T>(t)[i] = from_float<T>(activate<kActivation>(g.row<float>(t)[i]) * u.row<float>(t)[i]);
    });
}

template <Activation kActivation, class T>
void gate_backward_of(Tensor dgate, Tensor dup, Tensor dout, Tensor gate, Tensor up) {
  Rows dg = rows_of(dgate), du = rows_of(dup), d = rows_of(dout), g = rows_of(gate), u = rows_of(up);
  if (by_four(dgate) && by_four(dup) && by_four(dout) && by_four(gate) && by_four(up))
    each(dgate, gate.rows(), gate.cols() / 4, "gate_backward", [=] __device__(int64_t t, int64_t i) {
      float4 a = load4(d, t, i), b = load4(g, t, i), c = load4(u, t, i), x, y;
      back<kActivation>(a.x, b.x, c.x, x.x, y.x), back<kActivation>(a.y, b.y, c.y, x.y, y.y);
      back<kActivation>(a.z, b.z, c.z, x.z, y.z), back<kActivation>(a.w, b.w, c.w, x.w, y.w);
      store4<T>(dg, t, i, x), store4<T>(du, t, i, y);
    });
  else
    each(dgate, gate.rows(), gate.cols(), "gate_backward", [=] __device__(int64_t t, int64_t i) {
      float x, y;
      back<kActivation>(d.row<float>(t)[i], g.row<float>(t)[i], u.row<float>(t)[i], x, y);
      dg.row<T>(t)[i] = from_float<T>(x), du.row<T>(t)[i] = from_float<T>(y);
    });
}

}  // namespace

void cuda_add(Tensor to, Tensor x) { binary(to, to, x, "add", Add{}); }

void cuda_axpby(Tensor x, float a, Tensor y, float b) { binary(x, x, y, "axpby", Axpby{a, b}); }

void cuda_scale(Tensor x, float factor, Tensor factors) {
  assert(x.dtype == DType::F32 && (!factors || factors.dtype == DType::F32));
  Rows rows = rows_of(x);
  const auto* of = static_cast<const float*>(factors.data);
  each(x, x.rows(), x.cols(), "scale",
       [=] __device__(int64_t t, int64_t i) { rows.row<float>(t)[i] *= of ? factor * of[t] : factor; });
}

void cuda_soft_cap(Tensor x, float cap) {
  assert(x.dtype == DType::F32 && cap > 0);
  Rows rows = rows_of(x);
  each(x, x.rows(), x.cols(), "soft_cap", [=] __device__(int64_t t, int64_t i) {
    float& at = rows.row<float>(t)[i];
    at = cap * tanhf(at / cap);
  });
}

void cuda_gelu(Tensor out, Tensor x) {
  assert(x.dtype == DType::F32 && out.rows() == x.rows() && out.cols() == x.cols());
  with_type(out.dtype, [&](auto type) { gelu_of<decltype(type)>(out, x); });
}

void cuda_gate(Tensor out, Tensor gate, Tensor up, Activation activation) {
  assert(gate.dtype == DType::F32 && up.dtype == DType::F32);
  with_activation(activation, [&](auto a) {
    with_type(out.dtype, [&](auto type) { gate_of<a.value, decltype(type)>(out, gate, up); });
  });
}

void cuda_gate_backward(Tensor dgate, Tensor dup, Tensor dout, Tensor gate, Tensor up,
                        Activation activation) {
  assert(dgate.dtype == dup.dtype);
  with_activation(activation, [&](auto a) {
    with_type(dgate.dtype,
              [&](auto type) { gate_backward_of<a.value, decltype(type)>(dgate, dup, dout, gate, up); });
  });
}

}  // namespace longspan
