// Which keys a query of attention sees and in which zone, once for a call: distance never grows from one key
// of a document to the next, so the keys of a zone are one range, and the ranges follow each other from the
// farthest zone to the nearest.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/host_attention.h"

namespace longspan {

/// The keys that one query sees: range j is edge[j] <= n < edge[j + 1] and belongs to zone Z - 1 - j of the Z
/// zones. Empty ranges are edge[j] == edge[j + 1]; edges beyond the last repeat it.
struct RowKeys {
  int64_t edge[kMaxAttentionZones + 1];
};

/// Of every query: [tokens].
std::vector<RowKeys> keys_of_rows(const SequenceAttention& shape, std::span<const AttentionZone> zones);

}  // namespace longspan
