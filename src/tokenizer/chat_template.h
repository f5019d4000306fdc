// Chat templates: the model's own Jinja text, rendered as transformers' apply_chat_template does
// (trim_blocks, lstrip_blocks, the same globals). What the interpreter does not support is an Error with the
// line and the construct; there is never a fallback to another template. jinja/jinja.h is the interpreter.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"

namespace longspan {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", ...
  std::string content;
  // What else the template may read of it: name, tool_calls, reasoning_content, ...; null: nothing. A
  // "content" here takes the place of the other one.
  Json fields = {};
};

class ChatTemplate {
 public:
  /// Parses the template. Error names `source`, the line and what is not understood.
  ChatTemplate(const std::string& jinja, const std::string& source);
  /// `variables` holds bos_token, eos_token and whatever else the template may read; messages and
  /// add_generation_prompt are added. raise_exception() in a template becomes an Error with its text.
  std::string render(const std::vector<ChatMessage>& messages, bool add_generation_prompt,
                     const Json& variables) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

/// The format of models that were published without a Jinja template: "xverse", "aquila-chat", "aquila",
/// "aquila-legacy", "aquila-v1", "aquila-v2", "index".
struct BuiltinChatTemplate {
  std::string name;
  std::string jinja;              // for ChatTemplate
  std::vector<std::string> stop;  // an answer ends before any of these
  std::string suffix;             // follows the rendered text when an answer is asked for
};
/// Null when there is no such name.
const BuiltinChatTemplate* builtin_chat_template(std::string_view name);
std::vector<std::string> builtin_chat_template_names();

}  // namespace longspan
