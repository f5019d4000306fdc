// Rendering as transformers' apply_chat_template does, and the formats of models that were published without
// a template: resources/chat_templates/*.jinja.
#include "tokenizer/chat_template.h"

#include <fmt/core.h>

#include "base/resource.h"
#include "jinja/jinja.h"

namespace longspan {
namespace {

const std::vector<BuiltinChatTemplate>& builtin_templates() {
  auto text = [](const char* name) {
    return std::string(resource(fmt::format("chat_templates/{}.jinja", name)));
  };
  // The Aquila models were trained on, and served with, a prompt that ends with one more space.
  static const std::vector<BuiltinChatTemplate> templates = {
      {"xverse", text("xverse"), {}, ""},
      {"aquila-chat", text("aquila-chat"), {"###", "</s>", "[UNK]"}, " "},
      {"aquila", text("aquila"), {"</s>", "[UNK]"}, " "},
      {"aquila-legacy", text("aquila-legacy"), {"</s>", "[UNK]"}, " "},
      {"aquila-v1", text("aquila-v1"), {"</s>", "<|endoftext|>"}, " "},
      {"aquila-v2", text("aquila-v2"), {"</s>", "<|endoftext|>", "<|startofpiece|>", "<|endofpiece|>"}, " "},
      {"index", text("index"), {}, ""},
  };
  return templates;
}

}  // namespace

struct ChatTemplate::Impl {
  Jinja jinja;
};

ChatTemplate::ChatTemplate(const std::string& jinja, const std::string& source)
    : impl_(std::make_shared<const Impl>(Impl{Jinja(jinja, source)})) {}

std::string ChatTemplate::render(const std::vector<ChatMessage>& messages, bool add_generation_prompt,
                                 const Json& variables) const {
  // apply_chat_template always passes these two; templates ask "is not none" as well as "is defined".
  Json all = {{"tools", nullptr}, {"documents", nullptr}};
  for (const auto& [name, value] : variables.items()) all[name] = value;
  Json list = Json::array();
  for (const ChatMessage& message : messages) {
    list.push_back({{"role", message.role}, {"content", message.content}});
    if (message.fields.is_object()) list.back().update(message.fields);
  }
  all["messages"] = std::move(list);
  all["add_generation_prompt"] = add_generation_prompt;
  return impl_->jinja.render(all);
}

const BuiltinChatTemplate* builtin_chat_template(std::string_view name) {
  for (const BuiltinChatTemplate& builtin : builtin_templates())
    if (builtin.name == name) return &builtin;
  return nullptr;
}

std::vector<std::string> builtin_chat_template_names() {
  std::vector<std::string> names;
  for (const BuiltinChatTemplate& builtin : builtin_templates()) names.push_back(builtin.name);
  return names;
}

}  // namespace longspan
