// The part of a weight that an adapter's initialisation took over: such an adapter belongs to the base
// without that part.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace longspan {

/// b a, the part of a matrix W [N, C]; both in double.
struct InitialPart {
  int64_t rank = 0, rows = 0, cols = 0;
  std::vector<double> a;  // [r, C]
  std::vector<double> b;  // [N, r]
};

/// PiSSA (Meng 2024, arXiv 2404.02948): the best approximation of W of this rank, by Lanczos' iteration with
/// complete reorthogonalisation. w [N, C] F32 in host memory; 1 <= rank <= min(N, C).
InitialPart principal_part(const Tensor& w, int64_t rank);

/// OLoRA (Buyukakyuz 2024, arXiv 2406.01775): the first columns of Q times the first rows of R, of W = Q R.
/// The shapes are those above. Without a part (rank 0) where the first columns depend on each other: then Q
/// is not determined.
InitialPart orthogonal_part(const Tensor& w, int64_t rank);

}  // namespace longspan
