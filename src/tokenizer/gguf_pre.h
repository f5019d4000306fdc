// tokenizer.ggml.pre: GGUF files name their pre-tokenizer instead of describing it. The rows repeat what the
// named models' own tokenizer.json files say, so that the result equals that of the original tokenizer.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/normalize.h"
#include "tokenizer/pretokenize.h"

namespace longspan {

struct GgufPreTokenizer {
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> steps;
  const std::vector<Json>* json = nullptr;  // the steps as tokenizer.json has them
  bool ignore_merges = false;
  bool add_bos = false;  // where the file has no add_bos_token
};

/// Error listing the known names. An empty name (files older than the key: Aquila, GPT-NeoX) is read as
/// "gpt-2".
GgufPreTokenizer gguf_pre_tokenizer(const std::string& name, const std::string& source);

/// The first name whose steps are those of tokenizer.json's "pre_tokenizer"; "" when there is none.
std::string gguf_pre_name(const Json& pre_tokenizer, bool nfc, bool ignore_merges);

}  // namespace longspan
