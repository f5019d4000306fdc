// Low-rank adapters (LoRA, Hu 2021, arXiv 2106.09685) of a layer, one for each projection.
#pragma once

#include "kernels/kernels.h"

namespace longspan {

/// Empty ones have no effect.
struct LayerAdapters {
  Adapter q, k, v, o, gate, up, down;
};

}  // namespace longspan
