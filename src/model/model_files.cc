#include "model/model_files.h"

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/nearest.h"
#include "base/text.h"
#include "model/config.h"

namespace longspan {

namespace {

Json file_of(const Checkpoint& checkpoint, const char* name) {
  auto path = checkpoint.path / name;
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? parse_json_file(path) : Json();
}

Json tokenizer_config(const Checkpoint& checkpoint) { return file_of(checkpoint, "tokenizer_config.json"); }

SpecialFiles special_files(const Checkpoint& checkpoint) {
  return {.tokenizer_config = tokenizer_config(checkpoint),
          .special_tokens_map = file_of(checkpoint, "special_tokens_map.json"),
          .added_tokens = file_of(checkpoint, "added_tokens.json"),
          .generation_config = file_of(checkpoint, "generation_config.json"),
          .config = checkpoint.metadata};
}

ChatFormat format_of(const std::string& jinja, const std::string& source) {
  return {.chat_template = ChatTemplate(jinja, source)};
}

/// A template and where it was found; both empty when there is none.
struct OwnTemplate {
  std::string jinja, source;
};

OwnTemplate template_from_config(const Checkpoint& checkpoint) {
  std::string source = (checkpoint.path / "tokenizer_config.json").string() + " chat_template";
  Json config = tokenizer_config(checkpoint);
  if (!config.is_object() || !config.contains("chat_template")) return {};
  const Json& value = config["chat_template"];
  if (value.is_string()) return {value.get<std::string>(), source};
  // Several named templates: transformers takes "default" when no tools are given.
  if (value.is_array())
    for (const Json& item : value)
      if (item.is_object() && item.value("name", "") == "default" && item.contains("template") &&
          item["template"].is_string())
        return {item["template"].get<std::string>(), source + " \"default\""};
  fail("{}: neither a string nor a list with a template named \"default\"", source);
}

OwnTemplate own_template(const Checkpoint& checkpoint) {
  if (checkpoint.format == CheckpointFormat::Gguf) {
    auto it = checkpoint.metadata.find("tokenizer.chat_template");
    if (it == checkpoint.metadata.end() || !it->is_string()) return {};
    return {it->get<std::string>(), checkpoint.path.string() + " tokenizer.chat_template"};
  }
  auto file = checkpoint.path / "chat_template.jinja";
  if (std::filesystem::exists(file)) return {read_file(file), file.string()};
  return template_from_config(checkpoint);
}

/// Without a template where the model carries none.
ChatFormat own_format(const Checkpoint& checkpoint) {
  OwnTemplate own = own_template(checkpoint);
  return own.source.empty() ? ChatFormat{} : format_of(own.jinja, own.source);
}

ChatFormat chosen_format(const std::string& chosen) {
  if (const BuiltinChatTemplate* builtin = builtin_chat_template(chosen))
    return builtin_chat_format(*builtin);
  if (std::filesystem::exists(chosen)) return format_of(read_file(chosen), chosen);
  const auto names = builtin_chat_template_names();
  fail("chat template {} is neither a file nor one of: {}{}", in_quotes(chosen), fmt::join(names, ", "),
       meant_name(chosen, {names.begin(), names.end()}));
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
  if (checkpoint.format == CheckpointFormat::HuggingFace)
    for (const SpecialTokens::Token& t : tokenizer.specials().named) variables[t.name] = t.token.content;
  return variables;
}

}  // namespace

VocabularyFiles vocabulary_files(const Checkpoint& checkpoint) {
  auto at = [&](const char* name) { return checkpoint.path / name; };
  auto exists = [&](const char* name) { return std::filesystem::exists(at(name)); };
  VocabularyFiles files;
  if (exists("tokenizer.model")) files.sentencepiece = read_file(at("tokenizer.model"));
  if (exists("tokenizer.json")) {
    files.tokenizer = parse_json_file(at("tokenizer.json"));
  } else if (files.sentencepiece.empty() && exists("vocab.json") && exists("merges.txt")) {
    SpecialFiles special = special_files(checkpoint);
    files.tokenizer = tokenizer_json_of_vocab(parse_json_file(at("vocab.json")), read_file(at("merges.txt")),
                                              special, checkpoint.path.string());
  }
  return files;
}

std::string own_chat_template(const Checkpoint& checkpoint) { return own_template(checkpoint).jinja; }

Tokenizer load_tokenizer(const Checkpoint& checkpoint) {
  if (checkpoint.format == CheckpointFormat::Gguf)
    return tokenizer_from_gguf(checkpoint.metadata, checkpoint.path.string());
  auto at = [&](const char* name) { return checkpoint.path / name; };
  auto exists = [&](const char* name) { return std::filesystem::exists(at(name)); };
  SpecialFiles files = special_files(checkpoint);
  if (exists("tokenizer.json"))
    return tokenizer_from_json(parse_json_file(at("tokenizer.json")), files, at("tokenizer.json").string());
  if (exists("tokenizer.model"))
    return tokenizer_from_sentencepiece(read_file(at("tokenizer.model")), files,
                                        at("tokenizer.model").string());
  if (exists("vocab.json") && exists("merges.txt"))
    return tokenizer_from_vocab(parse_json_file(at("vocab.json")), read_file(at("merges.txt")), files,
                                checkpoint.path.string());
  if (exists("vocab.txt"))
    return tokenizer_from_vocab_txt(read_file(at("vocab.txt")), files, at("vocab.txt").string());
  fail(
      "{}: holds neither tokenizer.json nor tokenizer.model nor vocab.json with merges.txt nor vocab.txt; "
      "copy the model's tokenizer files there",
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
  if (int32_t id = end_of_turn(chat, tokenizer); id >= 0) tokenizer.add_end(id, "the chat template");
  return {std::move(tokenizer), std::move(chat)};
}

}  // namespace longspan
