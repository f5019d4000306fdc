// The activations of gated MLPs: x sigmoid(z(x)); see kernels/reference/elementwise.cc.
#pragma once

#include "kernels/kernels.h"

namespace longspan {

__device__ inline float sigmoid(float x) { return 1 / (1 + expf(-x)); }

/// z and dz/dx.
template <Activation kActivation>
__device__ void argument(float x, float& z, float& slope) {
  if constexpr (kActivation == Activation::Silu) {
    z = x, slope = 1;
  } else {
    constexpr float kScale = static_cast<float>(2 * 0.79788456080286535588), kCube = 0.044715f;
    z = kScale * (x + kCube * x * x * x);
    slope = kScale * (1 + 3 * kCube * x * x);
  }
}

template <Activation kActivation>
__device__ float activate(float x) {
  float z, slope;
  argument<kActivation>(x, z, slope);
  return x * sigmoid(z);
}

}  // namespace longspan
