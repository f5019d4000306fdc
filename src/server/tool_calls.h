// Tool calls as models write them, read back: <tool_call>JSON</tool_call> (Hermes, Qwen, SmolLM), a JSON
// object or list that is the whole answer (Llama 3.1, Mistral), <function=NAME>JSON</function>, and
// [TOOL_CALLS] before any of these. What is not a call of a known tool stays text.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace longspan::server {

struct ToolCall {
  std::string name;
  std::string arguments;  // JSON
};

struct ReadAnswer {
  std::string content;  // without the calls
  std::vector<ToolCall> calls;
};

/// Names of the tools of a request.
std::set<std::string> tool_names(const Json& tools);

ReadAnswer read_tool_calls(const std::string& answer, const std::set<std::string>& names);

/// Bytes at the beginning of an unfinished answer that cannot be part of a call: what a stream may show.
size_t shown_before_calls(std::string_view answer);

}  // namespace longspan::server
