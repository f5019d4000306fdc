// A vocabulary of GGUF written as tokenizer.json gives the ids that the GGUF gives.
#include "tokenizer/write_json.h"

#include "base/error.h"
#include "tokenizer/vocabularies.h"

namespace longspan {
namespace {

/// How many of every eighth of the golden strings get other ids from the written files than from the GGUF
/// keys, or decode otherwise.
int differing(const Json& metadata) {
  Tokenizer gguf = tokenizer_from_gguf(metadata, "m.gguf");
  TokenizerFiles files = tokenizer_files_from_gguf(metadata, "m.gguf");
  // As it lies on the disk: what JSON cannot carry shows here.
  Tokenizer json = tokenizer_from_json(parse_json(dump_json(files.tokenizer), "t"),
                                       {.tokenizer_config = parse_json(dump_json(files.config), "c"),
                                        .generation_config = {{"eos_token_id", gguf.stop_ids()}}},
                                       "tokenizer.json");
  int count = 0;
  std::vector<std::string> texts = golden::strings();
  for (size_t k = 0; k < texts.size(); k += 8) {
    std::vector<int32_t> ids = gguf.encode(texts[k]);
    if (ids != json.encode(texts[k]) || gguf.decode(ids) != json.decode(ids)) ++count;
  }
  EXPECT_EQ(gguf.vocab_size(), json.vocab_size());
  EXPECT_EQ(gguf.stop_ids(), json.stop_ids());
  return count;
}

TEST(WriteTokenizerJson, ByteLevelGivesTheSameIds) {
  for (const char* pre : {"gpt-2", "smollm", "llama-bpe", "qwen2", "deepseek-llm", "falcon", "tekken"})
    EXPECT_EQ(differing(byte_level_metadata(pre)), 0) << pre;
}

TEST(WriteTokenizerJson, SentencePieceGivesTheSameIds) { EXPECT_EQ(differing(sentencepiece_metadata()), 0); }

TEST(WriteTokenizerJson, WhatCannotBeSaidIsRefused) {
  auto error = [](const Json& metadata) {
    try {
      tokenizer_files_from_gguf(metadata, "m.gguf");
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  Json metadata = sentencepiece_metadata();
  EXPECT_EQ(error(metadata), "");
  metadata["tokenizer.ggml.remove_extra_whitespaces"] = true;
  EXPECT_NE(error(metadata).find("drops superfluous spaces"), std::string::npos) << error(metadata);
  metadata = sentencepiece_metadata();
  metadata["tokenizer.ggml.token_type"][metadata["tokenizer.ggml.tokens"].size() - 1] = 4;
  EXPECT_NE(error(metadata).find("user-defined or unused pieces"), std::string::npos) << error(metadata);
  metadata["tokenizer.ggml.model"] = "t5";
  EXPECT_NE(error(metadata).find("kind t5"), std::string::npos) << error(metadata);
}

}  // namespace
}  // namespace longspan
