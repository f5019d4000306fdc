// The rows of the table and their formulas, in double. i runs over the r/2 frequencies, theta_i =
// base^(-2i/r). Each formula is written as its paper or the model that uses it states it; options keep their
// published names.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "position/position.h"

namespace longspan {

namespace {

double value_or(const PositionConfig& config, const std::string& key, double otherwise) {
  auto at = config.values.find(key);
  return at == config.values.end() ? otherwise : at->second;
}

std::vector<double> plain_frequencies(double base, const HeadShape& shape) {
  std::vector<double> theta(static_cast<size_t>(shape.rotary_dim / 2));
  for (size_t i = 0; i < theta.size(); ++i)
    theta[i] = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(shape.rotary_dim));
  return theta;
}

PositionSpec with_base(double base, const HeadShape& shape) {
  PositionSpec spec;
  spec.inv_freq = plain_frequencies(base, shape);
  return spec;
}

/// The base under which the slowest frequency is `ratio` times slower and the fastest unchanged.
double ntk_base(double base, double ratio, const HeadShape& shape) {
  if (shape.rotary_dim <= 2) return base;  // one frequency, theta_0 = 1 under any base
  auto r = static_cast<double>(shape.rotary_dim);
  return base * std::pow(ratio, r / (r - 2));
}

int64_t trained_context(const PositionConfig& config) {
  if (config.trained_context <= 0)
    fail(
        "position method \"{}\" needs the trained window, which the model does not state: give "
        "original=TOKENS",
        config.method);
  return config.trained_context;
}

PositionSpec rope(const PositionConfig& config, const HeadShape& shape, int64_t) {
  return with_base(config.base, shape);
}

PositionSpec linear(const PositionConfig& config, const HeadShape& shape, int64_t) {
  PositionSpec spec = with_base(config.base, shape);
  for (double& f : spec.inv_freq) f /= config.values.at("factor");
  return spec;
}

PositionSpec ntk(const PositionConfig& config, const HeadShape& shape, int64_t) {
  return with_base(ntk_base(config.base, config.values.at("factor"), shape), shape);
}

/// ratio = factor s / L - (factor - 1) with s = max(length, L): 1 inside the window, so short texts are
/// untouched.
PositionSpec dynamic_ntk(const PositionConfig& config, const HeadShape& shape, int64_t length) {
  double factor = config.values.at("factor");
  auto window = static_cast<double>(trained_context(config));
  bool fixed = config.values.contains("length");
  double s = std::max(fixed ? config.values.at("length") : static_cast<double>(length), window);
  PositionSpec spec = with_base(ntk_base(config.base, factor * s / window - (factor - 1), shape), shape);
  spec.depends_on_length = !fixed;
  return spec;
}

/// Frequencies that turn more than beta_fast times in the trained window stay, those below beta_slow turns
/// are divided by factor, a ramp over i between; attention_scale = 0.1 ln(factor) + 1.
PositionSpec yarn(const PositionConfig& config, const HeadShape& shape, int64_t) {
  double factor = config.values.at("factor");
  auto r = static_cast<double>(shape.rotary_dim), window = static_cast<double>(trained_context(config));
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
PositionSpec llama3(const PositionConfig& config, const HeadShape& shape, int64_t) {
  double factor = config.values.at("factor"), low = value_or(config, "low_freq_factor", 1),
         high = value_or(config, "high_freq_factor", 4);
  auto window = static_cast<double>(trained_context(config));
  PositionSpec spec = with_base(config.base, shape);
  for (double& f : spec.inv_freq) {
    double keep = std::clamp((window * f / (2 * std::numbers::pi) - low) / (high - low), 0.0, 1.0);
    f *= (1 - keep) / factor + keep;
  }
  return spec;
}

void divide(std::vector<double>& frequencies, const std::vector<double>& factors) {
  assert(frequencies.size() == factors.size());
  for (size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= factors[i];
}

/// attention_scale = sqrt(1 + ln(factor) / ln(L)).
PositionSpec longrope(const PositionConfig& config, const HeadShape& shape, int64_t length) {
  auto window = static_cast<double>(trained_context(config));
  bool fixed = config.values.contains("length");
  double s = fixed ? config.values.at("length") : static_cast<double>(length);
  PositionSpec spec = with_base(config.base, shape);
  divide(spec.inv_freq, config.lists.at(s > window ? "long_factor" : "short_factor"));
  double factor = value_or(config, "factor", static_cast<double>(config.declared_context) / window);
  spec.attention_scale = value_or(config, "attention_factor",
                                  factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(window)));
  spec.depends_on_length = !fixed;
  return spec;
}

PositionSpec freq_factors(const PositionConfig& config, const HeadShape& shape, int64_t) {
  PositionSpec spec = with_base(config.base, shape);
  divide(spec.inv_freq, config.lists.at("rope_freqs"));
  return spec;
}

const PositionMethod kMethods[] = {
    {"rope", "Su et al. 2021, arXiv 2104.09864", "nothing", "rotary embedding as trained", {}, {}, {}, rope},
    {"linear",
     "Chen et al. 2023, arXiv 2306.15595",
     "training",
     "position interpolation: positions divided by factor",
     {"factor"},
     {"factor"},
     {},
     linear},
    {"abf",
     "Xiong et al. 2023, arXiv 2309.16039",
     "training",
     "adjusted base frequency: a larger base",
     {},
     {"base"},
     {},
     rope},
    {"ntk",
     "bloc97 2023, NTK-aware scaled RoPE",
     "nothing (better with training)",
     "base raised so that the slowest frequency is divided by factor",
     {"factor"},
     {"factor"},
     {},
     ntk},
    {"dynamic_ntk",
     "emozilla 2023; form of Hugging Face transformers",
     "nothing",
     "ntk that grows with the declared length of the text",
     {"factor"},
     {"factor"},
     {},
     dynamic_ntk},
    {"yarn",
     "Peng et al. 2023, arXiv 2309.00071",
     "nothing (better with training)",
     "slow frequencies interpolated, fast ones kept, attention sharpened",
     {"factor", "beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim", "truncate"},
     {"factor"},
     {},
     yarn},
    {"llama3",
     "Llama team 2024, arXiv 2407.21783",
     "training",
     "slow frequencies divided by factor, ramp by wavelength",
     {"factor", "low_freq_factor", "high_freq_factor"},
     {"factor"},
     {},
     llama3},
    {"longrope",
     "Ding et al. 2024, arXiv 2402.13753",
     "training",
     "one searched factor a frequency, short and long texts apart",
     {"factor", "attention_factor"},
     {},
     {"short_factor", "long_factor"},
     longrope},
    {"freq_factors",
     "GGUF tensor rope_freqs (llama3 in GGUF files)",
     "training",
     "frequencies divided by factors that the model carries",
     {},
     {},
     {"rope_freqs"},
     freq_factors},
};

}  // namespace

double apply(const PositionMap& map, double position) {
  if (map.modulus > 0) position = std::fmod(position, map.modulus);
  position /= map.divisor;
  if (map.floor) position = std::floor(position);
  position += map.offset;
  return map.cap >= 0 ? std::min(position, map.cap) : position;
}

Rotations rotations(const PositionSpec& spec) {
  Rotations all;
  auto index = [&](std::vector<Rotation>& list, const Zone& zone, const PositionMap& map) {
    Rotation wanted{map, zone.inv_freq.empty() ? spec.inv_freq : zone.inv_freq};
    auto at = std::find(list.begin(), list.end(), wanted);
    if (at == list.end()) at = list.insert(list.end(), wanted);
    return static_cast<size_t>(at - list.begin());
  };
  for (const Zone& zone : spec.zones) {
    all.query_of.push_back(index(all.queries, zone, zone.query));
    all.key_of.push_back(index(all.keys, zone, zone.key));
  }
  return all;
}

std::span<const PositionMethod> position_methods() { return kMethods; }

const PositionMethod& position_method(std::string_view name) {
  std::string known;
  for (const PositionMethod& m : kMethods) {
    if (name == m.name) return m;
    known += (known.empty() ? "" : ", ") + std::string(m.name);
  }
  fail("position method \"{}\" is unknown; there are: {}", name, known);
}

PositionSpec position_spec(const PositionConfig& config, const HeadShape& shape, int64_t length) {
  assert(shape.rotary_dim > 0 && shape.rotary_dim % 2 == 0 && shape.rotary_dim <= shape.head_dim);
  PositionSpec spec =
      position_method(config.method).spec(config, shape, length > 0 ? length : config.trained_context);
  bool finite = std::isfinite(spec.attention_scale);
  for (double f : spec.inv_freq) finite = finite && std::isfinite(f) && f >= 0;
  if (!finite)
    fail("position method {} makes frequencies that are negative or infinite; check its numbers",
         describe(config));
  return spec;
}

int64_t extended_context(const PositionConfig& config) {
  if (auto at = config.values.find("length"); at != config.values.end())
    return static_cast<int64_t>(at->second);
  auto stretched =
      static_cast<int64_t>(static_cast<double>(config.trained_context) * value_or(config, "factor", 1));
  return std::max(config.declared_context, stretched);
}

}  // namespace longspan
