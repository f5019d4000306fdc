// What a step must compute, and what this machine could: model FLOPs utilisation (MFU; Chowdhery 2022, arXiv
// 2204.02311) with attention counted causally and recomputation not counted.
#pragma once

#include "data/row.h"
#include "model/training.h"

namespace longspan {

/// Elements that train, from shapes alone.
int64_t trained_elements(const ModelConfig& config, const Trained& trained);

/// Forward and backward of one row: for each token 6 for each trained weight of a product and 4 for each
/// frozen one (it needs no gradient of its own); for each token and key that it sees 12 H D a layer. Local
/// layers see their window.
double row_flops(const ModelConfig& config, const Trained& trained, const TrainingRow& row);
/// Forward only.
double forward_flops(const ModelConfig& config, const TrainingRow& row);

/// FLOPs a second of the kernels' own product of 512 rows by a 1024 x 1024 matrix in `compute`: the best of
/// some tries within 0.2 s.
double measured_peak(const Kernels& k, Compute compute);

}  // namespace longspan
