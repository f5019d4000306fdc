// Texts under grammars, byte by byte.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "grammar/matcher.h"

namespace longspan {

inline std::shared_ptr<const Grammar> compiled(std::string_view text) {
  return std::make_shared<const Grammar>(compile_grammar(parse_grammar(text, "test.gbnf")));
}

enum class Reading { Dead, Beginning, Whole };
/// What a text is to the grammar: none of its beginnings, one of them, or one of its texts.
inline Reading reading(GrammarStates& states, std::string_view text) {
  int32_t state = states.start();
  for (char c : text) state = states.step(state, static_cast<uint8_t>(c));
  if (states.complete(state)) return Reading::Whole;
  return states.goes_on(state) ? Reading::Beginning : Reading::Dead;
}

/// The sentence that `function` fails with; "" when it does not.
template <typename Function>
std::string message(Function function) {
  try {
    function();
    return "";
  } catch (const std::exception& e) {
    return e.what();
  }
}

}  // namespace longspan
