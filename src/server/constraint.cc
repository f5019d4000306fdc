#include "server/constraint.h"

#include "server/api_error.h"

namespace longspan::server {

TokenConstraint constraint_of(const Call& call, const Tokenizer&) {
  if (!call.response_format.is_null())
    throw bad_request("response_format: only {\"type\": \"text\"} is supported", "response_format");
  if (!call.grammar.empty()) throw bad_request("grammar: is not supported", "grammar");
  return {};
}

TokenConstraint constraint_of(const ChatCall& call, const Tokenizer& tokenizer) {
  if (call.tool_choice != "auto" && call.tool_choice != "none")
    throw bad_request("tool_choice: only auto and none are supported", "tool_choice");
  return constraint_of(static_cast<const Call&>(call), tokenizer);
}

}  // namespace longspan::server
