// Decoders as embedders (Qwen3-Embedding; Zhang 2025, arXiv 2506.05176): the vector of a text is the row of
// its last token behind the final norm.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/forward.h"

namespace longspan {

struct LastToken {
  std::shared_ptr<Model> model;
  std::shared_ptr<Activations> buffers;  // made at first use

  /// [S, C]: the last row of each text, none empty; at most `rows` tokens a pass. Texts are read side by side
  /// while they fit one pass.
  std::vector<float> rows_of(std::span<const std::span<const int32_t>> texts, int64_t rows);
};

/// `checkpoint` must outlive the result. Files may name their tensors without "model." in front.
LastToken load_last_token(Checkpoint& checkpoint, std::shared_ptr<Device> device, Compute compute);

}  // namespace longspan
