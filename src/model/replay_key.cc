#include "model/replay_key.h"

#include <algorithm>
#include <bit>

namespace longspan {

namespace {

constexpr int64_t kLeastPlannedKeys = 1024;
int64_t next_power_of_two(int64_t n) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(n, 1))));
}

}  // namespace

void plan_ahead(LayerKinds& kinds) {
  for (LayerKind* kind : {&kinds.whole, &kinds.local, &kinds.unrotated}) {
    int64_t& keys = kind->shape.sequences.most_keys;
    keys = std::max(kLeastPlannedKeys, next_power_of_two(keys));
  }
}

std::vector<int64_t> replay_key(const Model& model, const KvPool& pool, const LayerKinds& kinds,
                                const Activations& a, int64_t rows, int64_t wanted) {
  auto address = [](const void* p) { return std::bit_cast<int64_t>(p); };
  std::vector<int64_t> key{address(model.weights.layers.data()),
                           address(model.adapters.data()),
                           address(pool.values(0, {}).memory),
                           address(a.residual.data),
                           address(a.inputs.table.data),
                           a.inputs.table.cols(),
                           rows,
                           wanted};
  for (const LayerKind* kind : {&kinds.whole, &kinds.local, &kinds.unrotated}) {
    const AttentionShape& s = kind->shape;
    for (int64_t n : {s.sequences.count, s.sequences.most_rows, s.sequences.most_keys, s.window, s.chunk})
      key.push_back(n);
    key.push_back(std::bit_cast<int32_t>(s.scale));
    for (const Tensor& t : {s.positions, s.slopes, s.decay, kind->sharpness}) key.push_back(address(t.data));
    for (const RopeTable& t : kind->queries) key.push_back(address(t.cos.data));
    for (const RopeTable& t : kind->keys) key.push_back(address(t.cos.data));
    for (size_t z = 0; z < kind->from.size(); ++z) {
      key.push_back(kind->from[z]);
      key.push_back(
          static_cast<int64_t>(kind->rotations.query_of[z] * kMaxZones + kind->rotations.key_of[z]));
    }
  }
  return key;
}

}  // namespace longspan
