#include "model/model_files.h"

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/text.h"
#include "model/config.h"

namespace longspan {

namespace {

Json tokenizer_config(const Checkpoint& checkpoint) {
  auto path = checkpoint.path / "tokenizer_config.json";
  return std::filesystem::exists(path) ? parse_json_file(path) : Json();
}

/// A token in tokenizer_config.json is a string or {"content": "..."}.
std::string token_content(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string())
    return value["content"].get<std::string>();
  return "";
}

ChatFormat format_of(const std::string& jinja, const std::string& source) {
  return {.chat_template = ChatTemplate(jinja, source)};
}

ChatFormat format_from_config(const Checkpoint& checkpoint) {
  std::string source = (checkpoint.path / "tokenizer_config.json").string() + " chat_template";
  Json config = tokenizer_config(checkpoint);
  if (!config.is_object() || !config.contains("chat_template")) return {};
  const Json& value = config["chat_template"];
  if (value.is_string()) return format_of(value.get<std::string>(), source);
  // Several named templates: transformers takes "default" when no tools are given.
  if (value.is_array())
    for (const Json& item : value)
      if (item.is_object() && item.value("name", "") == "default" && item.contains("template") &&
          item["template"].is_string())
        return format_of(item["template"].get<std::string>(), source + " \"default\"");
  fail("{}: neither a string nor a list with a template named \"default\"", source);
}

/// Without a template where the model carries none.
ChatFormat own_format(const Checkpoint& checkpoint) {
  if (checkpoint.format == CheckpointFormat::Gguf) {
    auto it = checkpoint.metadata.find("tokenizer.chat_template");
    if (it == checkpoint.metadata.end() || !it->is_string()) return {};
    return format_of(it->get<std::string>(), checkpoint.path.string() + " tokenizer.chat_template");
  }
  auto file = checkpoint.path / "chat_template.jinja";
  if (std::filesystem::exists(file)) return format_of(read_file(file), file.string());
  return format_from_config(checkpoint);
}

ChatFormat chosen_format(const std::string& chosen) {
  if (const BuiltinChatTemplate* builtin = builtin_chat_template(chosen))
    return builtin_chat_format(*builtin);
  if (std::filesystem::exists(chosen)) return format_of(read_file(chosen), chosen);
  fail("chat template {} is neither a file nor one of: {}", in_quotes(chosen),
       fmt::join(builtin_chat_template_names(), ", "));
}

ChatFormat default_format(const Checkpoint& checkpoint) {
  ChatFormat own = own_format(checkpoint);
  const Architecture* row = architecture_of(checkpoint);
  if (own.chat_template || !row || !row->chat_template) return own;
  return builtin_chat_format(*builtin_chat_template(row->chat_template));
}

/// bos_token, eos_token and the other named tokens that a template may read.
Json chat_template_variables(const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  Json variables = Json::object();
  auto text = [&](int32_t id) { return id < 0 ? std::string() : tokenizer.token_text(id); };
  variables["bos_token"] = text(tokenizer.bos_id());
  variables["eos_token"] = text(tokenizer.eos_id());
  if (checkpoint.format == CheckpointFormat::HuggingFace) {
    Json config = tokenizer_config(checkpoint);
    for (const char* name : {"bos_token", "eos_token", "unk_token", "pad_token"})
      if (config.is_object() && config.contains(name)) variables[name] = token_content(config[name]);
  }
  return variables;
}

}  // namespace

Tokenizer load_tokenizer(const Checkpoint& checkpoint) {
  if (checkpoint.format == CheckpointFormat::Gguf)
    return tokenizer_from_gguf(checkpoint.metadata, checkpoint.path.string());
  auto json = checkpoint.path / "tokenizer.json", model = checkpoint.path / "tokenizer.model";
  if (std::filesystem::exists(json))
    return tokenizer_from_json(parse_json_file(json), tokenizer_config(checkpoint), json.string());
  if (std::filesystem::exists(model))
    return tokenizer_from_sentencepiece(read_file(model), tokenizer_config(checkpoint), model.string());
  fail("{}: holds neither tokenizer.json nor tokenizer.model; copy the model's tokenizer files there",
       checkpoint.path.string());
}

ChatFormat load_chat_format(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                            const std::string& chosen) {
  ChatFormat format = chosen.empty() ? default_format(checkpoint) : chosen_format(chosen);
  format.variables = chat_template_variables(checkpoint, tokenizer);
  format.model = checkpoint.path.string();
  return format;
}

PromptMaker load_prompt_maker(const Checkpoint& checkpoint, const std::string& chosen) {
  Tokenizer tokenizer = load_tokenizer(checkpoint);
  ChatFormat chat = load_chat_format(checkpoint, tokenizer, chosen);
  return {std::move(tokenizer), std::move(chat)};
}

}  // namespace longspan
