// FLOPs that a model needs, from shapes alone, and what this machine can do: model FLOPs utilisation (MFU;
// Chowdhery 2022, arXiv 2204.02311) with attention counted causally and recomputation not counted.
#pragma once

#include "data/row.h"
#include "model/training.h"

namespace longspan {

/// P: weights that a token is multiplied with: all but the embedding, which is a lookup.
int64_t multiplied_parameters(const ModelConfig& config);

/// Elements that train, from shapes alone.
int64_t trained_elements(const ModelConfig& config, const Trained& trained);

/// Pairs of query and key that the layers attend over in one document of n tokens: the token at place t (from
/// 1) sees t keys in a layer that sees everything, min(t, window) in a local one. Summed over tokens and
/// layers.
double attended_pairs(const ModelConfig& config, int64_t n);

/// Forward of one row: 2 P a token, 4 H D an attended pair (the scores and their sum over values).
double forward_flops(const ModelConfig& config, const TrainingRow& row);
/// Forward and backward of one row: 6 for each trained weight of a product and 4 for each frozen one a token
/// (it needs no gradient of its own), 12 H D an attended pair; with a frozen context its forward, and 10 H D
/// a pair of a token of the row and one of the context.
double row_flops(const ModelConfig& config, const Trained& trained, const TrainingRow& row);
/// The same a token, for rows of one document of n tokens and all weights trained: 6 P + 12 H D pairs(n) / n.
double training_flops_per_token(const ModelConfig& config, int64_t n);

/// Forward of n tokens behind `past` others, as a text is read: without the head.
double reading_flops(const ModelConfig& config, int64_t past, int64_t n);
/// Bytes of weights that a pass of one token reads: every product's, and of experts as many as a token takes.
double token_weight_bytes(const Model& model);
/// Bytes of keys and values that n passes of one token behind `past` others read.
double read_cache_bytes(const ModelConfig& config, CacheTypes types, int64_t past, int64_t n);

/// FLOPs a second of the kernels' own product of 512 rows by a 1024 x 1024 matrix in `compute` (Int8: of type
/// Q8_0): the best of some tries within 0.2 s.
double measured_peak(Device& device, Compute compute);
/// Bytes a second of memory that x = a x + b y moves (McCalpin's triad with two vectors: every byte that is
/// moved counts): the best of some tries within 0.3 s, on vectors of `bytes` each.
double measured_bandwidth(Device& device, int64_t bytes);

}  // namespace longspan
