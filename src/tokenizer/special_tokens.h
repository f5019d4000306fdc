// Special tokens and ends: everything that a model's files say about them, gathered in one place. A reader of
// a vocabulary gives the gathered tokens their ids; `longspan info` prints what was taken from which file.
// Precedence is that of transformers: special_tokens_map.json and added_tokens.json count only where
// tokenizer_config.json has no added_tokens_decoder; the ends are the union of all files.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/added_tokens.h"

namespace longspan {

/// The files beside a vocabulary; null where a file is missing.
struct SpecialFiles {
  Json tokenizer_config = {};
  Json special_tokens_map = {}, added_tokens = {};
  Json generation_config = {}, config = {};
  Json defaults = {};  // named tokens of the tokenizer's class, which count where no file names them
};

struct SpecialTokens {
  struct Token {
    std::string name;  // "bos_token", ...; "" for an added token
    AddedToken token;  // id -1: not known until the vocabulary is, or not in it
    std::string from;  // the file or GGUF key that says so
  };
  struct End {
    int32_t id = -1;
    std::string from;
    bool if_special = false;  // counts only if the vocabulary marks the token as an added one
  };

  std::vector<Token> named;  // the first of a name counts
  std::vector<Token> added;  // in the order of their files
  std::vector<End> ends;     // ids that end an answer, without repetition once the vocabulary is known
  std::vector<std::string> remarks;  // sentences for the user

  /// The first token of that name; null when there is none.
  const Token* find(std::string_view name) const;
};

/// From the files of a Hugging Face directory. Error naming `source` when an entry cannot be read.
SpecialTokens gather_special_tokens(const SpecialFiles& files, const std::string& source);
/// From the tokenizer.ggml.* keys of a GGUF file with `tokens` tokens.
SpecialTokens gather_special_tokens(const Json& metadata, size_t tokens, const std::string& source);

/// An entry of added_tokens or added_tokens_decoder; its id stays -1.
AddedToken read_added_token(const Json& entry, const std::string& source);

/// Spellings of tokens that end a turn in published models.
struct EndSpelling {
  std::string text;
  // In a GGUF file a token of this spelling is a control token whatever its type says (as in llama.cpp),
  // since converters are known to have written "normal". False: text may contain it.
  bool unmistakable = true;
};
const std::vector<EndSpelling>& end_of_turn_spellings();

}  // namespace longspan
