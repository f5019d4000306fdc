// Which base and which method stretch a model to a window of N tokens. Every figure is a formula of the
// model's own numbers, or a measurement or choice that somebody published, named beside it; nothing is scaled
// by rule of thumb.
#pragma once

#include <cstdint>
#include <string>

#include "position/position.h"

namespace longspan {

/// Bases that the laws of position/laws.h ask for at N tokens.
struct BaseLaws {
  int64_t critical_dimension = 0;  // of r, in the trained window
  double extrapolation_limit = 0;  // tokens, under the base now
  double base_for_limit = 0;       // whose extrapolation limit is N; 0 when no dimension ever turned
  double smallest_base = 0;        // exact, at this head size; 0: not searched
  double fitted_smallest_base = 0;
  double recommended = 0;  // the larger of base_for_limit and fitted_smallest_base, rounded up to one digit,
                           // and never below the base now
};
BaseLaws base_laws(const PositionConfig& model, const HeadShape& shape, int64_t target);

/// Beyond so many times the trained window no method is advised without training: none retrieved anything,
/// and nothing was measured further.
constexpr int64_t kMostStretch = 8;

/// A method as --position takes it, and the reason.
struct Advice {
  std::string position;  // "": none; `why` says what helps
  std::string why;
};
Advice advise_untrained(const PositionConfig& model, const HeadShape& shape, int64_t target);
Advice advise_trained(const PositionConfig& model, const HeadShape& shape, int64_t target);

}  // namespace longspan
