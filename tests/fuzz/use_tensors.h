// Reads every byte that a parser let through, as a model would: a view that reaches outside the file shows
// here.
#pragma once

#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "kernels/kernels.h"

namespace longspan {

inline void use_tensors(const ParsedTensors& parsed) {
  dump_json(parsed.metadata);
  for (const NamedTensor& t : parsed.tensors) {
    try {
      check_finite(t, "fuzz");
    } catch (const Error&) {  // not finite: fine, it was read
    }
    std::vector<float> row(static_cast<size_t>(t.tensor.cols()));
    for (int64_t r = 0; r < t.tensor.rows(); ++r)
      dequantise(row.data(), t.tensor.row<std::byte>(r), t.tensor.dtype, t.tensor.cols());
  }
}

}  // namespace longspan
