// Slots of templates: "{town}" and "{town2}" are two different values of the pool "town".
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/random.h"

namespace longspan {

using Slots = std::map<std::string, std::string>;
/// A value of a pool (templates.h), or a number, year, code, time or date. Requires that there is such a
/// pool.
std::string draw_value(std::string_view pool, std::string_view language, Random& random);
/// Draws values for all slots of `text` that have none, different ones for slots of one pool.
void draw_slots(std::string_view text, std::string_view language, Random& random, Slots& slots);
/// The text with the values in place of its slots. Requires that all slots have values.
std::string fill(std::string_view text, const Slots& slots);

}  // namespace longspan
