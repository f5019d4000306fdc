#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

struct Named {
  const char* name;
  Decay decay;
};
constexpr Named kDecays[] = {
    {"constant", Decay::Constant}, {"linear", Decay::Linear}, {"cosine", Decay::Cosine}, {"wsd", Decay::Wsd}};

}  // namespace

Decay decay_named(std::string_view name) {
  for (const Named& row : kDecays)
    if (name == row.name) return row.decay;
  fail("schedule {} is unknown; there are constant, linear, cosine and wsd", in_quotes(name));
}

double learning_rate(const Schedule& s, int64_t step) {
  if (step <= s.warmup) return s.lr * static_cast<double>(step) / static_cast<double>(s.warmup);
  auto after = [&](int64_t begin) {
    return s.steps > begin ? static_cast<double>(step - begin) / static_cast<double>(s.steps - begin) : 1.0;
  };
  double low = s.final;
  switch (s.decay) {
    case Decay::Constant:
      return s.lr;
    case Decay::Linear:
      return s.lr * (1 - (1 - low) * after(s.warmup));
    case Decay::Cosine:
      return s.lr * (low + (1 - low) * 0.5 * (1 + std::cos(std::numbers::pi * after(s.warmup))));
    case Decay::Wsd: {
      auto falling = static_cast<int64_t>(std::llround(s.decay_share * static_cast<double>(s.steps)));
      int64_t begin = std::max(s.warmup, s.steps - falling);
      return step <= begin ? s.lr : s.lr * (1 - (1 - low) * after(begin));
    }
  }
  return s.lr;
}

}  // namespace longspan
