// A vocabulary as the tokenizer.ggml.* keys of a GGUF file: the inverse of from_gguf.cc. GGUF names its
// pre-tokenizers instead of describing them, and keeps scores instead of merges for SentencePiece; what has
// no equal there is an Error, and the result is checked against the original on texts of many kinds.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

/// Where a vocabulary comes from: tokenizer.json, or the bytes of tokenizer.model, or both (then scores are
/// those of tokenizer.model).
struct VocabularyFiles {
  Json tokenizer = {};
  std::string sentencepiece = {};
};

struct TokenizerKeys {
  Json keys;                         // "tokenizer.ggml.model", ...
  std::vector<std::string> remarks;  // what a reader of the keys will do in another way
};

/// `tokenizer` was made from `files`; the model has `rows` ids, which the lists are filled up to. `source`
/// opens error sentences.
TokenizerKeys tokenizer_keys_for_gguf(const Tokenizer& tokenizer, const VocabularyFiles& files, int64_t rows,
                                      const std::string& source);

}  // namespace longspan
