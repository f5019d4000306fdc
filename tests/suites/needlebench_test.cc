// NeedleBench's texts against those of OpenCompass's program, made with a stand-in tokenizer: a token is a
// Han character or a run of anything else but blanks, with the blanks before it.
#include "suites/needlebench.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "suites/fixture.h"
#include "suites/records.h"

namespace longspan {
namespace {

fs::path golden(const std::string& name) {
  return fs::path(LONGSPAN_GOLDEN) / "suites" / "needlebench" / name;
}

class StandIn {
 public:
  LengthCoder coder() {
    return {[this](std::string_view text) { return encode(text); },
            [this](std::span<const int32_t> ids) {
              std::string text;
              for (int32_t id : ids) text += pieces_[static_cast<size_t>(id)];
              return text;
            }};
  }

 private:
  std::vector<int32_t> encode(std::string_view text) {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < text.size();) {
      size_t begin = i, last = i;
      char32_t c = 0;
      auto next = [&] { last = i, c = next_code_point(text, i); };
      auto blank = [&] { return c == ' ' || (c >= 9 && c <= 13) || c == 0x3000 || c == 0xA0; };
      auto han = [&] { return c >= 0x4E00 && c <= 0x9FFF; };
      next();
      while (blank() && i < text.size()) next();
      if (!han() && !blank()) {
        while (i < text.size() && !han() && !blank()) next();
        if (han() || blank()) i = last;
      }
      ids.push_back(id_of(std::string(text.substr(begin, i - begin))));
    }
    return ids;
  }
  int32_t id_of(const std::string& piece) {
    auto [at, added] = ids_.emplace(piece, static_cast<int32_t>(pieces_.size()));
    if (added) pieces_.push_back(piece);
    return at->second;
  }
  std::map<std::string, int32_t> ids_;
  std::vector<std::string> pieces_;
};

std::vector<Json> records(const fs::path& file) {
  std::vector<Json> all;
  read_records(file, [&](Json&& record, const std::string&) {
    all.push_back(std::move(record));
    return true;
  });
  return all;
}

Task task_of(const std::string& suite, const std::string& kind, const Json& params) {
  bool english = params["language"] == "English";
  Suite read = read_suite(suite, kind.starts_with("v2") ? "v2" : "", {}, {});
  for (const Task& task : read.tasks)
    if (task.name.ends_with(english ? "_en" : "_zh") &&
        task.name.find(kind.substr(kind.rfind('_') + 1)) != std::string::npos)
      return task;
  ADD_FAILURE() << kind;
  return {};
}

class NeedleBenchGolden : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* file : {"PaulGrahamEssays.jsonl", "zh_finance.jsonl"})
      for (const Json& line : records(golden(std::string(file) + ".xz")))
        documents_[file].push_back(line["text"].get<std::string>());
    read_resource_records("needlebench/needles.jsonl.zst", [&](Json&& record, const std::string& where) {
      needles_.push_back(read_bench_needle(record, where));
      return true;
    });
  }
  /// {context} of a record: needles at places in its file's documents.
  std::string context(const Json& record, const std::vector<std::string>& needles,
                      const BenchPlaces& places) {
    const Json& params = record["params"];
    const auto& documents = documents_.at(params["file_list"][0]);
    int64_t repeat = record["counter"].get<int64_t>();
    auto orders = bench_orders(documents.size(), repeat + 1);
    int64_t tokens = params["length"].get<int64_t>() - params["length_buffer"].get<int64_t>();
    return bench_context(stand_in_.coder(), documents, orders.back(), needles, tokens, places);
  }
  void expect_single(const Json& record) {
    const Json& params = record["params"];
    std::vector<BenchNeedle> needles;
    for (const BenchNeedle& needle : needles_)
      if (needle.language == params["language"]) needles.push_back(needle);
    const BenchNeedle& needle = needles[bench_choice(needles.size(), record["counter"].get<int64_t>())];
    Task task = task_of("needlebench", record["kind"], params);
    if (!params.value("guide", true)) {  // the original gives the beginning of the answer instead
      size_t guide = task.prompt.find(params["language"] == "English" ? "Please answer" : "请按照'");
      task.prompt = task.prompt.substr(0, guide) + "{format}";
    }
    Json fields = {{"context", context(record, {needle.text}, at_depths({params["depth"].get<int64_t>()}))},
                   {"question", needle.question},
                   {"format", needle.format}};
    EXPECT_EQ(fill_task(task, fields, "test").user, record["prompt"]);
    EXPECT_EQ("\n" + needle.text + "\n*" + needle.keyword, record["answer"]);
  }
  void expect_retrieval(const Json& record) {
    const Json& params = record["params"];
    auto depths = params["depths"].get<std::vector<int64_t>>();
    auto needles = shuffled_needles(distinct_needles(needles_, params["language"], depths.size(),
                                                     params["seed_before_call"].get<uint64_t>()),
                                    record["counter"].get<int64_t>());
    std::vector<std::string> facts;
    std::string keywords;
    for (const BenchNeedle& needle : needles) {
      facts.push_back(needle.text);
      keywords += (keywords.empty() ? "" : "*") + needle.keyword;
    }
    Json fields = joined_questions(needles);
    fields["context"] = context(record, facts, at_depths(depths));
    Task task = task_of("needlebench", record["kind"], params);
    EXPECT_EQ(fill_task(task, fields, "test").user, record["prompt"]);
    std::string answer = record["answer"].get<std::string>();
    EXPECT_EQ(keywords, answer.substr(0, answer.find('#')));
  }

  StandIn stand_in_;
  std::map<std::string, std::vector<std::string>> documents_;
  std::vector<BenchNeedle> needles_;
};

TEST_F(NeedleBenchGolden, TextsEqualTheOriginals) {
  std::map<std::string, int> seen;
  for (const Json& record : records(golden("samples.jsonl.xz"))) {
    std::string kind = record["kind"];
    SCOPED_TRACE(kind + dump_json(record["params"]) + dump_json(record["counter"]));
    ++seen[kind];
    if (kind.ends_with("single")) expect_single(record);
    if (kind.ends_with("retrieval")) expect_retrieval(record);
  }
  EXPECT_EQ(seen["v1_single"], 36);
  EXPECT_EQ(seen["v2_single"], 18);
  EXPECT_EQ(seen["v1_multi_retrieval"], 6);
  EXPECT_EQ(seen["v2_multi_retrieval"], 6);
}

TEST(NeedleBench, FactsAreSpreadByTheOriginalsRule) {
  // 200 tokens, facts of 10, 20 and 30: at 42 % and 10 % apart, behind the facts before. The rule counts
  // these once when it places the next and once more when it puts them in.
  EXPECT_EQ(from_depth(42, 10)(200, {10, 20, 30}),
            (std::vector<size_t>{84, 84 + 10 + 20 + 10, 114 + 20 + 20 + 30}));
  // Nothing stands behind the end.
  EXPECT_EQ(from_depth(100, 10)(200, {10, 20, 30}), (std::vector<size_t>{200, 210 + 0, 230}));
  EXPECT_EQ(at_depths({29})(100, {5}), (std::vector<size_t>{28}));  // 0.29 x 100 is 28.999...
}

TEST(NeedleBench, AQuestionOfAnotherFormIsNamed) {
  Json record = {{"needle", "x"},
                 {"retrieval_question", "What is it? Say 'it'."},
                 {"arg1", "a"},
                 {"arg2", "b"},
                 {"language", "English"}};
  try {
    read_bench_needle(record, "needles.jsonl:7");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("needles.jsonl:7: retrieval_question"), std::string::npos);
  }
}

using NeedleBenchCases = SuiteTest;

TEST_F(NeedleBenchCases, RunOutOfTheBoxInTheOrderOfTheirBeginnings) {
  MakeContext context{.prompts = prompts_};
  Suite suite = read_suite("needlebench", "", {}, {"make.lengths=[4000,5000]"});
  std::vector<std::string> missing;
  std::vector<Case> cases = make_cases(suite, context, missing);
  EXPECT_TRUE(missing.empty());
  ASSERT_EQ(cases.size(), 2u * (2 * 11 * 10 + 2 * 25));
  EXPECT_EQ(cases[0].id, "single_en/4000/0/0");
  EXPECT_EQ(cases[0].cell, (Cell{{{"length", 4000}, {"language", "English"}, {"depth", 0}}}));
  int64_t tokens = 0, read = 0;
  std::vector<int32_t> before;
  for (size_t i = 0; i < 220; i += 1) {
    const Task& task = suite.tasks[cases[i].task];
    CaseText text = cases[i].text();
    EXPECT_EQ(text.user, cases[i].text().user);
    ASSERT_EQ(text.references.size(), 1u);
    EXPECT_NE(text.user.find(text.fields["needle"].get<std::string>()), std::string::npos);
    std::vector<int32_t> ids = make_prompt(prompts_, task, text, 0).ids;
    auto shared = std::mismatch(ids.begin(), ids.end(), before.begin(), before.end()).first - ids.begin();
    tokens += std::ssize(ids);
    read += std::ssize(ids) - shared;
    before = ids;
  }
  EXPECT_LT(static_cast<double>(read) / static_cast<double>(tokens), 0.65);
  // The needles of a retrieval case are all asked for.
  CaseText text = cases[440 + 10].text();
  EXPECT_EQ(text.references.size(), 11u);
  for (const std::string& keyword : text.references)
    EXPECT_NE(text.user.find(keyword), std::string::npos) << keyword;
}

TEST_F(NeedleBenchCases, TakeTheUsersFilesAndLimits) {
  std::string lines;
  for (int i = 0; i < 30; ++i)
    lines += dump_json({{"text", "document " + std::to_string(i) + std::string(200, 'x')}}) + "\n";
  write("zh_finance.jsonl", lines);
  MakeContext context{.prompts = prompts_, .data = dir_, .limit = 10};
  std::vector<std::string> missing;
  Suite single = read_suite("needlebench", "v2", {"single_zh"}, {"make.lengths=[1000]"});
  std::vector<Case> cases = make_cases(single, context, missing);
  ASSERT_EQ(cases.size(), 10u);
  EXPECT_EQ(cases[3].source, (dir_ / "zh_finance.jsonl").string());
  EXPECT_NE(cases[3].text().user.find("document "), std::string::npos);
  // Facts are the user's to bring.
  Suite reasoning = read_suite("needlebench-reasoning", "", {}, {"make.lengths=[1000]", "make.facts=[2]"});
  EXPECT_THROW(make_cases(reasoning, context, missing), Error);
  ASSERT_EQ(missing.size(), 2u);
  EXPECT_NE(missing[0].find("multi_needle_reasoning_en.json below"), std::string::npos) << missing[0];
  write("multi_needle_reasoning_zh.json",
        R"([{"derivation_count": 2, "derivations": ["one.", "two."], "question": "how many?", "answer": "2"},
            {"derivation_count": 3, "derivations": ["a", "b", "c"], "question": "?", "answer": "3"}])");
  cases = make_cases(reasoning, context, missing);
  ASSERT_EQ(cases.size(), 10u);
  CaseText text = cases[0].text();
  EXPECT_EQ(text.references, std::vector<std::string>{"2"});
  EXPECT_LT(text.user.find("\none.\n"), text.user.find("\ntwo.\n"));
}

}  // namespace
}  // namespace longspan
