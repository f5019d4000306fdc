// The rows of the table and the functions that query it. The formulas are in frequencies.cc and zones.cc.
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/error.h"
#include "base/nearest.h"
#include "base/text.h"
#include "position/specs.h"
#include "position/validate.h"

namespace longspan {

namespace {

const PositionMethod kMethods[] = {
    {.name = "none",
     .paper = "the model's own",
     .needs = "nothing",
     .summary = "the model's own method, whatever its config says",
     .spec = rope_spec},
    {.name = "rope",
     .paper = "Su et al. 2021, arXiv 2104.09864",
     .needs = "nothing",
     .summary = "rotary embedding as trained",
     .spec = rope_spec},
    {.name = "linear",
     .paper = "Chen et al. 2023, arXiv 2306.15595",
     .needs = "training",
     .summary = "position interpolation: positions divided by factor",
     .keys = {"factor"},
     .required = {"factor"},
     .spec = linear_spec},
    {.name = "abf",
     .paper = "Xiong et al. 2023, arXiv 2309.16039",
     .needs = "training",
     .summary = "adjusted base frequency: a larger base",
     .required = {"base"},
     .spec = rope_spec},
    {.name = "ntk",
     .paper = "bloc97 2023, NTK-aware scaled RoPE",
     .needs = "nothing (better with training)",
     .summary = "base raised so that the slowest frequency is divided by factor",
     .keys = {"factor"},
     .required = {"factor"},
     .spec = ntk_spec},
    {.name = "dynamic_ntk",
     .paper = "emozilla 2023; form=hf as in Hugging Face transformers, form=xverse as in XVERSE-13B-256K",
     .needs = "nothing (better with training)",
     .summary = "ntk that grows with the declared length of the text; form=xverse is factor 2",
     .keys = {"factor", "form"},
     .required = {"factor"},
     .follows_length = true,
     .spec = dynamic_ntk_spec},
    {.name = "yarn",
     .paper = "Peng et al. 2023, arXiv 2309.00071",
     .needs = "nothing (better with training)",
     .summary = "slow frequencies interpolated, fast ones kept, attention sharpened",
     .keys = {"factor", "beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim", "truncate"},
     .required = {"factor"},
     .spec = yarn_spec},
    {.name = "llama3",
     .paper = "Llama team 2024, arXiv 2407.21783",
     .needs = "training",
     .summary = "slow frequencies divided by factor, ramp by wavelength",
     .keys = {"factor", "low_freq_factor", "high_freq_factor"},
     .required = {"factor"},
     .spec = llama3_spec},
    {.name = "longrope",
     .paper = "Ding et al. 2024, arXiv 2402.13753",
     .needs = "training",
     .summary = "one searched factor a frequency, short and long texts apart",
     .keys = {"factor", "attention_factor"},
     .lists = {"short_factor", "long_factor"},
     .follows_length = true,
     .spec = longrope_spec},
    {.name = "freq_factors",
     .paper = "GGUF tensor rope_freqs (llama3 in GGUF files)",
     .needs = "training",
     .summary = "frequencies divided by factors that the model carries",
     .lists = {"rope_freqs"},
     .spec = freq_factors_spec},
    {.name = "power",
     .paper = "Pal et al. 2023 (Giraffe), arXiv 2308.10882",
     .needs = "training",
     .summary = "frequency i times (1 - 2i/r)^power, after division by factor",
     .keys = {"factor", "power"},
     .spec = power_spec},
    {.name = "truncated",
     .paper = "Pal et al. 2023 (Giraffe), arXiv 2308.10882",
     .needs = "training",
     .summary = "fast frequencies kept, a band made one slow wave, the slowest stopped",
     .keys = {"factor", "power", "truncate_pos"},
     .spec = truncated_spec},
    {.name = "random",
     .paper = "Ruoss et al. 2023, arXiv 2305.16843; Pal et al. 2023 (Giraffe), arXiv 2308.10882",
     .needs = "training",
     .summary = "randomised positions in training; here, in use, positions divided by factor",
     .keys = {"factor"},
     .spec = linear_spec},
    {.name = "xpos",
     .paper = "Sun et al. 2022, arXiv 2212.10554",
     .needs = "training",
     .summary = "rope whose pairs fade with distance, slow ones most",
     .keys = {"scale_base"},
     .spec = xpos_spec},
    {.name = "rerope",
     .paper = "Su 2023, ReRoPE, kexue.fm/archives/9708",
     .needs = "nothing",
     .summary = "distances beyond window count as window; log_n=1 sharpens late queries",
     .keys = {"window", "log_n"},
     .spec = rerope_spec},
    {.name = "leaky_rerope",
     .paper = "Su 2023, Leaky ReRoPE, kexue.fm/archives/9708",
     .needs = "nothing",
     .summary = "distances beyond window grow by 1/factor; log_n=1 sharpens late queries",
     .keys = {"window", "factor", "log_n"},
     .spec = leaky_rerope_spec},
    {.name = "nlpe",
     .paper = "NLPE-style: FlagAttention README and Aquila2 issue #69; the formula was never published",
     .needs = "nothing (better with training)",
     .summary = "two rotations by distance: far pairs clamped, leaky (factor) or slower (far_factor)",
     .keys = {"window", "factor", "far_factor", "log_n"},
     .spec = nlpe_spec},
    {.name = "self_extend",
     .paper = "Jin et al. 2024, arXiv 2401.01325",
     .needs = "nothing",
     .summary = "positions beyond window in groups of one; group= or as the declared length needs",
     .keys = {"group", "window"},
     .spec = self_extend_spec},
    {.name = "dual_chunk",
     .paper = "An et al. 2024, arXiv 2402.17463",
     .needs = "nothing",
     .summary = "positions within chunks, exact inside a chunk and into the one before",
     .keys = {"size", "local", "attention_factor"},
     .spec = dual_chunk_spec},
    {.name = "string",
     .paper = "An et al. 2024, arXiv 2410.18745",
     .needs = "nothing",
     .summary = "distances from shift on fall back to local: well-trained ones serve the rare far ones",
     .keys = {"shift", "local", "attention_factor"},
     .spec = string_spec},
    {.name = "p_rope",
     .paper = "Barbero et al. 2024, arXiv 2410.06205",
     .needs = "training",
     .summary = "only this fraction of the frequencies turns, the fastest (p of the paper)",
     .keys = {"fraction"},
     .spec = p_rope_spec},
    {.name = "drope",
     .paper = "Gelberg et al. 2025, arXiv 2512.12167; without positions at all: NoPE, arXiv 2305.19466",
     .needs = "training",
     .summary = "rotary embedding dropped: nothing turns",
     .spec = drope_spec},
    {.name = "alibi",
     .paper = "Press et al. 2021, arXiv 2108.12409",
     .needs = "training",
     .summary = "nothing turns; each head subtracts its slope times the distance",
     .spec = alibi_spec},
};

/// Whether the spec is usable by the kernels, which compute in F32.
bool usable(const PositionSpec& spec) {
  auto turns = [](const std::vector<double>& frequencies) {
    return std::all_of(frequencies.begin(), frequencies.end(),
                       [](double f) { return std::isfinite(f) && f >= 0; });
  };
  auto maps = [](const PositionMap& map) { return std::isfinite(map.offset) && map.divisor > 0; };
  bool all = std::isfinite(spec.attention_scale) && turns(spec.inv_freq);
  for (double rate : spec.decay) all = all && std::isfinite(static_cast<float>(rate));
  for (const Zone& z : spec.zones) all = all && maps(z.query) && maps(z.key) && turns(z.inv_freq);
  return all;
}

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
  std::vector<std::string> known;
  for (const PositionMethod& m : kMethods) {
    if (name == m.name) return m;
    known.push_back(m.name);
  }
  fail("position method {} is unknown{}; there are: {}", in_quotes(name), meant_name(name, known),
       fmt::join(known, ", "));
}

PositionSpec position_spec(const PositionConfig& config, const HeadShape& shape, int64_t length) {
  assert(shape.rotary_dim > 0 && shape.rotary_dim % 2 == 0 && shape.rotary_dim <= shape.head_dim);
  PositionSpec spec =
      position_method(config.method).spec(config, shape, length > 0 ? length : config.trained_context);
  if (!usable(spec))
    fail("position method {} makes frequencies or distances that are negative or infinite; check its numbers",
         describe(config));
  return spec;
}

int64_t extended_context(const PositionConfig& config) {
  if (double fixed = fixed_length(config); fixed > 0) return static_cast<int64_t>(fixed);
  if (config.trained_context <= 0) return config.declared_context;
  auto window = static_cast<double>(config.trained_context);
  double reach = window * value_or(config, "factor", 1);
  if (config.method == "self_extend" && !config.values.contains("group")) return 0;
  if (position_method(config.method).lists.empty()) {  // lists would need the true head size; zones do not
    PositionSpec spec = position_spec(config, {2, 2, 1}, 0);
    const PositionMap& far = spec.zones.back().query;
    if (spec.zones.size() > 1 && far.cap >= 0) return 0;
    if (spec.zones.size() > 1)
      reach = std::max(window, (window - far.offset) * far.divisor * value_or(config, "far_factor", 1));
  }
  double rounding = 1e-6;
  return std::max(config.declared_context, static_cast<int64_t>(std::min(reach + rounding, kLargestContext)));
}

}  // namespace longspan
