// Exactness against the Python libraries on 10,500 strings a vocabulary; see golden.h.
#include "tokenizer/golden.h"

namespace longspan {
namespace {

Tokenizer from_json(const std::string& name) {
  auto path = golden::folder() + name;
  return tokenizer_from_json(parse_json_file(path), {}, path);
}

TEST(TokenizerGolden, ByteLevelAsTokenizers) {
  auto tokenizer = from_json("byte_level.json");
  EXPECT_EQ(tokenizer.kind(), "byte-level BPE");
  golden::expect_equal(tokenizer, golden::strings(), golden::hashes("byte_level"), 0, golden::kStrings,
                       golden::answer_hash);
}

TEST(TokenizerGolden, ByteFallbackAsTokenizers) {
  auto tokenizer = from_json("byte_fallback.json");
  EXPECT_EQ(tokenizer.kind(), "SentencePiece BPE");
  golden::expect_equal(tokenizer, golden::strings(), golden::hashes("byte_fallback"), 0, golden::kStrings,
                       golden::answer_hash);
}

TEST(TokenizerGolden, UnigramAsTokenizers) {
  auto tokenizer = from_json("unigram.json");
  EXPECT_EQ(tokenizer.kind(), "SentencePiece unigram");
  golden::expect_equal(tokenizer, golden::strings(), golden::hashes("unigram"), 0, golden::kStrings,
                       golden::answer_hash);
}

TEST(TokenizerGolden, WordPieceAsTokenizers) {
  auto tokenizer = from_json("wordpiece.json");
  EXPECT_EQ(tokenizer.kind(), "WordPiece");
  golden::expect_equal(tokenizer, golden::strings(), golden::hashes("wordpiece"), 0, golden::kStrings,
                       golden::answer_hash);
}

/// The golden WordPiece vocabulary by id.
std::vector<std::string> wordpiece_tokens() {
  Json json = parse_json_file(golden::folder() + "wordpiece.json");
  std::vector<std::string> tokens(json["model"]["vocab"].size());
  for (const auto& [text, id] : json["model"]["vocab"].items()) tokens.at(id.get<size_t>()) = text;
  return tokens;
}

TEST(TokenizerGolden, VocabTxtIsWordPiece) {
  std::string lines;
  for (const std::string& token : wordpiece_tokens()) lines += token + "\n";
  auto tokenizer = tokenizer_from_vocab_txt(lines, {}, "vocab.txt");
  golden::expect_equal(tokenizer, golden::strings(), golden::hashes("wordpiece"), 0, golden::kStrings,
                       golden::answer_hash);
}

// llama.cpp's converter marks the beginnings of words instead of what follows them.
TEST(TokenizerGolden, GgufVocabulariesAreWordPiece) {
  Json tokens = Json::array(), types = Json::array();
  for (const std::string& token : wordpiece_tokens()) {
    bool special = token.size() > 2 && token.front() == '[' && token.back() == ']';
    tokens.push_back(special ? token : token.starts_with("##") ? token.substr(2) : "\u2581" + token);
    types.push_back(special ? 3 : 1);
  }
  Json metadata = {{"tokenizer.ggml.model", "bert"},     {"tokenizer.ggml.tokens", tokens},
                   {"tokenizer.ggml.token_type", types}, {"tokenizer.ggml.unknown_token_id", 1},
                   {"tokenizer.ggml.cls_token_id", 2},   {"tokenizer.ggml.seperator_token_id", 3}};
  auto tokenizer = tokenizer_from_gguf(metadata, "bert.gguf");
  EXPECT_EQ(tokenizer.kind(), "WordPiece");
  golden::expect_equal(tokenizer, golden::strings(), golden::hashes("wordpiece"), 0, golden::kStrings,
                       golden::answer_hash);
}

TEST(TokenizerGolden, ModelsAsSentencePiece) {
  for (std::string name : {"sentencepiece_bpe", "sentencepiece_unigram"}) {
    SCOPED_TRACE(name);
    auto path = golden::folder() + name + ".model";
    auto tokenizer = tokenizer_from_sentencepiece(read_file(path), {}, path);
    golden::expect_equal(tokenizer, golden::strings(), golden::hashes(name), 0, golden::kStrings,
                         golden::ids_hash);
  }
}

TEST(TokenizerGolden, EveryConstructAsTokenizers) {
  auto base = parse_json_file(golden::folder() + "byte_fallback.json");
  auto variants = parse_json_file(golden::folder() + "variants.json");
  std::vector<std::string> texts;
  auto all = golden::strings();
  for (size_t k = 0; k < all.size(); k += golden::kVariantEvery) texts.push_back(all[k]);
  auto expected = golden::hashes("variants");
  ASSERT_EQ(expected.size(), variants.size() * texts.size());
  for (size_t k = 0; k < variants.size(); ++k) {
    SCOPED_TRACE(dump_json(variants[k]));
    Json json = base;
    for (auto& [key, section] : variants[k].items()) json[key] = section;
    auto tokenizer = tokenizer_from_json(json, {}, "variant");
    golden::expect_equal(tokenizer, texts, expected, k * texts.size(), texts.size(), golden::answer_hash);
  }
}

TEST(TokenizerGolden, TokenBytesAddUpToDecode) {
  auto texts = golden::strings();
  for (const char* name : {"byte_level.json", "byte_fallback.json"}) {
    auto tokenizer = from_json(name);
    for (size_t k = 0; k < texts.size(); k += 7) {
      auto text = valid_utf8(texts[k]);
      auto ids = tokenizer.encode(text, {.add_special = false, .parse_special = false});
      std::string bytes;
      for (int32_t id : ids) bytes += tokenizer.token_bytes(id);
      auto whole = tokenizer.decode(ids);
      EXPECT_TRUE(bytes == whole || bytes == " " + whole) << name << " " << dump_json(text);
    }
  }
}

}  // namespace
}  // namespace longspan
