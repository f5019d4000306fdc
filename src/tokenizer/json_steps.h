// The sections of tokenizer.json that are sequences of steps: normalizer, pre_tokenizer, decoder,
// post_processor. Each reader appends what it finds; an unsupported type or option is an Error that names it.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/decode.h"
#include "tokenizer/normalize.h"
#include "tokenizer/pretokenize.h"

namespace longspan {

void read_normalizer(const Json& section, const std::string& source, std::vector<NormalizerStep>& steps);
/// What BERT's tokenizers do to a text before it is split.
struct BertNormalization {
  bool clean = true, han = true, strip_accents = true, lowercase = true;
};
void add_bert_normalizer(const BertNormalization& bert, std::vector<NormalizerStep>& steps);
/// Words, and each punctuation mark alone.
void add_bert_pre_tokenizer(std::vector<PreTokenizerStep>& steps);
/// Tokens that begin with `prefix` are joined to the one before, others follow a space.
DecoderStep wordpiece_decoder(const std::string& prefix, bool cleanup);

void read_pre_tokenizer(const Json& section, const std::string& source, std::vector<PreTokenizerStep>& steps);
void read_decoder(const Json& section, const std::string& source, std::vector<DecoderStep>& steps);

/// The ids put before and after a single text.
struct SpecialAround {
  std::vector<int32_t> prefix, suffix;
};
void read_post_processor(const Json& section, const std::string& source, SpecialAround& around);

/// section[key], or null where it is absent.
const Json& json_at(const Json& section, const char* key);

}  // namespace longspan
