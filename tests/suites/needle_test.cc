// The grid of needles: texts that fill their length, needles where they should be, and beginnings that
// consecutive prompts share, token by token.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "suites/fixture.h"
#include "suites/haystack.h"

namespace longspan {
namespace {

/// "make.lengths=[step, 2 step, ...]".
std::string lengths(int64_t step, int64_t count) {
  std::string list;
  for (int64_t j = 1; j <= count; ++j) list += (list.empty() ? "" : ",") + std::to_string(step * j);
  return "make.lengths=[" + list + "]";
}

using NeedleGrid = SuiteTest;

TEST_F(NeedleGrid, HasTheCellsOfTheOriginal) {
  std::vector<Case> cases = cases_of(prompts_, read_suite("needle", "", {}, {}));
  EXPECT_EQ(cases.size(), 2176u);
  std::set<std::string> needles, depths;
  std::set<int64_t> lengths;
  for (const Case& one : cases) {
    needles.insert(*one.cell.at("needle").text());
    depths.insert(dump_json(to_json(one.cell.at("depth"))));
    lengths.insert(*one.cell.at("length").whole());
    EXPECT_EQ(one.cell.at("length"), one.length);
  }
  EXPECT_EQ(needles.size(), 4u);
  EXPECT_EQ(depths.size(), 17u);
  EXPECT_EQ(lengths.size(), 32u);
  EXPECT_EQ(*lengths.rbegin(), 262144);
  EXPECT_EQ(cases[0].id, "needle/8192/0/lighthouse");
  EXPECT_EQ(cases_of(prompts_, read_suite("needle", "", {}, {}), 20).size(), 20u);
}

TEST_F(NeedleGrid, IsReadOnce) {
  // A token is a byte here.
  for (const char* dialect : {"chat", "base"})
    EXPECT_LT(part_read(prompts_, read_suite("needle", dialect, {}, {lengths(1000, 16), "make.depths=9"})),
              0.4);
}

TEST_F(NeedleGrid, PutsTheNeedleAtItsDepthBetweenSentences) {
  Suite suite = read_suite("needle", "base", {}, {"make.lengths=[6000,20000]", "make.depths=[0,30,100]"});
  for (const Case& one : cases_of(prompts_, suite)) {
    SCOPED_TRACE(one.id);
    CaseText text = one.text();
    EXPECT_EQ(text.user, one.text().user);
    std::string needle = text.fields["needle"].get<std::string>();
    size_t at = text.user.find(needle), question = text.user.rfind("\n\nQuestion: ");
    ASSERT_NE(at, std::string::npos);
    double depth = one.cell.at("depth").number() / 100;
    EXPECT_NEAR(static_cast<double>(at) / static_cast<double>(question), depth, 0.06);
    if (at > 0) {
      EXPECT_NE(std::string(".!?\"';").find(text.user[at - 2]), std::string::npos)
          << text.user.substr(at - 40, 80);
      EXPECT_EQ(text.user[at - 1], ' ');
    }
    // The rest is the haystack's beginning.
    std::string rest = text.user.substr(0, question);
    rest.erase(at > 0 ? at - 1 : 0, needle.size() + 1);
    std::string essays = haystack_documents("haystack/essays_en.jsonl.zst").at(0);
    EXPECT_EQ(essays.substr(0, rest.size() / 2), rest.substr(0, rest.size() / 2));
  }
}

TEST(CarriedPrompts, AreThoseOfTheirTexts) {
  // Several bytes are a token here, so that seams matter.
  PromptMaker prompts{golden_tokenizer("byte_level"), byte_prompts().chat};
  size_t carried = 0, cases = 0;
  for (const char* name : {"needle", "needle-multi", "passkey"})
    for (const char* length : {"make.lengths=[1500]", "make.lengths=[4000]"}) {
      Suite suite = read_suite(name, "", {}, {length});
      for (const Case& one : cases_of(prompts, suite, 6)) {
        CaseText text = one.text();
        ++cases;
        carried += text.prompt != nullptr;
        const Task& task = suite.tasks[one.task];
        Prompt kept = make_prompt(prompts, task, text, one.length - task.new_tokens);
        text.prompt = nullptr;
        Prompt made = make_prompt(prompts, task, text, one.length - task.new_tokens);
        EXPECT_EQ(kept.ids, made.ids) << one.id;
        EXPECT_EQ(kept.text, made.text) << one.id;
        EXPECT_EQ(kept.bos, made.bos) << one.id;
        ASSERT_EQ(kept.messages.size(), made.messages.size()) << one.id;
        EXPECT_EQ(kept.messages.back().content, made.messages.back().content) << one.id;
      }
    }
  EXPECT_GT(cases, 20u);
  EXPECT_EQ(carried, cases);
}

TEST(NeedleTexts, KeywordsOccurNowhereInTheHaystack) {
  std::string essays;
  for (const std::string& document : haystack_documents("haystack/essays_en.jsonl.zst")) essays += document;
  for (const char* name : {"needle", "needle-multi"}) {
    Json needles = read_suite(name, "", {}, {}).tasks.at(0).make["needles"];
    ASSERT_EQ(needles.size(), 4u);
    for (const Json& needle : needles) {
      std::string answer = needle["answer"].get<std::string>();
      EXPECT_EQ(count(essays, answer), 0u) << answer;
      EXPECT_EQ(count(needle["text"].get<std::string>(), answer), 1u);
      EXPECT_EQ(count(needle["question"].get<std::string>(), answer), 0u);
    }
  }
}

TEST_F(NeedleGrid, TakesTheUsersNeedleAndRepeatsAShortHaystack) {
  std::string book = write("book.md", "a tiny book. it has two sentences.");
  Suite suite =
      read_suite("needle", "base", {},
                 {"make.needle=the cat is called tom.", "make.question=what is the cat called?",
                  "make.answer=tom", "make.haystack=" + book, "make.lengths=[900]", "make.depths=[50]"});
  std::vector<Case> cases = cases_of(prompts_, suite);
  ASSERT_EQ(cases.size(), 1u);
  EXPECT_EQ(cases[0].id, "needle/900/50/1");
  EXPECT_TRUE(cases[0].source.starts_with(book + " (")) << cases[0].source;
  CaseText text = cases[0].text();
  EXPECT_EQ(text.references, std::vector<std::string>{"tom"});
  EXPECT_EQ(count(text.user, "the cat is called tom."), 1u);
  EXPECT_GT(count(text.user, "a tiny book."), 15u);
}

TEST_F(NeedleGrid, SeveralNeedlesStandInOneText) {
  Suite suite = read_suite("needle-multi", "", {}, {"make.lengths=[8000,12000]"});
  std::vector<Case> cases = cases_of(prompts_, suite);
  ASSERT_EQ(cases.size(), 8u);
  for (const Case& one : cases) {
    CaseText text = one.text();
    ASSERT_EQ(text.references.size(), 4u);
    size_t before = 0;
    for (const std::string& keyword : text.references) {
      EXPECT_EQ(count(text.user, keyword), 1u) << one.id << keyword;
      EXPECT_GT(text.user.find(keyword), before);
      before = text.user.find(keyword);
    }
  }
  EXPECT_LT(part_read(prompts_, suite), 0.75);
}

TEST_F(NeedleGrid, KamradtsIsThere) {
  Suite suite = read_suite("kamradt", "", {}, {});
  std::vector<Case> cases = cases_of(prompts_, suite, 40);
  ASSERT_EQ(cases.size(), 40u);
  CaseText text = cases[20].text();
  EXPECT_EQ(text.references, (std::vector<std::string>{"Dolores Park", "sandwich"}));
  EXPECT_EQ(count(text.user, "\nThe best thing to do in San Francisco is eat a sandwich"), 1u);
}

TEST_F(NeedleGrid, FaultsAreNamed) {
  auto fault = [&](const std::string& set) {
    try {
      cases_of(prompts_, read_suite("needle", "", {}, {set}));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(fault("make.lengths=[100]").find("100 tokens do not hold the question, needle lighthouse"),
            std::string::npos);
  EXPECT_NE(fault("make.lengths=[1000000000000]").find("is too large: at most"), std::string::npos);
  EXPECT_NE(fault("make.lengths=[]").find("lengths: at least one"), std::string::npos);
  EXPECT_EQ(fault("make.depths=[101]"),
            "--set make.depths=[101]: task needle: make.depths.0 must be a number from 0 to 100, not 101");
  EXPECT_NE(fault("make.colour=1").find("make.colour is unknown"), std::string::npos);
  EXPECT_NE(fault("make.needle=tom").find("make.question is missing"), std::string::npos);
  EXPECT_NE(fault("make.haystack=/no/such/file").find("/no/such/file"), std::string::npos);
  EXPECT_NE(fault("make.needles=[{text='',question='',answer='x'}]").find("text: is empty"),
            std::string::npos);
  EXPECT_NE(fault("make.needles=[]").find("needles: at least one"), std::string::npos);
  std::string empty = write("empty.jsonl", "");
  EXPECT_NE(fault("make.haystack=" + empty).find("holds no text"), std::string::npos);
}

TEST(Haystack, CountsSentencesUpToTheirEnds) {
  Tokenizer tokenizer = [] {
    Json vocab = {{"A", 0}, {".", 1}, {"\u0120", 2}, {"\u010a", 3}};
    Json byte_level = {
        {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
    return tokenizer_from_json({{"added_tokens", Json::array()},
                                {"normalizer", nullptr},
                                {"pre_tokenizer", byte_level},
                                {"post_processor", nullptr},
                                {"decoder", byte_level},
                                {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}},
                               {}, "test");
  }();
  Haystack haystack = make_haystack({"AAAA. AAAAA.\n", "AAAA."}, tokenizer, 20);
  EXPECT_EQ(haystack.text, "AAAA. AAAAA.\n\nAAAA.\n\nAAAA. AAAAA.\n\nAAAA.");
  EXPECT_EQ(haystack.times, 2);
  // " AAAAA." is seven tokens: the white space belongs to what follows.
  EXPECT_EQ(haystack.ends, (std::vector<size_t>{0, 5, 12, 19, 26}));
  EXPECT_EQ(haystack.tokens, (std::vector<int64_t>{0, 5, 12, 19, 26}));
  EXPECT_EQ(haystack.end_at(-5), 0u);
  EXPECT_EQ(haystack.end_at(11), 1u);
  EXPECT_EQ(haystack.end_at(12), 2u);
  EXPECT_EQ(haystack.end_at(1000), 4u);
}

TEST(Haystack, WhatStandsBeforeACutIsTokenisedAlikeByAll) {
  for (const char* name : {"byte_level", "byte_fallback", "unigram"})
    for (const char* file : {"haystack/essays_en.jsonl.zst", "haystack/classics_zh.jsonl.zst"}) {
      SCOPED_TRACE(std::string(name) + " " + file);
      // Its 2,000 pieces hold few characters: runs of unknown ones are one token, over all borders.
      if (name == std::string("unigram") && file == std::string("haystack/classics_zh.jsonl.zst")) continue;
      Tokenizer tokenizer = golden_tokenizer(name);
      Haystack haystack = make_haystack(haystack_documents(file), tokenizer, 8000);
      auto ids = [&](size_t end) {
        return tokenizer.encode(haystack.text.substr(0, haystack.ends[end]), {.add_special = false});
      };
      std::vector<int32_t> all = ids(haystack.ends.size() - 1);
      EXPECT_NEAR(static_cast<double>(all.size()), static_cast<double>(haystack.tokens.back()), 40);
      for (size_t end = 1; end < haystack.ends.size(); end += haystack.ends.size() / 9) {
        std::vector<int32_t> some = ids(end);
        auto shared = std::mismatch(some.begin(), some.end(), all.begin(), all.end()).first - some.begin();
        EXPECT_GE(shared, std::ssize(some) - 1) << end;
      }
    }
}

}  // namespace
}  // namespace longspan
