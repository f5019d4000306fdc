// What an answer may consist of, beyond what the model thinks: a grammar, a schema. Two functions, so that
// whoever draws tokens need not know which.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace longspan {

struct TokenConstraint {
  /// Sets allowed[id] to 1 for each token that may come next and to 0 for the others; an end token is allowed
  /// where the answer may end. `allowed` has an entry for each token of the vocabulary. Called once a token.
  std::function<void(std::vector<uint8_t>& allowed)> allow;
  /// The answer goes on with this token, one of those allowed and none that ends it.
  std::function<void(int32_t id)> accept;

  explicit operator bool() const { return allow != nullptr; }
};

}  // namespace longspan
