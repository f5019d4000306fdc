#include "server/constraint.h"

#include "generate/answer_text.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "server/api_error.h"
#include "server/fields.h"

namespace longspan::server {

namespace {

/// A mask that is made holds back the other answers: it may cost a tenth of a second.
constexpr MatcherLimits kLimits = {
    .places = 5000, .steps = 1 << 22, .kept_bytes = 1 << 24, .most_bytes = 1 << 26, .mask_bytes = 1 << 24};

GrammarText format_grammar(const Json& format) {
  Fields fields(format, "response_format.");
  std::string type = fields.text("type").value_or("");
  const Json* schema = fields.find("schema");  // where llama.cpp's server looks
  if (type == "json_object")
    return schema ? schema_grammar(*schema, "response_format") : json_object_grammar();
  if (type != "json_schema") fields.refuse("type", "expected text, json_object or json_schema");
  if (const Json* named = fields.object("json_schema"))
    schema = &Fields(*named, "response_format.json_schema.").require("schema");
  if (!schema) fields.require("json_schema");
  return schema_grammar(*schema, "response_format");
}

/// Null where the call asks for nothing.
std::shared_ptr<const Grammar> grammar_of(const Call& call) {
  bool formatted = !call.response_format.is_null();
  if (!formatted && call.grammar.empty()) return nullptr;
  const char* field = formatted ? "response_format" : "grammar";
  if (formatted && !call.grammar.empty())
    throw bad_request("grammar: response_format already says what the answer must look like", "grammar");
  try {
    GrammarText text =
        formatted ? format_grammar(call.response_format) : parse_grammar(call.grammar, "grammar");
    return std::make_shared<const Grammar>(compile_grammar(text));
  } catch (const ApiError&) {
    throw;
  } catch (const Error& e) {
    throw bad_request(e.what(), field);
  }
}

}  // namespace

TokenConstraint constraint_of(const Call& call, const Engine& engine) {
  auto grammar = grammar_of(call);
  if (!grammar) return {};
  auto matcher =
      std::make_shared<GrammarMatcher>(std::move(grammar), engine.token_trie(),
                                       stop_tokens(engine.tokenizer(), call.choice.sampling.stop), kLimits);
  TokenConstraint constraint;
  constraint.allow = [matcher](std::vector<uint8_t>& allowed) {
    std::span<const uint64_t> words = matcher->allowed();
    for (size_t i = 0; i < allowed.size(); ++i)
      allowed[i] = i / 64 < words.size() && (words[i / 64] >> (i % 64) & 1) != 0;
  };
  constraint.accept = [matcher](int32_t id) {
    // Whoever forbids the ends of a text that nothing may follow leaves no token.
    if (matcher->nearest_allowed(id) != id) fail("no token is left that the answer's form allows");
    matcher->accept(id);
  };
  return constraint;
}

TokenConstraint constraint_of(const ChatCall& call, const Engine& engine) {
  if (call.tool_choice != "auto" && call.tool_choice != "none")
    throw bad_request("tool_choice: only auto and none are supported", "tool_choice");
  return constraint_of(static_cast<const Call&>(call), engine);
}

}  // namespace longspan::server
