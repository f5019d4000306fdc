// The rows of one pass through the layers: on the host as the caller gives them, and on the device as the
// layers read them. Rows of several sequences are concatenated; each sequence has the position spec of its
// own declared length.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "model/config.h"
#include "tensor/arena.h"

namespace longspan {

/// On the host. Attention needs positions only where they are not the indices of the keys (past + row), as in
/// packed documents.
struct PassRows {
  std::vector<int32_t> ids;                // [T]
  std::vector<double> positions;           // [T] of the rotary embedding
  bool indices = true;                     // distances are those of places in the cache
  std::vector<int32_t> starts;             // [T] as in AttentionShape; empty: one document. One sequence.
  std::vector<int32_t> first{0};           // [S + 1] as in Sequences
  std::vector<int32_t> past;               // [S]
  std::vector<const PositionSpec*> specs;  // [S]
  std::vector<std::span<const int32_t>> pages = {};  // [S] of the cache

  int64_t count() const { return static_cast<int64_t>(ids.size()); }
  int64_t sequences() const { return static_cast<int64_t>(past.size()); }
  /// Adds a sequence of rows that follow `past` tokens in the cache and `skipped` others.
  void add(std::span<const int32_t> sequence_ids, int64_t past, int64_t skipped, const PositionSpec& spec,
           std::span<const int32_t> sequence_pages);
};

/// On the device; made once for passes of at most `rows` rows, filled for each.
struct PassInputs {
  Tensor ids;        // [rows] I32
  Tensor positions;  // [rows] F64
  Tensor indices;    // [rows] F32: positions, as attention reads them
  Tensor starts;     // [rows] I32
  Tensor sharpness;  // [rows] F32: log n factors
  Tensor first;      // [rows + 1] I32
  Tensor past;       // [rows] I32
  Tensor slopes;     // [H] F32
  Tensor decay;      // [D] F32
  Tensor wanted;     // [rows] I32: rows whose hidden states are wanted
  Tensor table;      // [S, P] I32: pages of the sequences of the pass, in memory that grows with the text
  Tensor table_memory;
  Arena tables;  // owns it

  /// Bytes of all but the table.
  static int64_t bytes(const ModelConfig& config, int64_t rows);
  static PassInputs make(Device& device, Arena& arena, const ModelConfig& config, int64_t rows);
};

/// Rotations and attention shape, shared by all layers of one kind.
struct LayerKind {
  Rotations rotations;                   // of the first sequence; all have as many
  std::vector<RopeTable> queries, keys;  // by rotation
  std::vector<int64_t> from;             // of each zone
  AttentionShape shape;
  Tensor sharpness;  // [T] F32 factor of each query, or null
};

struct LayerKinds {
  LayerKind whole, local, unrotated;
  const LayerKind& of(const ModelConfig& config, int64_t layer) const {
    if (config.unrotated_layer(layer)) return unrotated;
    return config.local_layer(layer) ? local : whole;
  }
};

/// Number of tables of cos and sin that a spec needs: buffers hold that many times the rows of a pass.
int64_t rope_tables(const ModelConfig& config, const PositionSpec& spec);

/// Whether sequences of these specs may be in one pass: everything but their frequencies is equal.
bool same_but_frequencies(const PositionSpec& a, const PositionSpec& b);

/// Uploads the rows and makes the tables of angles. `cos`, `sin`: [rope_tables * T at least, r/2]. Error
/// names an id outside the vocabulary. The result views `inputs`, `cos` and `sin`.
LayerKinds prepare_pass(Device& device, const ModelConfig& config, const PassRows& rows, PassInputs& inputs,
                        Tensor cos, Tensor sin);

/// The factor of a query, max(1, ln(position + 1) / ln(log_n)); 1 when log_n is 0.
float sharpness(const PositionSpec& spec, double position);

}  // namespace longspan
