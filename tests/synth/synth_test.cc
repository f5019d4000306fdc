// Synthetic conversations on small documents made here: every answer is looked up again in the context by
// other means, lengths are counted again, and the loader has to train on the answers and nothing else.
#include "synth/synth_data.h"

namespace longspan {
namespace {

TEST_F(Synth, EveryKindHasItsLengthAndForm) {
  for (const SynthKind& kind : synth_kinds())
    for (const char* language : {"en", "zh"}) {
      if (kind.language != std::string() && kind.language != std::string(language)) continue;
      SCOPED_TRACE(std::string(kind.name) + " " + language);
      std::set<std::string> ids;
      for (const Json& record : written(only(kind.name, language), 4)) {
        EXPECT_EQ(record["kind"], kind.name);
        EXPECT_EQ(record["lang"], language);
        ids.insert(record["id"].get<std::string>());
        const Json& messages = record["messages"];
        ASSERT_EQ(messages.size() % 2, 0u);
        ASSERT_EQ(record["answers_at"].size() * 2, messages.size());
        EXPECT_LE(messages.size(), 16u);
        int64_t tokens = 32;
        for (size_t i = 0; i < messages.size(); ++i) {
          EXPECT_EQ(messages[i]["role"], i % 2 ? "assistant" : "user");
          tokens += 8 + static_cast<int64_t>(messages[i]["content"].get<std::string>().size());
        }
        EXPECT_EQ(record["tokens"], tokens);
        EXPECT_LE(tokens, job_.target_tokens);
        if (kind.name != std::string("short")) {
          EXPECT_GE(tokens, job_.target_tokens * 9 / 10);
        }
        for (const Json& depth : record["answers_at"]) {
          EXPECT_GE(depth.get<double>(), 0);
          EXPECT_LE(depth.get<double>(), 1);
        }
        if (language == std::string("zh") && kind.name != std::string("code")) {
          double least = kind.name == std::string("key_value") ? 0.5 : 0.8;  // its codes are letters
          EXPECT_GT(han_part(messages[0]["content"].get<std::string>()), least);
          EXPECT_GT(han_part(messages[messages.size() - 2]["content"].get<std::string>()), least);
        }
      }
      EXPECT_EQ(ids.size(), 4u);
    }
}

TEST_F(Synth, ARecordDependsOnJobSeedAndNumberOnly) {
  std::vector<Json> all = written(job_, 24);
  for (int64_t k : {23, 0, 11})
    EXPECT_EQ(synth_record(job_, tokenizer_, k), all[static_cast<size_t>(k)]) << k;
  std::set<std::string> kinds;
  for (const Json& record : all) kinds.insert(record["kind"].get<std::string>());
  EXPECT_GT(kinds.size(), 4u);
  SynthJob other = job_;
  other.seed = 2;
  EXPECT_NE(synth_record(other, tokenizer_, 0)["messages"], all[0]["messages"]);
}

TEST_F(Synth, FactsAreMaskedAndAnswerTheirQuestions) {
  for_each_turn("facts", [&](const std::string& first, const std::string& question, const std::string& answer,
                             size_t turn, const Json& record) {
    ASSERT_EQ(record["masked"].size(), 8u);
    bool zh = record["lang"] == "zh";
    auto [begin, fact] = characters(first, record["masked"][turn]);
    EXPECT_TRUE(fact.ends_with(zh ? "。" : ".")) << fact;
    EXPECT_EQ(count(first, fact), 1u) << fact;
    // What stands around a span is the document's, the span itself is not.
    const std::string& documents = zh ? chinese_ : english_;
    EXPECT_EQ(documents.find(fact), std::string::npos);
    std::string behind = first.substr(begin + fact.size());
    behind = behind.substr(std::min(behind.size(), behind.find_first_not_of(" \n")), 30);
    bool at_border = behind.size() < 30 || turn == 0;
    for (const Json& other : record["masked"])
      at_border |= characters(first, other).second.starts_with(behind);
    std::string valid = behind.substr(0, complete_utf8_prefix(behind));
    if (!at_border && documents.find(valid) == std::string::npos) {
      bool next_is_fact = false, next_is_question = first.ends_with(question.substr(question.size() / 2));
      for (const Json& other : record["masked"])
        next_is_fact |= valid.starts_with(characters(first, other).second.substr(0, 6));
      EXPECT_TRUE(next_is_fact || next_is_question) << valid;
    }
    if (fact.find(answer) != std::string::npos) return;
    // A whole sentence: its names and numbers are the fact's.
    size_t shared = 0;
    for (size_t i = 0; i < answer.size(); ++i)
      for (size_t n = 1; i + n <= answer.size() && fact.find(answer.substr(i, n)) != std::string::npos; ++n)
        shared = std::max(shared, n);
    EXPECT_GE(shared, 4u) << fact << " | " << answer;
    EXPECT_TRUE(answer.ends_with(zh ? "。" : ".")) << answer;
    size_t blank = answer.find(' ');
    for (size_t next; blank != std::string::npos; blank = next) {
      next = answer.find(' ', blank + 1);
      std::string word = answer.substr(blank + 1, next - blank - 1);
      word = word.substr(0, word.find_first_of(".,'"));
      bool name = !word.empty() && (std::isupper(static_cast<unsigned char>(word[0])) ||
                                    std::isdigit(static_cast<unsigned char>(word[0])));
      EXPECT_TRUE(!name || fact.find(word) != std::string::npos) << fact << " | " << answer;
    }
  });
}

TEST_F(Synth, WithoutMaskedSpansTheContextIsTheDocuments) {
  for (const char* kind : {"facts", "multi_needle"})
    for (const Json& record : written(only(kind, "en"), 3)) {
      std::string first = record["messages"][0]["content"].get<std::string>(), rest = first;
      std::vector<std::pair<size_t, size_t>> spans;
      for (const Json& span : record["masked"]) {
        auto [begin, fact] = characters(first, span);
        spans.emplace_back(begin, fact.size());
      }
      std::sort(spans.rbegin(), spans.rend());
      for (auto [begin, size] : spans) rest.erase(begin, size);
      // All sentences but the opening and the question.
      size_t from = rest.find("\n\n"), to = rest.rfind("\n\n");
      ASSERT_LT(from, to);
      std::string text = rest.substr(from, to - from), sentence;
      size_t seen = 0;
      for (size_t at = text.find("Sentence "); at != std::string::npos; at = text.find("Sentence ", at + 1))
        ++seen;
      size_t known = 0;
      for (char c : text) {
        if (c == '\n' || (c == ' ' && sentence.empty())) continue;
        sentence += c;
        if (c != '.') continue;
        size_t begin = sentence.find("Sentence ");
        known += begin != std::string::npos && english_.find(sentence.substr(begin)) != std::string::npos &&
                 (begin == 0 || sentence.starts_with("Chapter "));
        sentence.clear();
      }
      EXPECT_EQ(known, seen);
      EXPECT_GT(seen, 100u);
      EXPECT_EQ(count(text, "."), seen) << "nothing but sentences of the documents";
    }
}

TEST_F(Synth, ListsAreComplete) {
  for (const char* language : {"en", "zh"})
    for (const Json& record : written(only("multi_needle", language), 4)) {
      std::string first = record["messages"][0]["content"].get<std::string>();
      std::string between = language == std::string("zh") ? "、" : ", ";
      size_t items = 0;
      for (size_t i = 1; i < record["messages"].size(); i += 2) {
        std::string list = record["messages"][i]["content"].get<std::string>() + between;
        for (size_t at; (at = list.find(between)) != std::string::npos; list.erase(0, at + between.size())) {
          ++items;
          bool stated = false;
          for (const Json& span : record["masked"])
            stated |= characters(first, span).second.find(list.substr(0, at)) != std::string::npos;
          EXPECT_TRUE(stated) << list;
        }
      }
      EXPECT_EQ(items, record["masked"].size());
    }
}

TEST_F(Synth, QuotesFollowTheirSentence) {
  for_each_turn("quote", [](const std::string& first, const std::string& question, const std::string& answer,
                            size_t, const Json& record) {
    size_t at = first.find(answer);
    ASSERT_NE(at, std::string::npos);
    std::string before = first.substr(0, first.find_last_not_of(" \n", at - 1) + 1);
    EXPECT_NE(question.find(before.substr(before.size() - 30)), std::string::npos)
        << question << " | " << answer;
    EXPECT_TRUE(record["masked"].empty());
  });
}

TEST_F(Synth, EntriesStandInTheTable) {
  for_each_turn("key_value", [](const std::string& first, const std::string& question,
                                const std::string& answer, size_t, const Json&) {
    ASSERT_EQ(count(first.substr(0, first.rfind("\n\n")), answer), 1u) << answer;
    size_t at = first.find(answer), begin = first.rfind('\n', at) + 1, end = first.find('\n', at);
    std::string line = first.substr(begin, end - begin), other = line;
    other.erase(line.find(answer), answer.size());
    size_t from = other.find_first_not_of(" |\"=:,"), to = other.find_last_not_of(" |\"=:,");
    EXPECT_NE(question.find(other.substr(from, to - from + 1)), std::string::npos)
        << line << " | " << question;
  });
}

/// The passages by number.
std::vector<std::string> passages(const std::string& first, bool zh) {
  std::vector<std::string> found;
  for (size_t i = 1;; ++i) {
    auto header = [&](size_t n) {
      return fmt::format(fmt::runtime(zh ? "\n[第{}段]\n" : "\n[Passage {}]\n"), n);
    };
    size_t at = first.find(header(i)), next = first.find(header(i + 1));
    if (at == std::string::npos) return found;
    size_t begin = at + header(i).size();
    size_t end = next == std::string::npos ? first.rfind("\n\n") : next;
    found.push_back(first.substr(begin, end - begin));
    while (found.back().ends_with('\n')) found.back().pop_back();
  }
}

size_t number_in(const std::string& text) {
  return std::stoul(text.substr(text.find_first_of("0123456789")));
}

TEST_F(Synth, PassagesHoldWhatIsAsked) {
  for_each_turn("passage_retrieval", [](const std::string& first, const std::string& question,
                                        const std::string& answer, size_t, const Json& record) {
    bool zh = record["lang"] == "zh";
    std::string open = zh ? "“" : "\"", close = zh ? "”" : "\"";
    size_t begin = question.find(open) + open.size();
    std::string quoted = question.substr(begin, question.rfind(close) - begin);
    std::vector<std::string> all = passages(first, zh);
    ASSERT_GT(all.size(), 5u);
    for (size_t i = 0; i < all.size(); ++i)
      EXPECT_EQ(all[i].find(quoted) != std::string::npos, i + 1 == number_in(answer)) << i << quoted;
  });
}

TEST_F(Synth, PassagesAreCounted) {
  for_each_turn("passage_count", [](const std::string& first, const std::string& question,
                                    const std::string& answer, size_t turn, const Json& record) {
    std::vector<std::string> all = passages(first, record["lang"] == "zh");
    std::set<std::string> different(all.begin(), all.end());
    EXPECT_LT(different.size(), all.size());
    if (turn == 0) {
      EXPECT_EQ(number_in(answer), different.size());
    } else {
      EXPECT_NE(number_in(answer), number_in(question));
      EXPECT_EQ(all.at(number_in(answer) - 1), all.at(number_in(question) - 1));
    }
  });
}

TEST_F(Synth, HeadingsAndArticlesAnswer) {
  for_each_turn("summary", [](const std::string& first, const std::string&, const std::string& answer,
                              size_t turn, const Json& record) {
    if (turn > 0) return;
    size_t at = 0, lines = 0;
    std::string rest = answer + "\n";
    for (size_t end; (end = rest.find('\n')) != std::string::npos; rest.erase(0, end + 1), ++lines) {
      at = first.find("\n" + rest.substr(0, end) + "\n", at);
      ASSERT_NE(at, std::string::npos) << rest;
      ++at;
    }
    EXPECT_EQ(lines, count(first, record["lang"] == "zh" ? "\n第" : "\nChapter "));
  });
  for (const char* kind : {"multi_document_qa", "document_qa"})
    for_each_turn(kind, [](const std::string& first, const std::string& question, const std::string& answer,
                           size_t, const Json&) {
      EXPECT_NE(first.find(answer), std::string::npos);
      EXPECT_NE(question.find(answer), std::string::npos) << "these articles are asked by their number";
    });
}

TEST_F(Synth, CodeGoesOnAndFilesDefine) {
  size_t files = 0, lines = 0;
  for_each_turn("code", [&](const std::string& first, const std::string& question, const std::string& answer,
                            size_t, const Json&) {
    if (answer.starts_with("part/")) {
      size_t at = question.rfind("work_");
      ASSERT_NE(at, std::string::npos) << question;
      std::string name =
          question.substr(at, question.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789", at) - at);
      size_t defined = first.find("def " + name + "(");
      ASSERT_NE(defined, std::string::npos) << name;
      size_t file = first.rfind("File: ", defined) + 6;
      EXPECT_EQ(first.substr(file, first.find('\n', file) - file), answer);
      ++files;
    } else {
      size_t at = first.find(answer);
      ASSERT_NE(at, std::string::npos);
      size_t end = first.rfind('\n', at), begin = first.rfind('\n', end - 1) + 1;
      std::string before = first.substr(begin, end - begin);
      before.erase(0, before.find_first_not_of(' '));
      EXPECT_NE(question.find(before), std::string::npos) << before << " | " << question;
      ++lines;
    }
  });
  EXPECT_GT(files, 5u);
  EXPECT_GT(lines, 5u);
}

TEST_F(Synth, DepthsSpreadAsWanted) {
  for (const char* kind : {"facts", "quote", "key_value"}) {
    for (double weight : {0.0, 1.0}) {
      SynthJob job = only(kind, "en");
      job.far_weight = weight;
      std::vector<double> depths;
      for (const Json& record : written(job, 30))
        for (const Json& depth : record["answers_at"]) depths.push_back(depth.get<double>());
      ASSERT_EQ(depths.size(), 240u);
      double mean = std::accumulate(depths.begin(), depths.end(), 0.0) / 240;
      // Standard errors: 0.019 and 0.015.
      EXPECT_NEAR(mean, weight > 0 ? 1.0 / 3 : 0.5, 0.06) << kind << weight;
      EXPECT_LT(*std::min_element(depths.begin(), depths.end()), 0.05);
      EXPECT_GT(*std::max_element(depths.begin(), depths.end()), weight > 0 ? 0.7 : 0.95);
    }
  }
}

TEST_F(Synth, TheLoaderTrainsOnTheAnswersOnly) {
  SynthJob job = job_;
  job.documents.push_back(novel_);
  for (const SynthKind& kind : synth_kinds()) job.mix.emplace_back(kind.name, 1);
  std::map<std::string, std::string> answers;
  std::set<std::string> kinds;
  for (const Json& record : written(job, 60)) {
    kinds.insert(record["kind"].get<std::string>());
    for (size_t i = 1; i < record["messages"].size(); i += 2)
      answers[record["id"].get<std::string>()] += record["messages"][i]["content"].get<std::string>() + "\n";
  }
  EXPECT_EQ(kinds.size(), synth_kinds().size());
  ChatOptions o{
      .files = {dir_ / "out.jsonl.zst"},
      .row_tokens = 2 * job.target_tokens,  // a token a byte: the template takes more than elsewhere
      .pack = false,
      .on_bad = OnBadDocument::Fail};
  ReadingReport report;
  RowSource source = chat_source(o, tokenizer_, chat_, report);
  ASSERT_EQ(source.rows, 60);
  std::map<std::string, std::string> trained;
  for (int64_t k = 0; k < source.rows; ++k) {
    TrainingRow row = source.row(k);
    for (size_t t = 0; t < row.ids.size(); ++t)
      if (row.weights[t] > 0)
        trained[row.documents.at(0)] += row.targets[t] < 256 ? static_cast<char>(row.targets[t]) : '\n';
  }
  EXPECT_EQ(trained, answers);
}

TEST_F(Synth, TheSurroundingTextIsTrainedWithoutTheFacts) {
  std::map<std::string, Json> records;
  for (const Json& record : written(only("facts", "zh"), 3))
    records[record["id"].get<std::string>()] = record;
  ChatOptions o{.files = {dir_ / "out.jsonl.zst"},
                .row_tokens = 2 * job_.target_tokens,
                .pack = false,
                .text_weight = 1,
                .answer_weight = 0,
                .on_bad = OnBadDocument::Fail};
  ReadingReport report;
  RowSource source = chat_source(o, tokenizer_, chat_, report);
  for (int64_t k = 0; k < 3; ++k) {
    TrainingRow row = source.row(k);
    std::string trained, rest;
    for (size_t t = 0; t < row.ids.size(); ++t)
      if (row.weights[t] > 0 && row.targets[t] < 256) trained += static_cast<char>(row.targets[t]);
    const Json& record = records.at(row.documents.at(0));
    for (size_t i = 0; i < record["messages"].size(); i += 2) {
      std::string content = record["messages"][i]["content"].get<std::string>();
      if (i == 0)
        for (const Json& span : record["masked"]) {
          std::string fact = characters(record["messages"][0]["content"].get<std::string>(), span).second;
          content.erase(content.find(fact), fact.size());
        }
      rest += content;
    }
    EXPECT_EQ(trained, rest);
  }
}

TEST_F(Synth, NoTemplateIsANeedleOfAnEvaluation) {
  std::map<std::string, size_t> facts;
  for (const FactTemplate& row : fact_templates()) {
    ++facts[row.language];
    for (const std::string& text : {row.fact, row.answer, row.sentence}) expect_allowed(text);
    for (const std::string& text : row.questions) expect_allowed(text);
    EXPECT_GE(row.questions.size(), 2u) << row.fact;
  }
  EXPECT_GE(facts["en"], 24u);
  EXPECT_GE(facts["zh"], 24u);
  for (const ListTemplate& row : list_templates()) {
    expect_allowed(row.fact);
    for (const std::string& text : row.questions) expect_allowed(text);
  }
  for (const Phrases& row : phrase_tables())
    for (const auto* texts : {&row.openings, &row.questions, &row.answers})
      for (const std::string& text : *texts) expect_allowed(text);
  job_.target_tokens = 4000;
  for (const Json& record : written(job_, 200))
    for (const Json& message : record["messages"]) expect_allowed(message["content"].get<std::string>());
}

TEST_F(Synth, FaultsAreNamedWithNumbers) {
  EXPECT_NE(fault(only("riddles", "en")).find("no kind \"riddles\"; there are facts, "), std::string::npos);
  SynthJob job = only("code", "en");
  job.code.clear();
  EXPECT_NE(fault(job).find("code needs code in en and none was found"), std::string::npos) << fault(job);
  job = only("facts", "zh");
  job.documents = {write("en.txt", english_)};
  EXPECT_NE(fault(job).find("facts needs documents in zh"), std::string::npos) << fault(job);
  job = only("facts", "en");
  job.target_tokens = 1000000;
  EXPECT_NE(fault(job).find("the 3 texts in language en hold "), std::string::npos) << fault(job);
  job = only("facts", "en");
  job.turns = 500;
  EXPECT_NE(fault(job).find("choose fewer --turns"), std::string::npos) << fault(job);
  job = only("multi_document_qa", "en");
  job.target_tokens = 100000;
  EXPECT_NE(fault(job).find("give more --questions"), std::string::npos) << fault(job);
  job = only("summary", "en");
  job.documents = {write("plain.txt", std::string(20000, 'x'))};
  EXPECT_NE(fault(job).find("no document in language en has 3 headings"), std::string::npos) << fault(job);
  job = job_;
  job.mix = {{"facts", -1}};
  EXPECT_NE(fault(job).find("facts has the share -1"), std::string::npos) << fault(job);
}

TEST_F(Synth, AStoppedRunLeavesNothing) {
  job_.records = 1000;
  SynthReport report = synthesise(job_, tokenizer_, dir_ / "o.jsonl", [](int64_t, int64_t) { return false; });
  EXPECT_FALSE(report.complete);
  EXPECT_FALSE(fs::exists(dir_ / "o.jsonl"));
  EXPECT_FALSE(fs::exists(dir_ / "o.jsonl.part"));
}

}  // namespace
}  // namespace longspan
