// The methods that remap positions beyond some distance r = m - n. Each zone's map is separable, query(m) -
// key(n), because keys are rotated once and cached; where a distance stops growing, the query's position is
// capped. Defaults that depend on the trained window L say so.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "position/specs.h"

namespace longspan {

namespace {

/// A whole number of tokens: the option, or this fraction of the trained window.
double tokens_or(const PositionConfig& config, const std::string& key, int64_t numerator,
                 int64_t denominator) {
  if (config.values.contains(key)) return config.values.at(key);
  auto part = static_cast<double>(trained_window(config) * numerator / denominator);
  if (part < 1)
    fail("position method {}: the trained window is too short for a default of {}; give {}=TOKENS",
         describe(config), key, key);
  return part;
}

PositionSpec with_far_zone(const PositionConfig& config, const HeadShape& shape, double from,
                           PositionMap query, PositionMap key) {
  PositionSpec spec = rope_spec(config, shape, 0);
  spec.zones.push_back(Zone{static_cast<int64_t>(from), query, key, {}});
  if (value_or(config, "log_n", 0) != 0) {
    spec.log_n = trained_window(config);
    if (spec.log_n < 2) fail("position method {}: log_n needs a trained window above 1", describe(config));
  }
  return spec;
}

/// Error unless `distance`, the longest one that the method leaves unchanged or clamps to, was seen in
/// training (if the trained window is known): otherwise the method would claim a reach that it does not have.
void check_seen(const PositionConfig& config, const char* key, double distance) {
  if (config.trained_context > 0 && distance > static_cast<double>(config.trained_context))
    fail("position method {}: {} ({}) must be at most the trained window ({}); give a smaller {}=TOKENS",
         describe(config), key, distance, config.trained_context, key);
}

constexpr double kReropeWindow = 512;  // the authors' choice for a trained window of 4096

/// Distance min(r, w).
PositionSpec clamped(const PositionConfig& config, const HeadShape& shape, double window) {
  PositionSpec spec = with_far_zone(config, shape, window, {.cap = window}, {.cap = 0});
  check_seen(config, "window", window);
  return spec;
}

/// Distance w + (r - w) / k from w on.
PositionSpec leaky(const PositionConfig& config, const HeadShape& shape, double window, double k) {
  return with_far_zone(config, shape, window, {.divisor = k, .offset = window - window / k}, {.divisor = k});
}

}  // namespace

PositionSpec rerope_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  return clamped(config, shape, value_or(config, "window", kReropeWindow));
}

PositionSpec leaky_rerope_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  return leaky(config, shape, value_or(config, "window", kReropeWindow), value_or(config, "factor", 16));
}

/// Two rotations by distance, as FlagAttention's README describes NLPE; the formula was never published
/// (Aquila2 issue 69). Far pairs are clamped at the window; or leak by factor; or turn with separate
/// frequencies, those of ntk under far_factor, at their true distance (unless factor is given too). The last
/// is our reading of "frequency-aware"; it is discontinuous at the window.
PositionSpec nlpe_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  double window = tokens_or(config, "window", 1, 4);
  bool leaks = config.values.contains("factor"), own = config.values.contains("far_factor");
  PositionSpec spec = leaks || own ? leaky(config, shape, window, value_or(config, "factor", 1))
                                   : clamped(config, shape, window);
  if (own)
    spec.zones[1].inv_freq =
        frequencies_of_base(ntk_base(config, config.values.at("far_factor"), shape), shape);
  return spec;
}

/// Distance floor(m/G) - floor(n/G) + w - floor(w/G) from w on. Without group=, the smallest G for which a
/// text of N tokens keeps w + (N - w) / G <= L; at G = 1 this is plain RoPE.
PositionSpec self_extend_spec(const PositionConfig& config, const HeadShape& shape, int64_t length) {
  double window = value_or(config, "window", 0), fixed = fixed_length(config);
  if (window == 0) window = std::min(1024.0, tokens_or(config, "window", 1, 4));
  double group = value_or(config, "group", 0);
  bool by_length = group == 0;
  if (by_length) {
    double n = fixed > 0 ? fixed : static_cast<double>(length),
           room = static_cast<double>(trained_window(config)) - window;
    if (room < 1)
      fail("position method {}: window {} must be below the trained window, {}", describe(config), window,
           trained_window(config));
    group = std::max(1.0, std::ceil((n - window) / room));
  }
  PositionMap query{.divisor = group, .offset = window - std::floor(window / group), .floor = true},
      key{.divisor = group, .floor = true};
  PositionSpec spec =
      group == 1 ? rope_spec(config, shape, length) : with_far_zone(config, shape, window, query, key);
  spec.depends_on_length = by_length && fixed == 0;
  return spec;
}

/// Chunks of c = size - local tokens (size is the authors' chunk_size); keys have position n mod c. Queries
/// see their own chunk from m mod c, the previous one from min((m mod c) + c, size), and all others from
/// where the last query of a chunk sees the previous one.
PositionSpec dual_chunk_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  double size = tokens_or(config, "size", 3, 4), local = tokens_or(config, "local", 1, 8);
  if (local >= size)
    fail("position method {}: local ({}) must be below size ({})", describe(config), local, size);
  check_seen(config, "size", size);
  double c = size - local;
  PositionMap within{.modulus = c};
  PositionSpec spec = rope_spec(config, shape, 0);
  spec.chunk = static_cast<int64_t>(c);
  spec.attention_scale = value_or(config, "attention_factor", 1);
  spec.zones = {Zone{0, within, within, {}}, Zone{1, {.modulus = c, .offset = c, .cap = size}, within, {}},
                Zone{2, {.cap = std::min(2 * c - 1, size)}, within, {}}};
  return spec;
}

/// Distance r - S + W from S = shift on, W = local: distances that were rare in training are replaced by
/// frequent ones. The query's position is negative only for m < S, where no key is that far away.
PositionSpec string_spec(const PositionConfig& config, const HeadShape& shape, int64_t) {
  double shift = tokens_or(config, "shift", 1, 3), local = value_or(config, "local", std::min(128.0, shift));
  if (local >= shift)
    fail("position method {}: local ({}) must be below shift ({}), or no distance changes; give {}",
         describe(config), local, shift, config.values.contains("local") ? "another" : "local=TOKENS");
  check_seen(config, "shift", shift);
  PositionSpec spec = with_far_zone(config, shape, shift, {.offset = local - shift}, {});
  spec.attention_scale = value_or(config, "attention_factor", 1);
  return spec;
}

}  // namespace longspan
