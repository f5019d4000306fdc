// What the readers take and refuse, and properties that need no golden file.
#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "tokenizer/golden.h"
#include "tokenizer/sentencepiece.h"

namespace longspan {
namespace {

Json golden_json(const std::string& name) { return parse_json_file(golden::folder() + name); }

/// The sentence of the Error that loading gives; "" when it loads.
std::string refusal(const Json& json) {
  try {
    tokenizer_from_json(json, {}, "t.json");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

void expect_refused(Json json, const std::string& pointer, const Json& value, const std::string& word) {
  json[Json::json_pointer(pointer)] = value;
  auto sentence = refusal(json);
  EXPECT_NE(sentence.find(word), std::string::npos) << pointer << ": " << sentence;
  EXPECT_TRUE(sentence.starts_with("t.json")) << sentence;
}

TEST(TokenizerReaders, WhatIsOutsideTheSubsetIsNamed) {
  auto base = golden_json("byte_fallback.json");
  ASSERT_EQ(refusal(base), "");
  expect_refused(base, "/model/type", "WordLevel", "WordLevel");
  expect_refused(base, "/model/continuing_subword_prefix", "##", "continuing_subword_prefix");
  expect_refused(base, "/model/end_of_word_suffix", "</w>", "end_of_word_suffix");
  expect_refused(base, "/model/dropout", 0.1, "dropout");
  expect_refused(base, "/model/unk_token", "nowhere", "nowhere");
  expect_refused(base, "/model/merges/0", "a b c", "merge 0");
  expect_refused(base, "/model/merges/0", Json::array({"zzz", "yyy"}), "zzz");
  expect_refused(base, "/model/vocab/a", -5, "-5");
  expect_refused(base, "/model/vocab/a", 1 << 30, "1073741824");
  expect_refused(base, "/normalizer", Json{{"type", "ByteLevel"}}, "ByteLevel");
  expect_refused(base, "/normalizer", Json{{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}},
                 "character map");
  expect_refused(base, "/pre_tokenizer", Json{{"type", "UnicodeScripts"}}, "UnicodeScripts");
  expect_refused(base, "/pre_tokenizer", Json{{"type", "Split"}, {"behavior", "Isolated"}}, "pattern");
  expect_refused(base, "/decoder", Json{{"type", "CTC"}}, "CTC");
  expect_refused(base, "/post_processor", Json{{"type", "Odd"}}, "Odd");
  expect_refused(base, "/post_processor/single/0/SpecialToken/id", "gone", "gone");
  expect_refused(base, "/added_tokens/0", Json{{"id", 0}}, "content");
  expect_refused(base, "/added_tokens", Json{{"<s>", 1}}, "added_tokens should be a list, not {\"<s>\":1}");
  expect_refused(base, "/added_tokens", "<s>", "added_tokens should be a list");
  expect_refused(base, "/added_tokens/0/id", -1, "should be a whole number from 0 on");
  expect_refused(base, "/added_tokens/0/id", 1.5, "should be a whole number from 0 on");
  expect_refused(base, "/added_tokens/0/id", uint64_t{1} << 63, "should be a whole number from 0 on");
  expect_refused(base, "/added_tokens/0/id", base["added_tokens"][1]["id"], "gives the id 1 twice");
  expect_refused(base, "/added_tokens/0/special", 1, "\"special\" should be true or false, not 1");
  expect_refused(base, "/model/byte_fallback", "yes", "byte_fallback");
  expect_refused(base, "/model/unk_token", 5, "unk_token 5");
  expect_refused(golden_json("unigram.json"), "/model/unk_id", -1, "unk_id is -1");
}

TEST(TokenizerReaders, AddedTokensOfTheConfigAreReadStrictlyToo) {
  auto json = golden_json("byte_fallback.json");
  auto refusal_of = [&](const Json& decoder) {
    try {
      tokenizer_from_json(json, {.tokenizer_config = {{"added_tokens_decoder", decoder}}}, "t.json");
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  Json entry = {{"content", "<new>"}};
  EXPECT_EQ(refusal_of(nullptr), "");
  EXPECT_NE(refusal_of(Json::array({entry})).find("added_tokens_decoder should be an object"),
            std::string::npos);
  EXPECT_NE(refusal_of({{"-3", entry}}).find("\"-3\", which is no token id"), std::string::npos);
  EXPECT_NE(refusal_of({{"2300", entry}, {"02300", entry}}).find("gives the id 2300 twice"),
            std::string::npos);
}

TEST(TokenizerReaders, DeepNestingDoesNotExhaustTheStack) {
  auto json = golden_json("byte_fallback.json");
  auto nested = [](int depth) {
    std::string text = R"({"type":"NFC"})";
    for (int k = 0; k < depth; ++k) text = R"({"type":"Sequence","normalizers":[)" + text + "]}";
    return text;
  };
  json["normalizer"] = parse_json(nested(240), "t.json");
  EXPECT_EQ(refusal(json), "");
  EXPECT_THROW(parse_json(nested(2000), "t.json"), Error);  // JSON itself is refused from 500 levels on
}

TEST(TokenizerReaders, ConfigFillsWhatTokenizerJsonLeavesOpen) {
  auto json = golden_json("byte_fallback.json");
  json["post_processor"] = nullptr;
  Json config = {{"bos_token", "<s>"},
                 {"eos_token", Json{{"content", "</s>"}}},
                 {"add_bos_token", true},
                 {"add_eos_token", true},
                 {"added_tokens_decoder", Json{{"2300", Json{{"content", "<new>"}, {"special", true}}}}}};
  auto tokenizer = tokenizer_from_json(json, {.tokenizer_config = config}, "t.json");
  EXPECT_EQ(tokenizer.encode("<new>"), (std::vector<int32_t>{1, 2300, 2}));
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_TRUE(tokenizer.is_special(2300));
  EXPECT_EQ(tokenizer.token_bytes(2300), "");
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{2300}, true), "");
  EXPECT_THROW(tokenizer.decode(std::vector<int32_t>{2301}), Error);
  EXPECT_THROW(tokenizer.token_text(-1), Error);
}

TEST(TokenizerReaders, StopIdsAreEosAndTheEndsOfTurns) {
  auto tokenizer = tokenizer_from_json(golden_json("byte_level.json"),
                                       {.tokenizer_config = {{"eos_token", "</s>"}}}, "t.json");
  EXPECT_EQ(tokenizer.stop_ids(),
            (std::vector<int32_t>{tokenizer.token_id("</s>"), tokenizer.token_id("<|im_end|>")}));
}

TEST(TokenizerReaders, GgufKeysGiveTheSameAsTokenizerJson) {
  auto json = golden_json("byte_level.json");
  json["normalizer"] = nullptr;
  json["added_tokens"] = Json::array();
  json["post_processor"] = nullptr;
  Json keys = {{"tokenizer.ggml.model", "gpt2"},
               {"tokenizer.ggml.pre", "llama-bpe"},
               {"tokenizer.ggml.add_bos_token", false}};
  for (auto& [text, id] : json["model"]["vocab"].items())
    keys["tokenizer.ggml.tokens"][id.get<size_t>()] = text;
  for (auto& m : json["model"]["merges"])
    keys["tokenizer.ggml.merges"].push_back(m[0].get<std::string>() + " " + m[1].get<std::string>());
  auto from_gguf = tokenizer_from_gguf(keys, "t.gguf");
  auto from_json = tokenizer_from_json(json, {}, "t.json");
  for (auto& text : golden::strings())
    ASSERT_EQ(from_gguf.encode(text), from_json.encode(text)) << dump_json(text);

  keys["tokenizer.ggml.pre"] = "nobody";
  try {
    tokenizer_from_gguf(keys, "t.gguf");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("smollm"), std::string::npos) << "the known names are listed";
  }
}

TEST(TokenizerReaders, GgufKeysGiveTheSameAsSentencePiece) {
  auto bytes = read_file(golden::folder() + "sentencepiece_bpe.model");
  auto model = parse_sentencepiece(bytes, "t.model");
  Json keys = {{"tokenizer.ggml.model", "llama"},       {"tokenizer.ggml.tokens", model.pieces},
               {"tokenizer.ggml.scores", model.scores}, {"tokenizer.ggml.token_type", Json::array()},
               {"tokenizer.ggml.bos_token_id", 1},      {"tokenizer.ggml.eos_token_id", 2}};
  for (auto type : model.types) keys["tokenizer.ggml.token_type"].push_back(static_cast<int>(type));
  auto from_gguf = tokenizer_from_gguf(keys, "t.gguf");
  auto from_model = tokenizer_from_sentencepiece(bytes, {}, "t.model");
  EXPECT_EQ(from_gguf.kind(), "SentencePiece BPE");
  for (auto& text : golden::strings())
    ASSERT_EQ(from_gguf.encode(text), from_model.encode(text)) << dump_json(text);
}

TEST(TokenizerReaders, DamagedSentencePieceModelsAreErrorsOrLoad) {
  auto bytes = read_file(golden::folder() + "sentencepiece_unigram.model");
  EXPECT_THROW(tokenizer_from_sentencepiece("", {}, "t.model"), Error);
  Random random(3);
  int refused = 0;
  for (int k = 0; k < 300; ++k) {
    auto damaged = bytes.substr(0, k % 2 ? bytes.size() : random.below(bytes.size()));
    for (int n = 0; n < 3; ++n) damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
    try {
      tokenizer_from_sentencepiece(damaged, {}, "t.model").encode("a text");
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 50);
}

TEST(TokenizerReaders, LongMonotonousTextTakesSeconds) {
  std::string letters(1'000'000, 'a'), spaces(1'000'000, ' ');
  for (const char* name : {"byte_level.json", "byte_fallback.json", "unigram.json"}) {
    auto tokenizer = tokenizer_from_json(golden_json(name), {}, name);
    auto begin = std::chrono::steady_clock::now();
    EXPECT_GT(tokenizer.encode(letters).size(), 1000u);
    EXPECT_GT(tokenizer.encode(spaces + "x").size(), 1u);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30)) << name;
  }
}

TEST(TokenizerReaders, ThreadsMayShareOneTokenizer) {
  auto tokenizer = tokenizer_from_json(golden_json("byte_level.json"), {}, "t.json");
  auto texts = golden::strings();
  std::vector<std::vector<std::vector<int32_t>>> answers(4);
  std::vector<std::thread> threads;
  for (auto& mine : answers)
    threads.emplace_back([&tokenizer, &texts, &mine] {
      for (size_t k = 0; k < 2000; ++k) mine.push_back(tokenizer.encode(texts[k]));
    });
  for (auto& thread : threads) thread.join();
  for (auto& mine : answers) EXPECT_EQ(mine, answers[0]);
}

TEST(TokenizerReaders, WordPieceIsTheLongestTokenThenTheLongestThatFollows) {
  Json vocab = {{"[UNK]", 0}, {"a", 1}, {"ab", 2}, {"##b", 3}, {"##bc", 4}, {"##c", 5}, {"##é", 6}};
  Json json = {{"model", {{"type", "WordPiece"}, {"vocab", vocab}, {"max_input_chars_per_word", 5}}},
               {"pre_tokenizer", {{"type", "WhitespaceSplit"}}}};
  auto ids = [&](const char* text) { return tokenizer_from_json(json, {}, "t.json").encode(text); };
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(ids("abc"), (Ids{2, 5}));
  EXPECT_EQ(ids("abbc a"), (Ids{2, 4, 1}));
  EXPECT_EQ(ids("abx"), Ids{0});  // no prefix is kept of a word that cannot be covered
  EXPECT_EQ(ids("abbbb"), (Ids{2, 3, 3, 3}));
  EXPECT_EQ(ids("abbbbb"), Ids{0});               // six characters
  EXPECT_EQ(ids("aéééé"), (Ids{1, 6, 6, 6, 6}));  // characters, not bytes
  EXPECT_EQ(ids("##b"), (Ids{3}));
  auto refused = [&](const char* pointer, const Json& value, const char* word) {
    Json wrong = json;
    wrong[Json::json_pointer(pointer)] = value;
    EXPECT_NE(refusal(wrong).find(word), std::string::npos) << refusal(wrong);
  };
  refused("/model/unk_token", "[GONE]", "[GONE]");
  refused("/model/vocab", Json::array(), "vocab");
  refused("/model/max_input_chars_per_word", -1, "max_input_chars_per_word");
}

}  // namespace
}  // namespace longspan
