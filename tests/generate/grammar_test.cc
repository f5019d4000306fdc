// Answers under a grammar: whatever random weights prefer, the text is one of the grammar's.
#include <gtest/gtest.h>
#include <unistd.h>

#include <regex>

#include "base/error.h"
#include "generate/sequence.h"
#include "grammar/network.h"
#include "model/family.h"

namespace longspan {
namespace {

class UnderAGrammar : public testing::Test {
 protected:
  void SetUp() override { make_family(directory_, "gqa", true); }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Generation run(const char* grammar, SamplingOptions sampling, int64_t most = 60,
                 Drafts drafts = Drafts::Off) {
    EngineOptions options;
    options.drafts = drafts;
    options.compute = Compute::F32;
    Engine engine(directory_, options);
    Sequence sequence(engine, 128);
    std::vector<int32_t> prompt{11, 3, 20, 5, 11, 3, 20, 5};
    sequence.feed(prompt);
    if (*grammar)
      sampling.grammar = std::make_shared<const Grammar>(compile_grammar(parse_grammar(grammar, "test")));
    return generate(sequence, engine, most, sampling);
  }

  std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("longspan_grammar_" + std::to_string(::getpid()));
};

const char* const kDates = "root ::= year \"-\" [0-9]{2} (\", \" year \"-\" [0-9]{2}){2}\nyear ::= [0-9]{4}";

TEST_F(UnderAGrammar, EveryTextIsOneOfItsTexts) {
  const std::regex dates("[0-9]{4}-[0-9]{2}(, [0-9]{4}-[0-9]{2}){2}");
  for (float temperature : {0.0f, 0.7f, 50.0f})
    for (uint64_t seed : {1, 2, 3}) {
      SamplingOptions sampling{
          .temperature = temperature, .top_p = 0.95f, .repetition_penalty = 1.3f, .seed = seed};
      Generation g = run(kDates, sampling);
      EXPECT_TRUE(std::regex_match(g.text, dates)) << g.text;
      EXPECT_EQ(g.reason, StopReason::EndToken);  // nothing may follow, so that the model is not asked
      EXPECT_EQ(std::ssize(g.ids), 25);
    }
  Generation cut = run(kDates, {}, 10);
  EXPECT_EQ(cut.reason, StopReason::Length);
  EXPECT_TRUE(std::regex_match(cut.text, std::regex("[0-9]{4}-[0-9]{2}, [0-9]"))) << cut.text;
}

TEST_F(UnderAGrammar, DraftsChangeNothing) {
  const char* repeated = "root ::= (\"12 34 56 78 \" [0-9]){3}";
  for (float temperature : {0.0f, 1.0f}) {
    SamplingOptions sampling{.temperature = temperature, .seed = 4};
    Generation off = run(repeated, sampling), on = run(repeated, sampling, 60, Drafts::Ngram);
    EXPECT_EQ(on.ids, off.ids);
    EXPECT_EQ(on.reason, off.reason);
    EXPECT_GT(on.accepted, 0);
  }
}

TEST_F(UnderAGrammar, WhatTheVocabularyCannotWriteIsAnError) {
  // The family's characters end at '?'.
  EXPECT_THROW(run("root ::= \"1\" [a-z]", {}), Error);
}

}  // namespace
}  // namespace longspan
