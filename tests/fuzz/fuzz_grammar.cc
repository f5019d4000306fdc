// Any bytes as a grammar, or behind a first byte { as a JSON schema: an Error or a network. What follows the
// first byte 0 is read under it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  std::string_view input(reinterpret_cast<const char*>(data), size),
      source = input.substr(0, input.find('\0'));
  std::string_view text = input.substr(std::min(source.size() + 1, input.size()));
  MatcherLimits limits;
  limits.places = 2000;
  limits.steps = 1 << 20;
  limits.most_bytes = 1 << 25;
  try {
    bool schema = source.starts_with('{');
    GrammarText grammar =
        schema ? schema_grammar(parse_json(source, "fuzz"), "fuzz") : parse_grammar(source, "fuzz");
    parse_grammar(grammar_notation(grammar), "written");
    GrammarStates states(std::make_shared<const Grammar>(compile_grammar(grammar)), limits);
    int32_t state = states.start();
    for (char byte : text) state = states.step(state, static_cast<uint8_t>(byte));
    states.complete(state);
  } catch (const Error&) {
  }
  return 0;
}
