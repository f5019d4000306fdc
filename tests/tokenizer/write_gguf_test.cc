// Vocabularies written as GGUF keys give the ids of the files that they were written from.
#include "tokenizer/write_gguf.h"

#include "base/error.h"
#include "tokenizer/vocabularies.h"
#include "tokenizer/write_json.h"

namespace longspan {
namespace {

std::string error_of(const Tokenizer& tokenizer, const VocabularyFiles& files, int64_t rows) {
  try {
    tokenizer_keys_for_gguf(tokenizer, files, rows, "m");
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

/// How many of every eighth of the golden strings get other ids from the written keys.
int differing(const Tokenizer& tokenizer, const VocabularyFiles& files) {
  TokenizerKeys written = tokenizer_keys_for_gguf(tokenizer, files, tokenizer.vocab_size() + 5, "m");
  EXPECT_EQ(written.remarks, std::vector<std::string>{});
  Tokenizer read = tokenizer_from_gguf(written.keys, "m.gguf");
  EXPECT_EQ(read.vocab_size(), tokenizer.vocab_size() + 5);  // rows without a token are padded
  EXPECT_EQ(read.stop_ids(), tokenizer.stop_ids());
  if (tokenizer.bos_id() >= 0) EXPECT_EQ(read.bos_id(), tokenizer.bos_id());
  EXPECT_EQ(read.prefix(), tokenizer.prefix());
  EXPECT_EQ(read.suffix(), tokenizer.suffix());
  int count = 0;
  std::vector<std::string> texts = golden::strings();
  for (size_t k = 0; k < texts.size(); k += 8)
    if (read.encode(texts[k]) != tokenizer.encode(texts[k])) ++count;
  return count;
}

/// The tokenizer.json of a vocabulary, and what is read from it.
std::pair<Tokenizer, VocabularyFiles> as_json(const Json& metadata) {
  TokenizerFiles files = tokenizer_files_from_gguf(metadata, "m.gguf");
  files.tokenizer = parse_json(dump_json(files.tokenizer), "t");  // as it lies on the disk
  Json generation = {{"eos_token_id", tokenizer_from_gguf(metadata, "m.gguf").stop_ids()}};
  Tokenizer tokenizer = tokenizer_from_json(
      files.tokenizer, {.tokenizer_config = files.config, .generation_config = generation}, "tokenizer.json");
  return {tokenizer, {.tokenizer = files.tokenizer}};
}

TEST(WriteTokenizerGguf, ByteLevelGivesTheSameIds) {
  for (const char* pre : {"gpt-2", "smollm", "llama-bpe", "qwen2", "deepseek-llm", "falcon", "tekken"}) {
    SCOPED_TRACE(pre);
    auto [tokenizer, files] = as_json(byte_level_metadata(pre));
    EXPECT_EQ(differing(tokenizer, files), 0);
    TokenizerKeys written = tokenizer_keys_for_gguf(tokenizer, files, tokenizer.vocab_size(), "m");
    EXPECT_EQ(written.keys["tokenizer.ggml.pre"], pre);
    EXPECT_EQ(written.keys["tokenizer.ggml.merges"], byte_level_metadata(pre)["tokenizer.ggml.merges"]);
  }
}

TEST(WriteTokenizerGguf, MergesBecomeScores) {
  auto [tokenizer, files] = as_json(sentencepiece_metadata());
  EXPECT_EQ(differing(tokenizer, files), 0);
}

TEST(WriteTokenizerGguf, ScoresOfASentencePieceModelAreKept) {
  std::string bytes = read_file(golden::folder() + "sentencepiece_bpe.model");
  Tokenizer tokenizer = tokenizer_from_sentencepiece(bytes, {}, "tokenizer.model");
  EXPECT_EQ(differing(tokenizer, {.sentencepiece = bytes}), 0);
  SentencePieceModel model = parse_sentencepiece(bytes, "m");
  TokenizerKeys written =
      tokenizer_keys_for_gguf(tokenizer, {.sentencepiece = bytes}, tokenizer.vocab_size(), "m");
  EXPECT_EQ(written.keys["tokenizer.ggml.scores"], Json(model.scores));
}

TEST(WriteTokenizerGguf, WhatGgufCannotSayIsRefused) {
  auto [tokenizer, files] = as_json(byte_level_metadata("gpt-2"));
  EXPECT_NE(error_of(tokenizer, files, 3).find("embedding 3 rows"), std::string::npos);
  files.tokenizer["pre_tokenizer"] = {{"type", "Whitespace"}};
  EXPECT_NE(error_of(tokenizer, files, tokenizer.vocab_size()).find("has no name in GGUF"),
            std::string::npos);
  files.tokenizer["normalizer"] = {{"type", "Lowercase"}};
  EXPECT_NE(error_of(tokenizer, files, tokenizer.vocab_size()).find("normalizer"), std::string::npos);
  std::string unigram = read_file(golden::folder() + "sentencepiece_unigram.model");
  Tokenizer other = tokenizer_from_sentencepiece(unigram, {}, "tokenizer.model");
  EXPECT_NE(error_of(other, {.sentencepiece = unigram}, other.vocab_size()).find("unigram"),
            std::string::npos);
}

}  // namespace
}  // namespace longspan
