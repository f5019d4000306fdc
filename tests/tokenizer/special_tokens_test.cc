// Special tokens and ends: which file counts where several speak, as transformers 5.24 has it (ids and
// precedence were taken from it), and what GGUF files get wrong.
#include "tokenizer/special_tokens.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/chat_format.h"
#include "tokenizer/golden.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/tokenizer.h"

namespace longspan {
namespace {

using Ids = std::vector<int32_t>;

Json golden_json(const std::string& name) { return parse_json_file(golden::folder() + name); }

Ids ids_of_ends(const Tokenizer& t) { return t.stop_ids(); }

std::string from_of_end(const Tokenizer& t, int32_t id) {
  for (const SpecialTokens::End& end : t.specials().ends)
    if (end.id == id) return end.from;
  return "none";
}

TEST(SpecialTokens, AddedTokensJsonCountsWhereTheConfigHasNoDecoder) {
  std::string bytes = read_file(golden::folder() + "sentencepiece_bpe.model");
  auto plain = tokenizer_from_sentencepiece(bytes, {}, "t.model");
  auto n = static_cast<int32_t>(plain.vocab_size());
  SpecialFiles files{.tokenizer_config = {{"eos_token", "<|im_end|>"}},
                     .added_tokens = {{"<|im_start|>", n}, {"<|im_end|>", n + 1}}};
  auto tokenizer = tokenizer_from_sentencepiece(bytes, files, "t.model");
  Ids expected = plain.encode("the fox");
  expected.push_back(n + 1);
  EXPECT_EQ(tokenizer.encode("the fox<|im_end|>"), expected);
  EXPECT_TRUE(tokenizer.is_special(n + 1));  // the eos
  EXPECT_FALSE(tokenizer.is_special(n));
  EXPECT_TRUE(tokenizer.is_added(n));
  EXPECT_EQ(tokenizer.eos_id(), n + 1);
  EXPECT_EQ(ids_of_ends(tokenizer).front(), n + 1);
  ASSERT_TRUE(tokenizer.specials().find("eos_token"));
  EXPECT_EQ(tokenizer.specials().find("eos_token")->from, "tokenizer_config.json");

  files.tokenizer_config["added_tokens_decoder"] = Json::object();
  EXPECT_EQ(tokenizer_from_sentencepiece(bytes, files, "t.model").token_id("<|im_start|>"), -1);
  files = {.added_tokens = {{"<x>", "7"}}};
  EXPECT_THROW(tokenizer_from_sentencepiece(bytes, files, "t.model"), Error);
  files = {.added_tokens = Json::array({1})};
  EXPECT_THROW(tokenizer_from_sentencepiece(bytes, files, "t.model"), Error);
}

TEST(SpecialTokens, TheMapCountsBeforeAConfigWithoutDecoder) {
  auto json = golden_json("byte_level.json");
  SpecialFiles files{
      .tokenizer_config = {{"eos_token", "</s>"}},
      .special_tokens_map = {{"eos_token", {{"content", "<|im_end|>"}}}, {"bos_token", "<s>"}}};
  auto legacy = tokenizer_from_json(json, files, "t.json");
  EXPECT_EQ(legacy.eos_id(), legacy.token_id("<|im_end|>"));
  EXPECT_EQ(legacy.bos_id(), legacy.token_id("<s>"));
  files.tokenizer_config["added_tokens_decoder"] = Json::object();
  auto modern = tokenizer_from_json(json, files, "t.json");
  EXPECT_EQ(modern.eos_id(), modern.token_id("</s>"));
  EXPECT_EQ(modern.bos_id(), -1);
}

TEST(SpecialTokens, NamedTokensOfTheVocabularyBecomeSpecial) {
  auto json = golden_json("byte_level.json");
  json["added_tokens"] = Json::array(), json["post_processor"] = nullptr;
  json["model"]["vocab"]["<|end_here|>"] = 2000;
  SpecialFiles files{.tokenizer_config = {{"eos_token", "<|end_here|>"}, {"pad_token", "<|pad|>"}},
                     .config = {{"vocab_size", 2001}}};
  auto tokenizer = tokenizer_from_json(json, files, "t.json");
  EXPECT_EQ(tokenizer.encode("<|end_here|>"), Ids{2000});
  EXPECT_EQ(tokenizer.token_id("<|pad|>"), -1);  // the model has no row for it
  files.config["vocab_size"] = 2002;
  EXPECT_EQ(tokenizer_from_json(json, files, "t.json").encode("<|pad|>"), Ids{2001});
}

TEST(SpecialTokens, EndsAreTheUnionOfAllFiles) {
  auto json = golden_json("byte_level.json");
  auto id = [&](const char* text) { return tokenizer_from_json(json, {}, "t").token_id(text); };
  SpecialFiles files{.tokenizer_config = {{"eos_token", "</s>"}},
                     .generation_config = {{"eos_token_id", {id("</s>"), id("<left>")}}},
                     .config = {{"eos_token_id", id("<right>")}}};
  auto tokenizer = tokenizer_from_json(json, files, "t.json");
  EXPECT_EQ(ids_of_ends(tokenizer), (Ids{id("</s>"), id("<left>"), id("<right>"), id("<|im_end|>")}));
  EXPECT_EQ(from_of_end(tokenizer, id("</s>")), "tokenizer_config.json");
  EXPECT_EQ(from_of_end(tokenizer, id("<left>")), "generation_config.json");
  EXPECT_EQ(from_of_end(tokenizer, id("<right>")), "config.json");

  // An old config.json may name an ordinary token of another vocabulary: with a generation_config.json
  // transformers does not ask it.
  files.config["eos_token_id"] = 5;
  EXPECT_EQ(from_of_end(tokenizer_from_json(json, files, "t.json"), 5), "none");
  files.generation_config = Json();
  EXPECT_EQ(from_of_end(tokenizer_from_json(json, files, "t.json"), 5), "config.json");
  files.generation_config = {{"eos_token_id", 5}};
  EXPECT_EQ(from_of_end(tokenizer_from_json(json, files, "t.json"), 5), "generation_config.json");
  files.generation_config = {{"eos_token_id", "</s>"}};
  EXPECT_THROW(tokenizer_from_json(json, files, "t.json"), Error);
}

Json gguf_keys(int type) {
  Json vocab = golden_json("byte_level.json")["model"]["vocab"];
  Json tokens = Json::array(), types = Json::array();
  for (auto& [text, id] : vocab.items()) tokens[id.get<size_t>()] = text;
  for (const char* more : {"<|im_end|>", "</s>", "<turn_over>", "word"}) tokens.push_back(more);
  for (size_t i = 0; i < tokens.size(); ++i) types.push_back(i < 2000 ? 1 : type);
  return {{"tokenizer.ggml.model", "gpt2"},         {"tokenizer.ggml.pre", "gpt-2"},
          {"tokenizer.ggml.tokens", tokens},        {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.merges", Json::array()}, {"tokenizer.ggml.eot_token_id", 2002}};
}

TEST(SpecialTokens, EndsOfTurnsInGgufAreControlTokensWhateverTheirType) {
  for (int type : {1, 3}) {
    auto tokenizer = tokenizer_from_gguf(gguf_keys(type), "m.gguf");
    EXPECT_EQ(tokenizer.encode("<|im_end|>"), Ids{2000});
    EXPECT_EQ(tokenizer.encode("<turn_over>"), Ids{2002});  // the file names it as an end
    EXPECT_TRUE(tokenizer.is_special(2000));
    EXPECT_EQ(tokenizer.token_bytes(2000), "");
    EXPECT_EQ(tokenizer.specials().remarks.size(), type == 1 ? 2u : 0u);
    EXPECT_EQ(ids_of_ends(tokenizer), type == 1 ? (Ids{2002, 2000}) : (Ids{2002, 2000, 2001}));
    EXPECT_EQ(from_of_end(tokenizer, 2002), "tokenizer.ggml.eot_token_id");
  }
  // Text may contain "</s>", and an ordinary word is one even if a damaged file calls it an end.
  EXPECT_GT(tokenizer_from_gguf(gguf_keys(1), "m.gguf").encode("</s>").size(), 1u);
  Json keys = gguf_keys(1);
  keys["tokenizer.ggml.eos_token_id"] = 2003;
  EXPECT_FALSE(tokenizer_from_gguf(keys, "m.gguf").is_special(2003));
}

TEST(SpecialTokens, IdsBeyondTheVocabularyAddNothingToAText) {
  auto tokenizer = tokenizer_from_json(golden_json("byte_level.json"), {}, "t.json");
  EXPECT_EQ(tokenizer.token_bytes(static_cast<int32_t>(tokenizer.vocab_size()) + 7), "");
}

TEST(SpecialTokens, TheTemplatesEndOfTurnIsAnEnd) {
  auto tokenizer = tokenizer_from_json(golden_json("byte_level.json"), {}, "t.json");
  auto end_in = [&](const std::string& jinja) {
    ChatFormat chat;
    chat.chat_template.emplace(jinja, "t");
    int32_t id = end_of_turn(chat, tokenizer);
    return id < 0 ? std::string() : tokenizer.token_text(id);
  };
  EXPECT_EQ(end_in("{% for m in messages %}<left>{{ m.content }} <right>\n{% endfor %}"), "<right>");
  EXPECT_EQ(end_in("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"), "");
  EXPECT_EQ(end_in("{{ raise_exception('no') }}"), "");
  EXPECT_EQ(end_of_turn({}, tokenizer), -1);
  tokenizer.add_end(5, "here");
  tokenizer.add_end(5, "there");
  EXPECT_EQ(from_of_end(tokenizer, 5), "here");
}

/// vocab.json and merges.txt of byte_level.json, with its added tokens in the config.
struct SlowFiles {
  Json vocab;
  std::string merges = "#version: 0.2\n";
  SpecialFiles files = {};
};
SlowFiles slow_files(const std::string& tokenizer_class, Json config) {
  auto json = golden_json("byte_level.json");
  SlowFiles slow{.vocab = json["model"]["vocab"]};
  for (const Json& merge : json["model"]["merges"])
    slow.merges += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\r\n";
  config["tokenizer_class"] = tokenizer_class;
  config["eos_token"] = "<|im_end|>";
  for (const Json& token : json["added_tokens"])
    config["added_tokens_decoder"][std::to_string(token["id"].get<int>())] = token;
  slow.files.tokenizer_config = config;
  return slow;
}

TEST(VocabAndMerges, ArePreTokenizedAsTheClassDoes) {
  const std::string ship = "Ship 12 boxes, don't wait!", cafe = "\n\n  café cafe\u0301 你好123",
                    chat = "<|im_start|>user\nHi<|im_end|>";
  struct Case {
    const char* name;
    Json config;
    Ids ship, cafe, chat;
  };
  const Ids gpt2_ship = {50, 71, 777, 220, 1009, 295, 78, 87, 278, 11, 1318, 753, 270, 1962, 0},
            gpt2_cafe = {360, 220, 1145, 69, 836, 1145, 69, 68, 136, 223, 220, 356, 254, 1663, 1009, 18},
            plain_chat = {2011, 316, 261, 198, 39, 72, 2003};
  auto enclosed = [](Ids ids) {
    ids.insert(ids.begin(), 2001);
    ids.push_back(2002);
    return ids;
  };
  const Case cases[] = {
      {"GPT2Tokenizer", {}, gpt2_ship, gpt2_cafe, plain_chat},
      {"GPT2Tokenizer",
       {{"add_prefix_space", true}, {"add_bos_token", true}, {"bos_token", "<s>"}},
       {2001, 325, 71, 777, 220, 1009, 295, 78, 87, 278, 11, 1318, 753, 270, 1962, 0},
       {2001, 220, 360, 220, 1145, 69, 836, 1145, 69, 68, 136, 223, 220, 356, 254, 1663, 1009, 18},
       {2001, 2011, 964, 261, 198, 39, 72, 2003}},
      {"Qwen2TokenizerFast",
       {},
       {50, 71, 777, 220, 16, 17, 295, 78, 87, 278, 11, 1318, 753, 270, 1962, 0},
       {360, 220, 1145, 69, 836, 1145, 69, 836, 220, 356, 254, 1663, 16, 17, 18},
       plain_chat},
      {"GPTNeoXTokenizer",
       {},
       gpt2_ship,
       {360, 220, 1145, 69, 836, 1145, 69, 836, 220, 356, 254, 1663, 1009, 18},
       plain_chat},
      {"RobertaTokenizer", {}, enclosed(gpt2_ship), enclosed(gpt2_cafe), enclosed(plain_chat)},
  };
  for (const Case& c : cases) {
    SlowFiles slow = slow_files(c.name, c.config.is_null() ? Json::object() : c.config);
    auto tokenizer = tokenizer_from_vocab(slow.vocab, slow.merges, slow.files, "dir");
    EXPECT_EQ(tokenizer.encode(ship), c.ship) << c.name;
    EXPECT_EQ(tokenizer.encode(cafe), c.cafe) << c.name;
    EXPECT_EQ(tokenizer.encode(chat), c.chat) << c.name;
    EXPECT_EQ(tokenizer.eos_id(), 2003) << c.name;
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(ship, {.add_special = false})),
              c.config.is_null() ? ship : " " + ship);
  }
}

TEST(VocabAndMerges, ClassesThatAreNotKnownAreRefusedByName) {
  SlowFiles slow = slow_files("CLIPTokenizer", Json::object());
  auto refusal = [&] {
    try {
      tokenizer_from_vocab(slow.vocab, slow.merges, slow.files, "dir");
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_NE(refusal().find("CLIPTokenizer"), std::string::npos);
  EXPECT_NE(refusal().find("Qwen2Tokenizer"), std::string::npos);
  slow.files.tokenizer_config.erase("tokenizer_class");
  EXPECT_NE(refusal().find("none is given"), std::string::npos);
  slow.files.config = {{"model_type", "qwen2"}};
  EXPECT_EQ(refusal(), "");
  slow.merges = "a b c\n";
  EXPECT_NE(refusal().find("left right"), std::string::npos);
}

}  // namespace
}  // namespace longspan
