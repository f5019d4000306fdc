// What a model directory or GGUF file holds beside its weights: tokenizer and chat template.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

/// GGUF: the tokenizer.ggml.* keys. HF: tokenizer.json, else tokenizer.model, with tokenizer_config.json.
/// Error naming the directory when there is neither.
Tokenizer load_tokenizer(const Checkpoint& checkpoint);

/// The Jinja text of the model's chat template (GGUF key, chat_template.jinja, or tokenizer_config.json), or
/// of the one the user chose: a built-in name or a file. A model that carries none gets the built-in one of
/// its architecture where that has but one (xverse, index), else nullopt.
struct ChatTemplateSource {
  std::string jinja;
  std::string source;                  // for errors
  std::vector<std::string> stop = {};  // of a built-in one, as there
  std::string suffix = {};
};
std::optional<ChatTemplateSource> find_chat_template(const Checkpoint& checkpoint, const std::string& chosen);

/// bos_token, eos_token and the other named tokens a template may read.
Json chat_template_variables(const Checkpoint& checkpoint, const Tokenizer& tokenizer);

}  // namespace longspan
