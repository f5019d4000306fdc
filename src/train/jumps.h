// Finding bad training data: documents of steps whose loss or gradient norm is far above its median.
#pragma once

#include "base/json.h"

namespace longspan {

/// Keeps the last kJumpWindow values; says whether a value is `times` their median or more, once there are
/// kJumpLeast of them.
constexpr size_t kJumpWindow = 50, kJumpLeast = 10;

class Jumps {
 public:
  /// A series of `history` that is not a list of numbers begins empty.
  explicit Jumps(const Json& history = {});
  /// Also adds the value.
  bool jumped(const char* series, double value, double times);
  const Json& history() const { return history_; }

 private:
  Json history_;  // series -> values, oldest first
};

}  // namespace longspan
