#include "position/advice.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "position/laws.h"

namespace longspan {

namespace {

double times_trained(const PositionConfig& model, int64_t target) {
  return static_cast<double>(target) / static_cast<double>(std::max<int64_t>(1, model.trained_context));
}

/// Rounded up to one digit: 886,000 -> 900,000.
double one_digit_up(double x) {
  double unit = std::pow(10, std::floor(std::log10(x)));
  return std::ceil(x / unit - 1e-9) * unit;
}

/// The least factor of one decimal that covers the target.
std::string factor_text(double ratio) { return fmt::format("{:.6g}", std::ceil(ratio * 10 - 1e-9) / 10); }

bool reaches(const PositionConfig& model, int64_t target) {
  int64_t window = extended_context(model);
  return window == 0 || target <= window;
}

bool plain(const PositionConfig& model) { return model.method == "rope" || model.method == "abf"; }

/// A model that is stretched already keeps the frequencies it was trained with: its base is raised so that
/// the slowest of them turns `ratio` times slower and the fastest as before.
Advice advise_on_top(const PositionConfig& model, const HeadShape& shape, int64_t target) {
  auto r = static_cast<double>(shape.rotary_dim);
  double ratio = static_cast<double>(target) / static_cast<double>(extended_context(model));
  PositionConfig raised = model;
  raised.values.erase("length");
  if (r > 2) raised.base = std::round(model.base * std::pow(ratio, r / (r - 2)));
  return {
      describe(raised),
      fmt::format("the model is stretched by {} already and keeps it: only its base is raised, as ntk raises "
                  "it, by the {:.3g} that are missing; nothing of this was measured, try it with compare",
                  model.method, ratio)};
}

}  // namespace

BaseLaws base_laws(const PositionConfig& model, const HeadShape& shape, int64_t target) {
  BaseLaws laws;
  auto n = static_cast<double>(target);
  int64_t r = shape.rotary_dim;
  laws.critical_dimension = critical_dimension(r, model.base, static_cast<double>(model.trained_context));
  laws.extrapolation_limit = extrapolation_limit(r, laws.critical_dimension, model.base);
  if (laws.critical_dimension > 0) laws.base_for_limit = base_for_limit(r, laws.critical_dimension, n);
  laws.smallest_base = smallest_base(r, target);
  laws.fitted_smallest_base = fitted_smallest_base(n);
  laws.recommended =
      std::max(model.base, one_digit_up(std::max(laws.base_for_limit, laws.fitted_smallest_base)));
  return laws;
}

Advice advise_untrained(const PositionConfig& model, const HeadShape& shape, int64_t target) {
  if (reaches(model, target)) return {describe(model), "the model reaches that far as it is"};
  if (!plain(model)) return advise_on_top(model, shape, target);
  double ratio = times_trained(model, target);
  if (ratio > static_cast<double>(kMostStretch))
    return {"", fmt::format("beyond {} times the window no method holds without training: cut the text "
                            "(--truncate), give only the passages that matter, or train",
                            kMostStretch)};
  if (ratio > 4)
    return {
        fmt::format("yarn:factor={}", factor_text(ratio)),
        "beyond four times the window no method retrieves anything without training (trial: 0 of 12 needles "
        "at "
        "8 times under every one); yarn at least kept the text readable (4.03 nats there, 3.47 inside the "
        "window)"};
  auto window = std::clamp<int64_t>(model.trained_context / 8, 1, 1024);
  // The smallest group that keeps every distance within what was trained: coarser ones cost loss.
  auto group = static_cast<int64_t>(
      std::ceil(static_cast<double>(target - window) /
                static_cast<double>(std::max<int64_t>(1, model.trained_context - window))));
  return {
      fmt::format("self_extend:group={},length={},window={}", group, target, window),
      "held loss best without training on SmolLM2-135M: 3.427 nats at 2 times the window and 3.448 at 4 "
      "times, 3.420 inside it (docs/methods.md; yarn, which costs no second copy of keys: 3.472 and 3.621); "
      "of needles it found 20 % and 10 % in the trial, with coarser groups"};
}

Advice advise_trained(const PositionConfig& model, const HeadShape& shape, int64_t target) {
  if (reaches(model, target)) return {describe(model), "the model reaches that far as it is"};
  if (!plain(model)) return advise_on_top(model, shape, target);
  double ratio = times_trained(model, target);
  if (ratio > 4)
    return {fmt::format("yarn:factor={}", factor_text(ratio)),
            "beyond four times the window yarn trained best in the trial (58 % of needles at 32 times after "
            "training "
            "at 4 times, a raised base 17 %; n = 12 each)"};
  return {fmt::format("abf:base={:.0f}", base_laws(model, shape, target).recommended),
          "up to four times the window a raised base was gentlest in the trial (short texts -1.8 % loss, "
          "book loss "
          "3.317 against 3.38 to 3.44 under yarn; 81 % of needles at 4 times, yarn 97 %)"};
}

}  // namespace longspan
