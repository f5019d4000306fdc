// What a method does while a text grows, told from its spec so that a new row needs no new words.
#include "base/error.h"
#include "position/position.h"

namespace longspan {

namespace {

std::string how_frequencies_move(const PositionConfig& config, const PositionSpec& spec) {
  auto length = config.values.find("length");
  bool given = length != config.values.end();
  if (given && length->second == kCurrentLength)
    return "the frequencies follow the length at every step while keys that are kept stay as they were "
           "turned, "
           "so that the text read at once and piece by piece gives different results";
  if (spec.depends_on_length)
    return fmt::format(
        "the frequencies are fixed by the length declared when a sequence starts: those of training up to {} "
        "tokens, slower ones beyond, and a text that outgrows its declared length has to be read again",
        config.trained_context);
  if (given) return fmt::format("the frequencies are fixed, as for a text of {} tokens", length->second);
  return "the frequencies are the same at every length";
}

}  // namespace

std::string growth(const PositionConfig& config, const HeadShape& shape) {
  PositionSpec spec = position_spec(config, shape, 0);
  std::string text = how_frequencies_move(config, spec);
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
