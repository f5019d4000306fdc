// The interface between attention.cc, which plans the work and is compiled for any x86-64, and the routines
// compiled once for each instruction set. Scores are kept in base 2: `scale`, `soft_cap`, `slopes` and
// `decay` hold the caller's times log2(e). A row is a (token, head of the group) pair: row r of a token range
// is token r / group, head r % group.
#pragma once

#include <cstdint>

#include "kernels/cpu/attention_keys.h"
#include "kernels/kernels.h"

namespace longspan {

struct AttentionJob {
  /// Farthest first, as the ranges of RowKeys.
  struct Zone {
    const float* q;  // [T, H * D], rows q_stride floats apart
    int64_t q_stride;
    void* const* key_pages;
    DType key_dtype;
  };
  Zone zones[kMaxAttentionZones];
  int64_t zone_count;
  const RowKeys* rows;  // [T]
  void* out;            // [T, H * D], rows out_stride elements apart, BF16 or F32
  int64_t out_stride;
  bool out_bf16;
  float* log_sum;  // [T, H], rows log_sum_stride floats apart, or null
  int64_t log_sum_stride;
  void* const* value_pages;
  DType value_dtype;
  int64_t kv_heads, group, head_dim;
  int64_t past;
  float scale;
  float soft_cap;          // 0: none
  const float* positions;  // [past + T], or null: the indices
  const float* slopes;     // [H], or null
  const float* decay;      // [D, zeros up to a multiple of kDecayPadding], or null
  float sparse;            // as in SequenceAttention
  SparseScores* scores;    // or null
};

constexpr int64_t kTileKeys = kSparseKeys;  // keys packed at a time; divides a page
constexpr int64_t kSparseCell = 8;     // queries and keys of an estimate of sparse prefill; divides a tile
constexpr int64_t kChunkKeys = 64;     // keys streamed at a time by decode; divides a page
constexpr int64_t kStreamRows = 16;    // most rows of one decode part
constexpr int64_t kStateLanes = 16;    // floats that hold a row's running sum: one of the widest vectors
constexpr int64_t kDecayPadding = 32;  // elements of the widest packed vector
// A row starts with kFloor as its largest score; invisible keys get the score kMasked. Both are finite, so
// all differences are finite, too (never inf - inf), and 2^(kMasked - kFloor) is 0, so that invisible keys do
// not count.
constexpr float kFloor = -1e30f;
constexpr float kMasked = -2e30f;

// One row of a decode part's result: out[D] (not normalised), the largest score, the sum; padded to whole
// cache lines.
constexpr int64_t kPartialState = 16;

/// ln of the sum of 2^score of a row from its largest score and the sum relative to it; -inf if nothing was
/// seen. Not inline: code compiled for one processor must not be shared with the others.
float log_of_sum(float largest, float sum);

/// Floats that a tile, or a chunk of all zones, of decoded codes needs: 0 where nothing is quantised.
int64_t tile_room(const AttentionJob& job);
int64_t chunk_room(const AttentionJob& job);

/// Floats of scratch that a prefill block of `tokens` tokens needs; and that its estimates take behind them,
/// where it sees keys before `last` (attention_sparse.inc): 0 where it is dense.
int64_t prefill_scratch(const AttentionJob& job, int64_t tokens);
int64_t sparse_scratch(const AttentionJob& job, int64_t tokens, int64_t last);
/// Adds to job.scores.
void count_scores(const AttentionJob& job, int64_t all, int64_t skipped);

/// Attention of one KV head's group for tokens [begin, end), written to job.out. scratch is 64-byte aligned.
/// With decay, the positions of the tokens must not be so far apart that 2^(decay distance) leaves F32.
using PrefillBlock = void (*)(const AttentionJob& job, int64_t kv_head, int64_t begin, int64_t end,
                              float* scratch);
/// One KV head, all rows (at most kStreamRows), keys [begin, end) of which rows see what job.rows says;
/// partial[row] as above; room: chunk_room floats, null where that is 0. Needs head_dim % 16 == 0, begin %
/// kChunkKeys == 0, keys of one type, no decay.
using DecodePart = void (*)(const AttentionJob& job, int64_t tokens, int64_t kv_head, int64_t begin,
                            int64_t end, float* partial, float* room);

void prefill_avx2(const AttentionJob&, int64_t kv_head, int64_t begin, int64_t end, float* scratch);
void prefill_avx512(const AttentionJob&, int64_t kv_head, int64_t begin, int64_t end, float* scratch);
void prefill_avx512_bf16(const AttentionJob&, int64_t kv_head, int64_t begin, int64_t end, float* scratch);
void prefill_amx(const AttentionJob&, int64_t kv_head, int64_t begin, int64_t end, float* scratch);
void decode_avx2(const AttentionJob&, int64_t tokens, int64_t kv_head, int64_t begin, int64_t end,
                 float* partial, float* room);
void decode_avx512(const AttentionJob&, int64_t tokens, int64_t kv_head, int64_t begin, int64_t end,
                   float* partial, float* room);

}  // namespace longspan
