// What a recorded pass is known by: see Device::replay.
#pragma once

#include <cstdint>
#include <vector>

#include "model/forward.h"

namespace longspan {

/// Rounds the keys that attention's launches are planned for up, so that a recording stays right while the
/// text grows.
void plan_ahead(LayerKinds& kinds);

/// Everything on which the requests of a pass of `rows` rows depend, beside what it reads from the device's
/// memory: addresses, sizes and the zones of its layers. `wanted`: rows whose hidden states are wanted.
std::vector<int64_t> replay_key(const Model& model, const KvPool& pool, const LayerKinds& kinds,
                                const Activations& a, int64_t rows, int64_t wanted);

}  // namespace longspan
