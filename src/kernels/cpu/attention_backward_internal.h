// The interface between attention_backward.cc, which plans the work and is compiled for any x86-64, and the
// routine compiled once for each instruction set. Scores are kept in base 2. Arrays over tokens or keys
// extend one tile beyond their end, so that whole vectors can be read.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace longspan {

constexpr int64_t kBackwardTile = 64;  // queries, and keys, whose scores exist at one time; divides a page
constexpr float kMostDecay = 60;       // powers of two by which the factors of decay may leave 1

/// Rows of floats, `stride` floats apart.
struct FloatRows {
  float* data;
  int64_t stride;
};

struct BackwardZone {
  float from;
  FloatRows q, dq, dkeys;  // [T, H * D], [T, H * D], [T, K * D]
  void* const* key_pages;
  DType key_dtype;
};

/// Lowest and highest value in one tile.
struct Reach {
  float low, high;
};

struct BackwardJob {
  BackwardZone zones[kMaxAttentionZones];
  int64_t zone_count;
  FloatRows dout, dvalues;  // [T, H * D], [T, K * D]; dvalues null: nor are dkeys wanted
  void* const* value_pages;
  DType value_dtype;
  const void* out;  // [T, H * D], rows out_stride elements apart, BF16 or F32
  int64_t out_stride;
  bool out_bf16;
  int64_t tokens, past, keys, kv_heads, group, head_dim;  // T, the key of the first row, N
  int64_t block;  // queries, and keys, of one task: packed once; whole tiles
  float scale;
  float window;         // where key_last cannot express it: only distances below count; 0 is no window
  const float* slopes;  // [H] or null, times log2(e)
  const float* decay;   // [round_up(D, kBackwardTile)] or null, times log2(e), zero beyond D

  // Made by the plan. Key n is seen by queries key_first[n] .. key_last[n] - 1; neither ever falls.
  const int64_t *key_first, *key_last;
  const float *query_position, *key_position;    // [T], [N]
  const float *query_cell, *key_cell;            // the same in the unit of zones
  const Reach *query_positions, *key_positions;  // of each tile
  const Reach *query_cells, *key_cells;
  float *log_sum, *delta;  // [H][state_stride]: ln of sums in base 2 (0 where nothing is seen), dout . out
  int64_t state_stride;
};

/// Floats of scratch that a pair needs.
int64_t backward_scratch(const BackwardJob& job);

/// Writes job.delta of tokens [begin, end).
using BackwardDelta = void (*)(const BackwardJob& job, int64_t begin, int64_t end);
/// For one block of queries and one of keys, of one KV head: adds what each contributes to the other's
/// gradients.
using BackwardPair = void (*)(const BackwardJob& job, int64_t kv_head, int64_t query_block, int64_t key_block,
                              float* scratch);

struct BackwardRoutines {
  BackwardDelta delta;
  BackwardPair pair;
};
extern const BackwardRoutines kBackwardAvx2, kBackwardAvx512, kBackwardAvx512Bf16;

}  // namespace longspan
