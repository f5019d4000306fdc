// How much of a text fits. A text that was cut and decoded may tokenise differently at its seam from the
// whole text, so the length of what is left is known only after the prompt has been made again.
#pragma once

#include <cstdint>
#include <functional>

namespace longspan {

/// How many tokens may stay, at most `keep`. `excess(n)` makes the prompt with n of them and says how many
/// tokens it is too long (<= 0: it fits); that many fewer are tried until it fits, and `excess` was last
/// called with the result. 0, without a call, when not even one token may stay.
inline int64_t kept_tokens(int64_t keep, const std::function<int64_t(int64_t)>& excess) {
  while (keep >= 1) {
    int64_t over = excess(keep);
    if (over <= 0) return keep;
    keep -= over;
  }
  return 0;
}

}  // namespace longspan
