// A loaded model in GGUF's terms: names and order of tensors, and the ARCH.* keys. The inverse of what
// weights.cc and config.cc read.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/tensor_source.h"
#include "model/config.h"
#include "model/weights.h"

namespace longspan {

/// A tensor of a file that is made of rows of the model's: several matrices one below the other, heads in the
/// order of adjacent rotary pairs.
struct FiledTensor {
  std::string name;
  std::vector<Tensor> parts;
  std::vector<int64_t> sizes;  // of the whole, outermost first
  int64_t permuted_heads = 0;  // rows of this many heads change from rotate-half to adjacent pairs
  int64_t head_dim = 0, rotary_dim = 0;
};

/// All tensors but the lists of rotary factors. Views into `weights`.
std::vector<FiledTensor> gguf_tensors(const Weights& weights, const ModelConfig& config);

/// general.architecture and the ARCH.* keys but those of rotation and of the window, which position_to_gguf
/// adds.
Json config_to_gguf(const ModelConfig& config);

/// The tensor in `dtype`, dequantised and quantised where it is of another one. Error, while it is written,
/// when a value is too large for the type.
TensorSource filed_as(const FiledTensor& tensor, DType dtype);

}  // namespace longspan
