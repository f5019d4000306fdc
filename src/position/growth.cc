// What a method does as a text grows, derived from its spec so that a new method needs no text of its own.
#include "base/error.h"
#include "position/position.h"

namespace longspan {

namespace {

std::string how_length_matters(const PositionConfig& config, const PositionSpec& spec) {
  auto length = config.values.find("length");
  bool given = length != config.values.end();
  if (given && length->second == kCurrentLength)
    return "the frequencies follow the length at every step while keys that are kept stay as they were "
           "turned, "
           "so that the text read at once and piece by piece gives different results";
  if (spec.depends_on_length)
    return fmt::format(
        "the length declared when a sequence starts decides: as in training up to {} tokens, stretched the "
        "further "
        "the longer it is; a text that outgrows its declared length has to be read again",
        config.trained_context);
  if (given) return fmt::format("made for texts of {} tokens, the same at every length", length->second);
  return "the same at every length";
}

}  // namespace

std::string growth(const PositionConfig& config, const HeadShape& shape) {
  PositionSpec spec = position_spec(config, shape, 0);
  std::string text = how_length_matters(config, spec);
  const char* unit = spec.chunk > 0 ? "chunks" : "tokens";
  for (const Zone& zone : spec.zones)
    if (zone.from > 0)
      text += fmt::format("; from a distance of {} {} on another rule measures it", zone.from, unit);
  if (!spec.decay.empty()) text += "; scores fade exponentially with distance";
  if (!spec.slopes.empty()) text += "; scores fall in proportion to distance";
  if (spec.log_n > 0)
    text += fmt::format("; attention is sharpened by the logarithm of the position from {} tokens on",
                        spec.log_n);
  return text;
}

}  // namespace longspan
