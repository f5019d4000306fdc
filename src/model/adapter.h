// Low-rank adapters (LoRA, Hu 2021, arXiv 2106.09685): y += scale (x A^T) B^T beside a projection's own
// product.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/kernels.h"

namespace longspan {

struct Adapter {
  Linear a;  // [r, C]
  Linear b;  // [N, r]
  float scale = 0;

  explicit operator bool() const { return static_cast<bool>(a); }
};

/// A layer's adapters by role; those that are empty do nothing.
struct LayerAdapters {
  Adapter q, k, v, o, gate, up, down;
};

}  // namespace longspan
