// Embeddings may have more rows than the tokenizer has tokens. A row that is no token's adds nothing to a
// text, ends nothing, and is never drawn.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "generate/sequence.h"
#include "model/family.h"

namespace longspan {
namespace {

class PaddedVocabulary : public testing::Test {
 protected:
  static constexpr int kTokens = 40;  // of 64 rows
  std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("longspan_padded_" + std::to_string(::getpid()));

  void SetUp() override {
    make_family(directory_, "gqa", true);
    Json tokenizer = parse_json_file(directory_ / "tokenizer.json"), vocab = Json::object(),
         added = Json::array();
    for (const auto& [text, id] : tokenizer["model"]["vocab"].items())
      if (id < kTokens) vocab[text] = id;
    for (const Json& token : tokenizer["added_tokens"])
      if (token["id"] < kTokens) added.push_back(token);
    tokenizer["model"]["vocab"] = vocab, tokenizer["added_tokens"] = added;
    write_file_atomic(directory_ / "tokenizer.json", tokenizer.dump());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Generation run(const Engine& engine, float temperature, uint64_t seed = 0) {
    Sequence sequence(engine, 64);
    std::vector<int32_t> prompt{11, 3, 20, 5};
    sequence.feed(prompt);
    SamplingOptions sampling{.temperature = temperature, .seed = seed};
    sampling.repetition_penalty = 1.1f;
    return generate(sequence, engine, 40, sampling);
  }
};

TEST_F(PaddedVocabulary, RowsWithoutATokenAreNeverDrawnAndNeverEndAnAnswer) {
  Engine engine(directory_, {});
  ASSERT_EQ(engine.tokenizer().vocab_size(), kTokens);
  auto beyond = [](int32_t id) { return id >= kTokens; };
  Generation greedy = run(engine, 0);
  // Greedy follows the model, as transformers' generate does.
  EXPECT_TRUE(std::any_of(greedy.ids.begin(), greedy.ids.end(), beyond));
  EXPECT_TRUE(greedy.reason == StopReason::Length || greedy.reason == StopReason::EndToken);
  std::string text;
  for (int32_t id : greedy.ids)
    if (!beyond(id)) text += engine.tokenizer().token_bytes(id);
  EXPECT_EQ(greedy.text, text);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    Generation drawn = run(engine, 2.0f, seed);
    EXPECT_TRUE(std::none_of(drawn.ids.begin(), drawn.ids.end(), beyond));
  }
}

}  // namespace
}  // namespace longspan
