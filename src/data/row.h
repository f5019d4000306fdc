// TrainingRow: what one forward and backward pass reads: T tokens of one or more documents, side by side. The
// attention of a token reaches back to the start of its own document only, and positions start anew there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longspan {

struct TrainingRow {
  std::vector<int32_t> ids;  // [T]
  std::vector<double>
      positions;                // [T] of the rotary embedding; not falling within a document, may skip (PoSE)
  std::vector<int64_t> starts;  // [T] index of the first token of the token's document
  std::vector<int32_t> targets;        // [T] the token to predict; -1: none
  std::vector<float> weights;          // [T] of the target in the loss; 0: none
  std::vector<std::string> documents;  // ids of what is in it, for reports of suspicious steps

  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
};

}  // namespace longspan
