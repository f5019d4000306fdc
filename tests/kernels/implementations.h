// What the tests of kernels share: the implementations that run here.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "kernels/gpu.h"
#include "kernels/host_tables.h"
#include "kernels/kernels.h"
#include "kernels/random_tensor.h"

namespace longspan {

inline const Kernels& reference() { return *all_kernels()[0]; }

/// All but reference, and the GPU's where there is one.
inline std::vector<const Kernels*> implementations_here() {
  std::vector<const Kernels*> here = host_tables();
  here.erase(here.begin());
  if (gpu::device()) here.push_back(&gpu::kernels_through_host());
  return here;
}

/// Calls body with each implementation that can run here.
template <class Body>
void for_each_of(const std::vector<const Kernels*>& all, Body body) {
  for (const Kernels* k : all)
    if (k->supported()) {
      SCOPED_TRACE(k->name);
      body(*k);
    }
}

/// All but reference.
template <class Body>
void for_each_implementation(Body body) {
  for_each_of(implementations_here(), body);
}

/// Reference too: for what is compared with a formula.
template <class Body>
void for_every_implementation(Body body) {
  std::vector<const Kernels*> all = implementations_here();
  all.insert(all.begin(), &reference());
  for_each_of(all, body);
}

/// Sequences side by side: tokens and past of each.
struct OwnedSequences : Sequences {
  OwnedTensor starts, pasts;

  explicit OwnedSequences(const std::vector<int32_t>& tokens, const std::vector<int32_t>& past_of) {
    std::vector<int32_t> at{0};
    for (size_t s = 0; s < tokens.size(); ++s) {
      at.push_back(at.back() + tokens[s]);
      most_rows = std::max<int64_t>(most_rows, tokens[s]);
      most_keys = std::max<int64_t>(most_keys, past_of[s] + tokens[s]);
    }
    count = static_cast<int64_t>(tokens.size());
    rows = starts = int_vector(at);
    past = pasts = int_vector(past_of);
  }
};

/// Bytes between the rows must be as make_matrix left them.
inline void expect_gaps_untouched(const OwnedTensor& t) {
  int64_t used = dtype_bytes(t.dtype, t.cols());
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t i = used; i < t.row_stride; ++i) ASSERT_EQ(t.row<std::byte>(r)[i], std::byte{0x55});
}

}  // namespace longspan
