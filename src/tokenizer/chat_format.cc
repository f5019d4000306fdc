#include "tokenizer/chat_format.h"

#include <fmt/ranges.h>

#include "base/error.h"

namespace longspan {

std::string ChatFormat::render(const std::vector<ChatMessage>& messages, bool add_generation_prompt,
                               const Json& tools) const {
  if (!chat_template)
    fail("{}: the model carries no chat template; choose one with --chat-template, a file or one of: {}",
         model, fmt::join(builtin_chat_template_names(), ", "));
  Json more = variables;
  if (!tools.is_null()) more["tools"] = tools;
  return chat_template->render(messages, add_generation_prompt, more) + (add_generation_prompt ? suffix : "");
}

ChatFormat builtin_chat_format(const BuiltinChatTemplate& builtin) {
  ChatFormat format;
  format.chat_template.emplace(builtin.jinja, "chat template " + builtin.name);
  format.stops = builtin.stop;
  format.suffix = builtin.suffix;
  return format;
}

std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, std::string_view rendered) {
  return tokenizer.encode(rendered, {.add_special = false, .parse_special = true});
}

int32_t end_of_turn(const ChatFormat& chat, const Tokenizer& tokenizer) {
  static const std::string kAnswer = "longspanAnswerStands";
  if (!chat.chat_template) return -1;
  std::string text;
  try {
    text = chat.render({{"user", "?"}, {"assistant", kAnswer}}, false);
  } catch (const Error&) {
    return -1;
  }
  size_t at = text.rfind(kAnswer);
  if (at == std::string::npos) return -1;
  for (int32_t id : encode_chat(tokenizer, std::string_view(text).substr(at + kAnswer.size())))
    if (tokenizer.is_added(id)) return id;
  return -1;
}

std::vector<int32_t> PromptMaker::encode(const std::vector<ChatMessage>& messages) const {
  return encode_chat(tokenizer, chat.render(messages, true));
}

}  // namespace longspan
