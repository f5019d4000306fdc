#include "train/schedule.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <iterator>
#include <numbers>

namespace longspan {

namespace {

struct Named {
  const char* name;
  Decay decay;
};
constexpr Named kDecays[] = {
    {"constant", Decay::Constant}, {"linear", Decay::Linear}, {"cosine", Decay::Cosine}, {"wsd", Decay::Wsd}};

}  // namespace

std::vector<const char*> decay_names() {
  std::vector<const char*> names;
  for (const Named& row : kDecays) names.push_back(row.name);
  return names;
}

Decay decay_named(std::string_view name) {
  for (const Named& row : kDecays)
    if (name == row.name) return row.decay;
  assert(false);
  return Decay::Cosine;
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
