// Rendering as transformers' apply_chat_template does, and the formats of models published without a
// template. One surprising rule: "aquila" ends a human turn with "###" but an answer with "</s>", so no "###"
// precedes a later "Human:".
#include "tokenizer/chat_template.h"

#include "jinja/jinja.h"

namespace longspan {
namespace {

// XVERSE Chat: every white space matters; a system text is a "Human:" turn that ends with one line feed.
constexpr const char* kXverse = R"(
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- 'Human: ' + message.content + '\n' }}
    {%- elif message.role == 'user' %}
        {{- 'Human: ' + message.content + '\n\n' }}
    {%- elif message.role == 'exec' %}
        {{- 'Exec: ' + message.content + '\n\n' }}
    {%- elif message.role == 'assistant' %}
        {{- 'Assistant: ' + message.content + '<|endoftext|>' }}
    {%- else %}
        {{- raise_exception('the roles of XVERSE are system, user, exec and assistant, not ' + message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'Assistant: ' }}
{%- endif %})";

// The Aquila family: a system text (this one unless the conversation brings its own), then turns in pairs.
constexpr const char* kAquilaSystem = R"(
{%- set system = "A chat between a curious human and an artificial intelligence assistant. " ~
                 "The assistant gives helpful, detailed, and polite answers to the human's questions." %}
{%- if messages and messages[0].role == 'system' %}
    {%- set system = messages[0].content %}
    {%- set messages = messages[1:] %}
{%- endif %})";

// Reads user_begin, user_end, answer_begin, answer_end and prompt.
constexpr const char* kAquilaTurns = R"(
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- user_begin + message.content + user_end }}
    {%- elif message.role == 'assistant' %}
        {{- answer_begin + message.content + answer_end }}
    {%- else %}
        {{- raise_exception('Aquila knows the roles user and assistant, and system at the start, not ' + message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- prompt }}
{%- endif %})";

constexpr const char* kAquilaChat = R"(
{%- set user_begin, user_end = 'Human: ', '###' %}
{%- set answer_begin, answer_end, prompt = 'Assistant: ', '###', 'Assistant:' %}
{{- system + '###' }})";

constexpr const char* kAquila = R"(
{%- set user_begin, user_end = 'Human: ', '###' %}
{%- set answer_begin, answer_end, prompt = 'Assistant: ', '</s>', 'Assistant:' %}
{{- system + '###' }})";

constexpr const char* kAquilaLegacy = R"(
{%- set user_begin, user_end = '### Human: ', '\n' %}
{%- set answer_begin, answer_end, prompt = '### Assistant: ', '</s>', '### Assistant: ' %}
{{- system + '\n\n' }})";

constexpr const char* kAquilaPieces = R"(
{%- set user_begin, user_end = '<|startofpiece|>', '' %}
{%- set answer_begin, answer_end, prompt = '<|endofpiece|>', '</s>', '<|endofpiece|>' %})";

constexpr const char* kAquilaV2System = R"({{- system + '\n\n' }})";

// Index-1.9B: <unk> (id 0) opens the system text, reserved_0 and reserved_1 (ids 3 and 4) the turns.
constexpr const char* kIndex = R"(
{%- set system = "你是由哔哩哔哩(人工智能平台部)自主研发的大语言模型，名为“Index”。" ~
                 "你能够根据用户传入的信息，帮助用户完成指定的任务，并生成恰当的、符合要求的回复。" %}
{%- if messages and messages[0].role == 'system' %}
    {%- set system = messages[0].content %}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- '<unk>' + system }}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- 'reserved_0' + message.content }}
    {%- elif message.role == 'assistant' %}
        {{- 'reserved_1' + message.content }}
    {%- else %}
        {{- raise_exception('Index knows the roles user and assistant, and system at the start, not ' + message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'reserved_1' }}
{%- endif %})";

const std::vector<BuiltinChatTemplate>& builtin_templates() {
  // The Aquila models were trained on, and served with, prompts that end with one extra space.
  static const std::vector<BuiltinChatTemplate> templates = {
      {"xverse", kXverse, {}, ""},
      {"aquila-chat", std::string(kAquilaSystem) + kAquilaChat + kAquilaTurns, {"###", "</s>", "[UNK]"}, " "},
      {"aquila", std::string(kAquilaSystem) + kAquila + kAquilaTurns, {"</s>", "[UNK]"}, " "},
      {"aquila-legacy", std::string(kAquilaSystem) + kAquilaLegacy + kAquilaTurns, {"</s>", "[UNK]"}, " "},
      {"aquila-v1", std::string(kAquilaPieces) + kAquilaTurns, {"</s>", "<|endoftext|>"}, " "},
      {"aquila-v2",
       std::string(kAquilaSystem) + kAquilaPieces + kAquilaV2System + kAquilaTurns,
       {"</s>", "<|endoftext|>", "<|startofpiece|>", "<|endofpiece|>"},
       " "},
      {"index", kIndex, {}, ""},
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
  for (const ChatMessage& message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
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
