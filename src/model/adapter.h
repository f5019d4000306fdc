// Low-rank adapters (LoRA, Hu 2021, arXiv 2106.09685) of a layer, by the projection that each stands beside.
#pragma once

#include "kernels/kernels.h"

namespace longspan {

/// Those that are empty do nothing.
struct LayerAdapters {
  Adapter q, k, v, o, gate, up, down;
};

}  // namespace longspan
