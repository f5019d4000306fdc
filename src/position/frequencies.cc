// The methods that are a table of frequencies, in double. Each formula is written as in its paper or in the
// code of the model that uses it; options keep their published names.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/text.h"
#include "position/specs.h"

namespace longspan {

double value_or(const PositionConfig& config, const std::string& key, double otherwise) {
  auto at = config.values.find(key);
  return at == config.values.end() ? otherwise : at->second;
}

int64_t trained_window(const PositionConfig& config) {
  if (config.trained_context <= 0)
    fail("position method {} needs the trained window, which the model does not state: give original=TOKENS",
         in_quotes(config.method));
  return config.trained_context;
}

double fixed_length(const PositionConfig& config) {
  static_assert(kCurrentLength == 0);  // length=current is not a fixed length
  return value_or(config, "length", 0);
}

std::vector<double> frequencies_of_base(double base, const HeadShape& shape) {
  std::vector<double> theta(static_cast<size_t>(shape.rotary_dim / 2));
  for (size_t i = 0; i < theta.size(); ++i)
    theta[i] = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(shape.rotary_dim));
  return theta;
}

double ntk_base(const PositionConfig& config, double ratio, const HeadShape& shape) {
  if (shape.rotary_dim <= 2) return config.base;  // one frequency, theta_0 = 1 under any base
  auto r = static_cast<double>(shape.rotary_dim);
  double base = config.base * std::pow(ratio, r / (r - 2));
  if (!(std::isfinite(base) && base > 0))
    fail("position method {} makes a base that is zero or infinite; check its numbers", describe(config));
  return base;
}

namespace {

PositionSpec with_base(double base, const HeadShape& shape) {
  PositionSpec spec;
  spec.inv_freq = frequencies_of_base(base, shape);
  return spec;
}

void divide(std::vector<double>& frequencies, const std::vector<double>& factors) {
  assert(frequencies.size() == factors.size());
  for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= factors[i];
}

/// s, at least L: the length that a length-dependent method stretches to.
double stretched_length(const PositionConfig& config, int64_t length) {
  double fixed = fixed_length(config);
  return std::max(fixed > 0 ? fixed : static_cast<double>(length),
                  static_cast<double>(trained_window(config)));
}

}  // namespace

PositionSpec rope_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  return with_base(config.base, shape);
}

PositionSpec linear_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  PositionSpec spec = with_base(config.base, shape);
  for (double& f : spec.inv_freq) f /= value_or(config, "factor", 1);
  return spec;
}

PositionSpec ntk_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  return with_base(ntk_base(config, config.values.at("factor"), shape), shape);
}

/// The base of ntk under a ratio that grows with s: factor s/L - (factor - 1) in Hugging Face's form, 1
/// inside the window, so that short texts are unchanged; s/(L/2) - 1 in XVERSE's, which is the same for
/// factor 2.
PositionSpec dynamic_ntk_spec(const PositionConfig& config, const HeadShape& shape, int64_t length) {
  double factor = config.values.at("factor"), s = stretched_length(config, length);
  auto window = static_cast<double>(trained_window(config));
  bool xverse = value_or(config, "form", 0) != 0;
  double ratio = xverse ? s / (window / 2) - 1 : factor * s / window - (factor - 1);
  PositionSpec spec = with_base(ntk_base(config, ratio, shape), shape);
  spec.depends_on_length = fixed_length(config) == 0;
  return spec;
}

/// Frequencies that turn more than beta_fast times in the trained window stay, those that turn fewer than
/// beta_slow times are divided by factor, with a linear ramp over i in between; attention_scale = 0.1
/// ln(factor) + 1.
PositionSpec yarn_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  double factor = config.values.at("factor");
  auto r = static_cast<double>(shape.rotary_dim), window = static_cast<double>(trained_window(config));
  auto index_of_turns = [&](double turns) {
    return r * std::log(window / (turns * 2 * std::numbers::pi)) / (2 * std::log(config.base));
  };
  double low = index_of_turns(value_or(config, "beta_fast", 32)),
         high = index_of_turns(value_or(config, "beta_slow", 1));
  if (value_or(config, "truncate", 1) != 0) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, r - 1);
  if (low == high) high += 0.001;

  PositionSpec spec = with_base(config.base, shape);
  for (size_t i = 0; i < spec.inv_freq.size(); ++i) {
    double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    spec.inv_freq[i] *= ramp / factor + (1 - ramp);
  }
  auto scale = [&](double m) { return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1.0; };
  double mscale = value_or(config, "mscale", 0), mscale_all_dim = value_or(config, "mscale_all_dim", 0);
  bool both = mscale != 0 && mscale_all_dim != 0;
  spec.attention_scale =
      value_or(config, "attention_factor", both ? scale(mscale) / scale(mscale_all_dim) : scale(1));
  return spec;
}

/// As YaRN with the ramp over the number of turns n = L theta / 2 pi between low_freq_factor and
/// high_freq_factor.
PositionSpec llama3_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  double factor = config.values.at("factor"), low = value_or(config, "low_freq_factor", 1),
         high = value_or(config, "high_freq_factor", 4);
  auto window = static_cast<double>(trained_window(config));
  PositionSpec spec = with_base(config.base, shape);
  for (double& f : spec.inv_freq) {
    double keep = std::clamp((window * f / (2 * std::numbers::pi) - low) / (high - low), 0.0, 1.0);
    f *= (1 - keep) / factor + keep;
  }
  return spec;
}

/// attention_scale = sqrt(1 + ln(factor) / ln(L)).
PositionSpec longrope_spec(const PositionConfig& config, const HeadShape& shape, int64_t length) {
  auto window = static_cast<double>(trained_window(config));
  PositionSpec spec = with_base(config.base, shape);
  bool is_long = stretched_length(config, length) > window;
  divide(spec.inv_freq, config.lists.at(is_long ? "long_factor" : "short_factor"));
  double factor = value_or(config, "factor", static_cast<double>(config.declared_context) / window);
  spec.attention_scale = value_or(config, "attention_factor",
                                  factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(window)));
  spec.depends_on_length = fixed_length(config) == 0;
  return spec;
}

PositionSpec freq_factors_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  PositionSpec spec = with_base(config.base, shape);
  divide(spec.inv_freq, config.lists.at("rope_freqs"));
  return spec;
}

/// f_i = theta_i / factor (1 - 2i/r)^power: the fastest hardly change, the slowest shrink most. A factor
/// below 1 counts as 1, as in the authors' code.
PositionSpec power_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  PositionSpec spec = with_base(config.base, shape);
  auto half = static_cast<double>(spec.inv_freq.size());
  double factor = std::max(1.0, value_or(config, "factor", 1)), power = value_or(config, "power", 0.5);
  for (size_t i = 0; i < spec.inv_freq.size(); ++i)
    spec.inv_freq[i] *= std::pow(1 - static_cast<double>(i) / half, power) / factor;
  return spec;
}

/// After factor and power: frequencies that turn at least once within T = truncate_pos tokens (b = 2 pi / T)
/// stay, those in the band down to b / 8 become one slow wave 2 pi / (16 T), and slower ones do not turn.
PositionSpec truncated_spec(const PositionConfig& config, const HeadShape& shape, int64_t length) {
  PositionConfig before = config;
  before.values.try_emplace("power", 0);
  PositionSpec spec = power_spec(before, shape, length);
  bool given = config.values.contains("truncate_pos");
  double t = given ? config.values.at("truncate_pos") : static_cast<double>(trained_window(config));
  double b = 2 * std::numbers::pi / t, a = b / 8, rho = 2 * std::numbers::pi / (16 * t);
  for (double& f : spec.inv_freq) f = f >= b ? f : f >= a ? rho : 0;
  return spec;
}

/// Pair i of a score is multiplied by zeta_i^((m - n) / scale_base), zeta_i = (2i + 0.4 r) / (1.4 r) < 1. The
/// pairs are those of rotate-half; the authors' port for Llama weights took neighbours.
PositionSpec xpos_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  PositionSpec spec = with_base(config.base, shape);
  auto r = static_cast<double>(shape.rotary_dim);
  for (size_t i = 0; i < spec.inv_freq.size(); ++i)
    spec.decay.push_back(std::log((2 * static_cast<double>(i) + 0.4 * r) / (1.4 * r)) /
                         value_or(config, "scale_base", 512));
  return spec;
}

/// The floor(fraction r/2) fastest pairs turn as in RoPE, the others do not turn.
PositionSpec p_rope_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  PositionSpec spec = with_base(config.base, shape);
  double kept = std::floor(value_or(config, "fraction", 0.75) * static_cast<double>(spec.inv_freq.size()));
  std::fill(spec.inv_freq.begin() + static_cast<ptrdiff_t>(kept), spec.inv_freq.end(), 0.0);
  return spec;
}

PositionSpec drope_spec(const PositionConfig&, const HeadShape& shape, int64_t) {
  PositionSpec spec;
  spec.inv_freq.assign(static_cast<size_t>(shape.rotary_dim / 2), 0.0);
  return spec;
}

/// slopes[h] = 2^(-8 (h + 1) / H) for H a power of two. Otherwise those of the power below, then every second
/// one of the power above.
PositionSpec alibi_spec(const PositionConfig& config, const HeadShape& shape, int64_t length) {
  PositionSpec spec = drope_spec(config, shape, length);
  int64_t power = 1;
  while (power * 2 <= shape.heads) power *= 2;
  auto slope = [](int64_t h, int64_t heads) {
    return std::exp2(-8.0 * static_cast<double>(h + 1) / static_cast<double>(heads));
  };
  for (int64_t h = 0; h < shape.heads; ++h)
    spec.slopes.push_back(h < power ? slope(h, power) : slope(2 * (h - power), 2 * power));
  return spec;
}

}  // namespace longspan
