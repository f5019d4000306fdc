// The vocabulary of a GGUF file as the two files that the `tokenizers` library and transformers read: the
// same ids for every text, with two exceptions. Unigram vocabularies, and SentencePiece vocabularies with
// pieces that tokenizer.json cannot express, are an Error that says so. And where two joins of a
// SentencePiece piece have the same score, the library takes the one with lower ids, SentencePiece the
// leftmost.
#pragma once

#include <string>

#include "base/json.h"

namespace longspan {

struct TokenizerFiles {
  Json tokenizer;  // tokenizer.json
  Json config;     // tokenizer_config.json: special tokens, chat template
};

/// From the tokenizer.* keys. `source` opens error sentences.
TokenizerFiles tokenizer_files_from_gguf(const Json& metadata, const std::string& source);

}  // namespace longspan
