// TrainingRow: what one forward and backward pass reads: T tokens of one or more documents, one after the
// other. Attention reaches back to the start of a token's own document only, and positions restart there. A
// row with a frozen context has documents that all continue it: attention sees the context, too, which gets
// no gradient, and the positions of each document begin behind it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longspan {

struct TrainingRow {
  std::vector<int32_t> ids;  // [T]
  // [T] of the rotary embedding; within a document they never decrease, but may skip (PoSE).
  std::vector<double> positions;
  std::vector<int64_t> starts;         // [T] index of the first token of the token's document
  std::vector<int32_t> targets;        // [T] the token to predict; -1: none
  std::vector<float> weights;          // [T] of the target in the loss; 0: none
  std::vector<std::string> documents;  // their ids, for reports of suspicious steps
  std::vector<int32_t> context = {};   // frozen; empty: none

  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
};

}  // namespace longspan
