// Which type each tensor of a GGUF file gets when the file as a whole is to be of one type, as llama.cpp's
// quantiser decides it: vectors stay F32, the head is finer than the rest, and rows that do not divide into
// the type's blocks get the nearest type whose blocks they fill.
#pragma once

#include <string>

#include "tensor/dtype.h"

namespace longspan {

/// A tensor as the mix sees it.
struct MixedTensor {
  std::string name;  // "blk.3.attn_v.weight"
  int dims = 2;
  int64_t cols = 0;
  int64_t layers = 0;    // of the model
  bool is_head = false;  // multiplies the last hidden state: output.weight, or a tied embedding
};

/// The type under the wish `type`. Q4_K and Q5_K are the mixes that llama.cpp calls Q4_K_M and Q5_K_M: values
/// and down projections of half of the layers are Q6_K.
DType mixed_type(const MixedTensor& tensor, DType type);

/// The wish itself as general.file_type names it.
int gguf_file_type(DType type);

/// Type whose blocks rows of `cols` fill: `type`, else the one of blocks of 32 nearest to it, else F16.
DType fitting_type(DType type, int64_t cols);

}  // namespace longspan
