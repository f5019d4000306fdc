// AttentionShape and KvPages as implementations on the host read them: one sequence at a time, tensors as
// spans, pages as addresses.
#pragma once

#include <span>
#include <vector>

#include "kernels/kernels.h"

namespace longspan {

/// One sequence of a batch; fields as in AttentionShape. Its rows begin at row `first` of the batch.
struct SequenceAttention {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t first = 0, tokens = 0, past = 0;
  float scale = 1.0f, soft_cap = 0;
  int64_t window = 0;
  bool causal = true;
  int64_t chunk = 0;
  std::span<const float> positions{};
  std::span<const int32_t> starts{};
  std::span<const float> slopes{}, decay{};
  float sparse = 0;  // 0 also where attention is dense anyway

  int64_t keys() const { return past + tokens; }
};

SequenceAttention sequence_attention(const AttentionShape& shape, int64_t sequence);

/// First row, rows and past of a sequence.
struct SequenceRows {
  int64_t first, tokens, past;
};
SequenceRows sequence_rows(const Sequences& sequences, int64_t sequence);

/// Sets keep[i] for the fewest of `count` masses, the largest, that have `share` of their sum together.
void keep_largest(uint8_t* keep, const float* masses, int64_t count, float share);

/// Addresses of the pages that hold the first `keys` tokens of a sequence.
std::vector<void*> page_addresses(const KvPages& pages, int64_t sequence, int64_t keys);

}  // namespace longspan
