// forward: one loop over layers for every mode. A batch holds tokens of one or several sequences, each with
// its cache: chunks of prompts and single tokens together. It returns the hidden states, after the final
// norm, of the rows that want logits. The head runs separately, in chunks of rows, so that logits of a long
// text are never stored whole.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/progress.h"
#include "model/block.h"
#include "model/experts.h"

namespace longspan {

/// The next tokens of one sequence, at least one, which follow the cache.length() tokens in its cache. `spec`
/// is the position spec of the whole sequence (its declared length), the same for each call on that sequence;
/// the pool holds as many copies of keys as it asks for.
struct BatchSequence {
  KvCache* cache = nullptr;
  const PositionSpec* spec = nullptr;
  std::span<const int32_t> ids;
};

/// Sequences share one pool, and their specs differ in frequencies only. Rows are numbered consecutively
/// through the sequences.
struct Batch {
  std::vector<BatchSequence> sequences;
  std::vector<int32_t> logits_rows;  // rows whose hidden states are wanted, rising
  AttentionObserver observer{};      // or none

  int64_t rows() const;
};

/// Buffers of a step, reused by all layers and by all steps (inference plan). Sized for `rows` tokens.
struct Activations {
  int64_t rows = 0;
  Tensor residual;   // [T, C] F32
  Tensor normed;     // [T, C] F32 or BF16 (two views of one buffer)
  Tensor q, k, v;    // [T, H D], [T, K D], [T, K D] F32, before rotation
  Tensor rotated_q;  // [(R - 1) T, H D] F32: all rotations of the queries but one, which rotates in place
  Tensor rotated_k;  // [T, K D] F32, one rotation of the keys at a time; null if there is only one
  Tensor attended;   // [T, H D] F32 or BF16
  Tensor gate, up;   // [T, F] F32, F of the widest gate
  Tensor mlp;        // [T, F] F32 or BF16
  Tensor low_rank;   // [T, r] F32; null without adapters
  ExpertBuffers experts;  // null without experts
  Tensor cos, sin;        // [R T, r/2] F32: of each rotation of queries and keys
  Tensor hidden;          // [T, C] F32: of the rows that want logits, after the final norm
  Tensor head_input;      // [kHeadRows, C] F32 or BF16
  Tensor logits;          // [kHeadRows, V] F32
  Tensor targets;         // [kHeadRows] I32
  Tensor log_probs;       // [kHeadRows] F32
  PassInputs inputs;
  Arena arena;
};
constexpr int64_t kHeadRows = 64;

/// Buffers for steps of at most `rows` tokens under `spec` (or a spec with as many rotations).
Activations make_activations(const Model& model, const PositionSpec& spec, int64_t rows);
/// `head_rows`: rows of logits that are needed at once (1 when only the last token is wanted);
/// `adapter_rank`: of the model.
int64_t activation_bytes(const ModelConfig& config, const PositionSpec& spec, int64_t rows,
                         int64_t head_rows = kHeadRows, int64_t adapter_rank = 0);

/// Runs the batch through all layers, at most a.rows tokens. Keys and values are appended to the caches,
/// whose lengths grow. Returns [n, C] F32, a row for each of batch.logits_rows (null for none): a view into
/// `a`, valid until the next call. Error names an id outside the vocabulary, or says that the pool is full;
/// the caches are then as before.
Tensor forward(const Model& model, const Batch& batch, Activations& a);

/// logits = head(hidden rows), for at most kHeadRows rows: [rows, V] F32, a view into `a`.
Tensor head_logits(const Model& model, Tensor hidden, Activations& a);

/// Appends log p(targets[i]) under row i of `hidden`, natural log, for any number of rows.
void append_log_probs(const Model& model, Tensor hidden, std::span<const int32_t> targets, Activations& a,
                      std::vector<float>& out);

/// What the caller wants of a text while it is read: the hidden states of ids from .. to - 1, in order.
struct Reading {
  size_t from = 0, to = 0;
  std::function<void(Tensor hidden, size_t first)> on_hidden{};  // rows of ids first, first + 1, ...
  AttentionObserver observer{};
  Progress progress{};
};

/// Feeds ids to a cache in passes of at most a.rows tokens. False when progress asked to stop: what was read
/// until then stays in the cache.
bool read(const Model& model, KvCache& cache, const PositionSpec& spec, std::span<const int32_t> ids,
          Activations& a, const Reading& reading);

}  // namespace longspan
