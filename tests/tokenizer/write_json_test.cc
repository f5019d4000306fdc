// A vocabulary of GGUF written as tokenizer.json gives the ids that the GGUF gives.
#include "tokenizer/write_json.h"

#include "base/error.h"
#include "tokenizer/golden.h"
#include "tokenizer/sentencepiece.h"

namespace longspan {
namespace {

/// The golden byte-level tokenizer as GGUF keys.
Json byte_level_metadata(const char* pre) {
  Json json = parse_json_file(golden::folder() + "byte_level.json");
  Json tokens = Json::array(), types = Json::array(), merges = Json::array();
  const Json& vocab = json["model"]["vocab"];
  size_t size = vocab.size();
  for (const Json& added : json["added_tokens"]) size = std::max(size, added["id"].get<size_t>() + 1);
  for (size_t id = 0; id < size; ++id) tokens.push_back(fmt::format("[unused{}]", id)), types.push_back(5);
  for (const auto& [text, id] : vocab.items()) tokens[id.get<size_t>()] = text, types[id.get<size_t>()] = 1;
  for (const Json& added : json["added_tokens"]) {
    tokens[added["id"].get<size_t>()] = added["content"];
    types[added["id"].get<size_t>()] = added["special"].get<bool>() ? 3 : 4;
  }
  for (const Json& m : json["model"]["merges"])
    merges.push_back(m.is_string() ? m.get<std::string>()
                                   : m[0].get<std::string>() + " " + m[1].get<std::string>());
  return {{"tokenizer.ggml.model", "gpt2"},      {"tokenizer.ggml.pre", pre},
          {"tokenizer.ggml.tokens", tokens},     {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.merges", merges},     {"tokenizer.ggml.bos_token_id", 0},
          {"tokenizer.ggml.eos_token_id", 1},    {"tokenizer.ggml.add_bos_token", true},
          {"tokenizer.ggml.add_eos_token", true}};
}

/// The golden SentencePiece BPE as GGUF keys; pieces that tokenizer.json cannot say are made ordinary.
Json sentencepiece_metadata() {
  SentencePieceModel model =
      parse_sentencepiece(read_file(golden::folder() + "sentencepiece_bpe.model"), "m");
  Json tokens = Json::array(), types = Json::array(), scores = Json::array();
  for (size_t k = 0; k < model.pieces.size(); ++k) {
    auto type = model.types[k];
    if (type == PieceType::UserDefined || type == PieceType::Unused) type = PieceType::Normal;
    tokens.push_back(model.pieces[k]);
    types.push_back(static_cast<int>(type));
    scores.push_back(model.scores[k]);
  }
  return {{"tokenizer.ggml.model", "llama"},
          {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.scores", scores},
          {"tokenizer.ggml.bos_token_id", 1}};
}

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
