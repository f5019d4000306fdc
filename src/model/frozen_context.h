// A frozen context: tokens that a training pass reads once, with the weights of the moment and without
// gradient, and behind which many short rows stand, each directly behind the context and unseen by the
// others. So a context of 256K tokens trains with the memory of its questions, and the loss of a row is that
// of the context and the row read as one text.
//
// Attention of the rows has two parts, merged by their log-sums. The near part is the attention of a batch of
// sequences: the tail of the context, long enough that everything before it lies in the last zone of every
// row, and the row's own keys; so the borders of zones are exact. The far part is one call of all rows over
// the keys before the tail, where distance decides nothing. Backward gives each part the merged output and
// log-sum, so that its probabilities are those of the whole softmax (as ring attention does, Liu 2023, arXiv
// 2310.01889). Neither gives gradients to the context's keys and values.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "data/row.h"
#include "model/forward.h"
#include "model/training.h"

namespace longspan {

/// Most rows (documents of a TrainingRow) of one pass.
constexpr int64_t kMostFrozenRows = 256;
/// Tokens of a chunk in which the context is read.
int64_t frozen_chunk(const Kernels& k);

/// Error, for people, when the method or the model cannot have frozen contexts: slopes, decay, zones counted
/// in chunks, sliding windows.
void check_frozen(const ModelConfig& config, const PositionSpec& spec);

class FrozenContext {
 public:
  /// For contexts of at most `context` tokens and passes of at most `tokens` tokens behind them. `dtype`: of
  /// keys, values and attention's results.
  FrozenContext(const Model& model, const PositionSpec& spec, int64_t context, int64_t tokens, DType dtype);
  /// The same bytes from shapes alone.
  static int64_t bytes(const ModelConfig& config, const PositionSpec& spec, int64_t context, int64_t tokens,
                       DType dtype, const Kernels& k, int64_t adapter_rank);
  int64_t allocated() const;

  /// Reads the context, which the next passes stand behind.
  void read(const Model& model, const PositionSpec& spec, std::span<const int32_t> context);
  int64_t length() const { return context_.length(); }

  /// Lays the documents of a row behind the context. The result is the pass's; its positions are the row's.
  PassRows lay(Device& device, const TrainingRow& row, const PositionSpec& spec);
  /// Of the rows that were laid; `table` is that of their pass.
  LayerKv kv(int64_t layer, const LayerKind& kind, Tensor table);
  /// As Kernels::attention_backward, with zones as attention read them.
  void backward(const Kernels& k, const AttentionGradients& gradients, Tensor dout, Tensor out,
                Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                const AttentionShape& shape);

 private:
  std::shared_ptr<KvPool> pool_;
  KvCache context_;
  Activations activations_;
  std::vector<KvCache> rows_;  // forks of the context
  FarAttention far_;
  Tensor far_table_, far_rows_, far_past_;  // [pages], [2], [1] I32
  Arena arena_;
};

}  // namespace longspan
