#include "server/constraint.h"

#include "base/text.h"
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

/// The grammar that `make` gives; what is wrong with it is the fault of the request's `field`.
template <class Make>
std::shared_ptr<const Grammar> compiled(const char* field, Make make) {
  try {
    return std::make_shared<const Grammar>(compile_grammar(make()));
  } catch (const ApiError&) {
    throw;
  } catch (const Error& e) {
    throw bad_request(e.what(), field);
  }
}

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
  return compiled(field, [&] {
    return formatted ? format_grammar(call.response_format) : parse_grammar(call.grammar, "grammar");
  });
}

/// The schema of a call that tool_choice demands: {"name": ..., "arguments": ...} of one of the tools.
Json call_schema(const ChatCall& call) {
  constexpr std::string_view kNamed = "function:";
  std::string wanted = call.tool_choice.starts_with(kNamed) ? call.tool_choice.substr(kNamed.size()) : "";
  Json any = Json::array();
  for (const Json& tool : call.tools) {
    const Json& function = tool.at("function");
    if (!wanted.empty() && function.at("name") != wanted) continue;
    auto parameters = function.find("parameters");
    bool given = parameters != function.end() && parameters->is_object();
    any.push_back({{"type", "object"},
                   {"properties",
                    {{"name", {{"const", function.at("name")}}},
                     {"arguments", given ? *parameters : Json{{"type", "object"}}}}},
                   {"required", {"name", "arguments"}},
                   {"additionalProperties", false}});
  }
  if (any.empty())
    throw bad_request(fmt::format("tool_choice: there is no tool {}", in_quotes(wanted)), "tool_choice");
  return any.size() == 1 ? any[0] : Json{{"anyOf", any}};
}

TokenConstraint constrained(std::shared_ptr<const Grammar> grammar, const Call& call, const Engine& engine) {
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

}  // namespace

TokenConstraint constraint_of(const Call& call, const Engine& engine) {
  auto grammar = grammar_of(call);
  return grammar ? constrained(std::move(grammar), call, engine) : TokenConstraint{};
}

TokenConstraint constraint_of(const ChatCall& call, const Engine& engine) {
  if (call.tool_choice == "auto" || call.tool_choice == "none")
    return constraint_of(static_cast<const Call&>(call), engine);
  if (!call.response_format.is_null() || !call.grammar.empty())
    throw bad_request("tool_choice: a call that must be made leaves no other form for the answer",
                      "tool_choice");
  auto grammar = compiled("tools", [&] { return schema_grammar(call_schema(call), "tools"); });
  return constrained(std::move(grammar), call, engine);
}

}  // namespace longspan::server
