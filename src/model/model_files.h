// Tokenizer and chat format of a model directory or GGUF file. Both can be read from a checkpoint without
// tensors (open_metadata).
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"
#include "tokenizer/chat_format.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/write_gguf.h"

namespace longspan {

/// GGUF: the tokenizer.ggml.* keys. HF: tokenizer.json, else tokenizer.model, else vocab.json with
/// merges.txt, else vocab.txt, and the special tokens of the files beside it (tokenizer/special_tokens.h).
/// Error naming the directory when there is none of them.
Tokenizer load_tokenizer(const Checkpoint& checkpoint);

/// What load_tokenizer reads in a Hugging Face directory, for writing the vocabulary in another format.
VocabularyFiles vocabulary_files(const Checkpoint& checkpoint);

/// The model's own chat template, Jinja; "" when it carries none.
std::string own_chat_template(const Checkpoint& checkpoint);

/// The chat format that the user chose: a built-in name or a Jinja file. When `chosen` is empty, the model's
/// own (GGUF key, chat_template.jinja, or tokenizer_config.json); a model that carries none gets the built-in
/// one of its architecture where that has exactly one (xverse, index), else a format without a template.
/// Error when `chosen` is neither, or the template cannot be parsed.
ChatFormat load_chat_format(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                            const std::string& chosen);

/// Both of them; the token with which the template ends a turn is an end of the tokenizer, too.
PromptMaker load_prompt_maker(const Checkpoint& checkpoint, const std::string& chosen);

}  // namespace longspan
