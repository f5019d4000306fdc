// Facts in conversations: which are asked, what stands beside them, sentences of real texts, frozen contexts.
#include "synth/synth_data.h"

namespace longspan {
namespace {

using SynthFacts = Synth;

/// Characters [0, n) of a text.
std::string beginning(const std::string& text, int64_t n) {
  return n == 0 ? "" : characters(text, Json{0, n}).second;
}

TEST_F(SynthFacts, TheQuestionOfTheFirstMessageIsFound) {
  for (const char* kind : {"facts", "quote", "key_value"})
    for (const char* language : {"en", "zh"})
      for (const Json& record : written(only(kind, language), 2)) {
        std::string first = record["messages"][0]["content"].get<std::string>();
        std::string before = beginning(first, record["question_at"].get<int64_t>());
        EXPECT_EQ(first.substr(before.size()), first.substr(first.rfind("\n\n") + 2));
        EXPECT_TRUE(before.ends_with("\n\n"));
      }
}

TEST_F(SynthFacts, SistersAreAskedOrOnlyStandBeside) {
  SynthJob job = only("facts", "en");
  job.sister_share = 1, job.turns = 12;
  int64_t asked = 0, hidden = 0, beside = 0;
  for (const Json& record : written(job, 10)) {
    std::string first = record["messages"][0]["content"].get<std::string>();
    std::vector<std::string> facts;
    for (const Json& span : record["masked"]) facts.push_back(characters(first, span).second);
    std::set<std::string> questions;
    for (size_t i = 0; i < record["messages"].size(); i += 2) {
      std::string question = i == 0 ? first.substr(first.rfind("\n\n") + 2)
                                    : record["messages"][i]["content"].get<std::string>();
      EXPECT_TRUE(questions.insert(question).second) << question;
    }
    EXPECT_EQ(questions.size(), 12u);
    asked += 12;
    hidden += std::ssize(facts);
    // A fact has the form of a row; sisters share theirs.
    std::map<const FactTemplate*, int> forms;
    for (const FactTemplate& row : fact_templates()) {
      std::string end = row.fact.substr(row.fact.rfind('}') + 1),
                  begin = row.fact.substr(0, row.fact.find('{'));
      if (row.language != "en" || begin.size() + end.size() < 12) continue;
      for (const std::string& fact : facts) forms[&row] += fact.starts_with(begin) && fact.ends_with(end);
    }
    for (const auto& [row, count] : forms) beside += count > 1;
  }
  // One to three sisters of each, half of them asked.
  EXPECT_GT(hidden, asked * 13 / 10);
  EXPECT_LT(hidden, asked * 25 / 10);
  EXPECT_GT(beside, 10);
}

TEST_F(SynthFacts, NaturalFactsArePassagesOfArticles) {
  Json text =
      "The Norden mill was built in 1743 by the brothers Ketteler. It burned down twice. "
      "It was the first windmill of the whole county. He sold the Norden mill to a baker in 1801. Later the "
      "town of Varel bought the ruins of the mill for 90 crowns.";
  auto qa = [](const char* question, const char* answer) {
    return Json{{"question", question}, {"answers", {answer}}};
  };
  Json article = {
      {"id", "mill"},
      {"lang", "en"},
      {"text", text},
      {"qas",
       {qa("When was the Norden mill built?", "1743"), qa("In which year was the Norden mill sold?", "1801"),
        qa("What was the Norden mill the first of in the county?", "windmill"),
        qa("Who bought the ruins of the mill?", "the town of Varel"), qa("How often did it burn?", "twice"),
        qa("Was the Norden mill built?", "yes")}}};
  SynthJob job = only("facts", "en");
  job.questions = {write("mill.jsonl", dump_json(article) + "\n")};
  job.natural_share = 1, job.turns = 2;
  const std::string alone = "The Norden mill was built in 1743 by the brothers Ketteler.",
                    leaning = "It was the first windmill of the whole county.",
                    later = "Later the town of Varel bought the ruins of the mill for 90 crowns.";
  struct Expected {
    std::string answer, sentence, passage;
  };
  const std::map<std::string, Expected> expected = {
      {"When was the Norden mill built?", {"1743", alone, alone}},
      {"What was the Norden mill the first of in the county?",
       {"windmill", leaning, alone + " It burned down twice. " + leaning}},
      {"Who bought the ruins of the mill?", {"the town of Varel", later, later}}};
  std::set<std::string> seen;
  job.sentence_share = 0;
  for (const Json& record : written(job, 24)) {
    std::set<std::string> passages;
    std::string first = record["messages"][0]["content"].get<std::string>();
    for (size_t i = 0; i < 4; i += 2) {
      std::string question = i == 0 ? first.substr(first.rfind("\n\n") + 2)
                                    : record["messages"][i]["content"].get<std::string>();
      ASSERT_TRUE(expected.contains(question)) << question;
      const auto& [answer, sentence, passage] = expected.at(question);
      std::string got = record["messages"][i + 1]["content"].get<std::string>();
      EXPECT_EQ(got, answer);
      EXPECT_GE(count(first, passage), 1u);
      passages.insert(passage), seen.insert(question);
    }
    std::set<std::string> masked;
    for (const Json& span : record["masked"]) masked.insert(characters(first, span).second);
    EXPECT_EQ(masked, passages);
  }
  EXPECT_EQ(seen.size(), expected.size());
  // With a request for a sentence, the sentence.
  job.sentence_share = 1;
  for (const Json& record : written(job, 4))
    for (size_t i = 0; i < 4; i += 2) {
      std::string asked = record["messages"][i]["content"].get<std::string>();
      auto row = std::find_if(expected.begin(), expected.end(),
                              [&](const auto& r) { return asked.find(r.first) != std::string::npos; });
      ASSERT_NE(row, expected.end()) << asked;
      EXPECT_NE(asked.find("sentence", asked.rfind("\n\n") + 1), std::string::npos) << asked;
      EXPECT_EQ(record["messages"][i + 1]["content"], row->second.sentence);
    }
  job.questions = {};
  EXPECT_NE(fault(job).find("natural facts need"), std::string::npos);
}

TEST_F(SynthFacts, ReadingAsksForWhoDidAndSaid) {
  SynthJob job = only("reading", "en");
  job.turns = 16;
  std::set<std::string> forms;
  for (const Json& record : written(job, 6)) {
    std::string first = record["messages"][0]["content"].get<std::string>();
    for (size_t i = 0; i < record["messages"].size(); i += 2) {
      std::string question = i == 0 ? first.substr(first.rfind("\n\n") + 2)
                                    : record["messages"][i]["content"].get<std::string>();
      std::string answer = record["messages"][i + 1]["content"].get<std::string>();
      size_t digits = question.find_first_of("0123456789");
      ASSERT_NE(digits, std::string::npos) << question;
      int number = std::stoi(question.substr(digits)), form = number / 1000, n = number % 1000;
      constexpr const char* names[] = {"Mr. Alder", "Miss Birch", "Captain Dunn"};
      // Lanterns and steps belong to person n, words and baskets to the next.
      const char* name = names[(form <= 21 ? n : n + 1) % 3];
      EXPECT_NE(answer.find(name), std::string::npos) << question << " " << answer;
      for (const char* other : names)
        if (other != name) {
          EXPECT_EQ(answer.find(other), std::string::npos) << question << " " << answer;
        }
      forms.insert(std::to_string(form) + (answer == name ? " bare" : " sentence"));
    }
  }
  EXPECT_EQ(forms.size(), 8u);  // four forms, bare and as sentences
}

TEST_F(SynthFacts, AnswersMayAllStandInTheFirstPart) {
  SynthJob job = only("facts", "en");
  job.front_share = 1, job.turns = 20;
  double farthest = 0;
  for (const Json& record : written(job, 12))
    for (const Json& depth : record["answers_at"]) farthest = std::max(farthest, depth.get<double>());
  EXPECT_GT(farthest, 0.5);
  EXPECT_LT(farthest, 0.86);  // 80 % of the context, and the facts themselves
}

TEST_F(SynthFacts, TheNumberOfQuestionsIsLogUniform) {
  SynthJob job = only("facts", "en");
  job.turns = 2, job.most_turns = 32;
  int64_t few = 0, all = 0;
  for (const Json& record : written(job, 60)) {
    auto turns = std::ssize(record["answers_at"]);
    EXPECT_GE(turns, 2);
    EXPECT_LE(turns, 32);
    few += turns <= 7, ++all;  // ln(8 / 2) of ln(33 / 2): 49 %
  }
  EXPECT_NEAR(static_cast<double>(few) / static_cast<double>(all), 0.49, 0.2);
}

TEST_F(SynthFacts, FrozenContextsAndTheirRowsAreTheConversation) {
  std::map<std::string, Json> records;
  for (const Json& record : written(only("facts", "en"), 3))
    records[record["id"].get<std::string>()] = record;
  ChatOptions o{.files = {dir_ / "out.jsonl.zst"},
                .row_tokens = 2 * job_.target_tokens,
                .frozen = true,
                .frozen_row_tokens = 1000,
                .on_bad = OnBadDocument::Fail};
  ReadingReport report;
  RowSource source = chat_source(o, tokenizer_, chat_, report);
  ASSERT_EQ(source.rows, 3);
  auto spelled = [&](std::span<const int32_t> ids) {
    std::string text;
    for (int32_t id : ids)
      text += tokenizer_.is_special(id) ? tokenizer_.token_text(id) : tokenizer_.token_bytes(id);
    return text;
  };
  for (int64_t k = 0; k < 3; ++k) {
    TrainingRow row = source.row(k);
    const Json& messages = records.at(row.documents.at(0))["messages"];
    std::string first = messages[0]["content"].get<std::string>();
    size_t seam = first.rfind("\n\n");
    EXPECT_EQ(spelled(row.context), "<|im_start|>user\n" + first.substr(0, seam));
    size_t turn = 0;
    for (size_t begin = 0, end = 0; begin < row.ids.size(); begin = end, turn += 2) {
      for (end = begin; end < row.ids.size() && row.starts[end] == static_cast<int64_t>(begin);) ++end;
      std::string question =
                      turn == 0 ? first.substr(seam + 2) : messages[turn]["content"].get<std::string>(),
                  answer = messages[turn + 1]["content"].get<std::string>();
      EXPECT_EQ(spelled(std::span(row.ids).subspan(begin, end - begin)),
                "\n\n" + question + "<|im_end|>\n<|im_start|>assistant\n" + answer + "<|im_end|>\n");
      EXPECT_EQ(row.positions[begin], static_cast<double>(row.context.size()));
      EXPECT_EQ(row.positions[end - 1], static_cast<double>(row.context.size() + end - begin - 1));
      std::vector<int32_t> learnt;
      for (size_t t = begin; t < end; ++t)
        if (row.weights[t] > 0) learnt.push_back(row.targets[t]);
      EXPECT_EQ(spelled(learnt), answer + "<|im_end|>");
    }
    EXPECT_EQ(turn, messages.size());
  }
  o.frozen_row_tokens = 20;
  EXPECT_NE(testing_error([&] {
              chat_source(o, tokenizer_, chat_, report);
            }).find("20 are the most behind a frozen"),
            std::string::npos);
}

}  // namespace
}  // namespace longspan
