// Every suite built into the program reads, and the prompts of those that others published are theirs byte by
// byte (templates.json: tools/make_suites_golden.py).
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "score/metrics.h"
#include "suites/cases.h"
#include "suites/known_scores.h"
#include "suites/suite.h"

namespace longspan {
namespace {

const Json& templates() {
  static const Json all = parse_json_file(std::string(LONGSPAN_GOLDEN) + "/suites/templates.json");
  return all;
}

/// The prompt with each slot standing for itself.
std::string as_template(const std::string& prompt, Json values = Json::object()) {
  for (const char* slot : {"context", "input", "document", "inst", "n_words_of_reference", "question",
                           "length", "OPTION_A", "OPTION_B", "OPTION_C", "OPTION_D", "func", "func_call"})
    if (!values.contains(slot)) values[slot] = "{" + std::string(slot) + "}";
  return fill_slots(prompt, values, "test");
}

std::map<std::string, Task> tasks_of(const char* suite, const char* dialect) {
  std::map<std::string, Task> tasks;
  for (Task& task : read_suite(suite, dialect, {}, {}).tasks) tasks[task.name] = std::move(task);
  return tasks;
}

TEST(Suites, AllReadInEveryDialectAndNameWhatExists) {
  std::vector<std::string> names = suite_names();
  EXPECT_GE(names.size(), 8u);
  for (const std::string& name : names) {
    Suite first = read_suite(name, "", {}, {});
    EXPECT_EQ(first.name, name);
    EXPECT_FALSE(first.what.empty()) << name;
    std::vector<std::string> dialects = first.dialects;
    if (dialects.empty()) dialects = {""};
    for (const std::string& dialect : dialects)
      for (const Task& task : read_suite(name, dialect, {}, {}).tasks) {
        EXPECT_NO_THROW(find_maker(task.maker)) << name << " " << task.name;
        if (task.maker != "file") continue;
        for (const std::string& metric : task.metrics)
          EXPECT_NO_THROW(find_metric(metric)) << name << " " << task.name;
        EXPECT_TRUE(task.make.contains("references")) << name << " " << task.name;
        EXPECT_TRUE(task.make.contains("messages") || !task.prompt.empty()) << name << " " << task.name;
      }
  }
}

TEST(Suites, FaultsNameFileLineTaskAndKey) {
  const std::string file = testing::TempDir() + fmt::format("longspan-suite-{}.toml", ::getpid());
  auto write = [&](const std::string& text) {
    write_file_atomic(
        file, "name = \"s\"\ndialects = [\"one\", \"two\"]\n[defaults]\nmetrics = [\"presence\"]\n" + text);
  };
  auto error = [&](const char* dialect, const std::vector<std::string>& sets = {}) -> std::string {
    try {
      read_suite(file, dialect, {}, sets);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  write(
      "[dialect.two]\nnew_tokens = 0\n[[task]]\nname = \"a.b\"\n[[task]]\nname = "
      "\"a\"\n[task.dialect.one]\nchat = 3\n");
  EXPECT_EQ(error("two"),
            file + ":6:1: task a.b: new_tokens must be a whole number from 1 to 1048576, not 0");
  EXPECT_EQ(error("one"), file + ":12:1: task a: chat must be true or false, not 3");
  EXPECT_EQ(error("two", {"a.b.new_tokens=1", "a.new_tokens=2"}), "no error");
  EXPECT_EQ(error("two", {"a.b.new_tokens=1", "a.new_tokens=x"}),
            "--set a.new_tokens=x: task a: new_tokens must be a whole number from 1 to 1048576, not \"x\"");
  EXPECT_TRUE(error("two", {"new_tokens=1", "tokens=1"})
                  .starts_with("--set tokens=1: task a.b: tokens is unknown; known keys: name, "));
  EXPECT_EQ(error("three"), file + ": there is no dialect three; there are one, two");
  write("[[task]]\nname = \"a\"\n[[task]]\nname = \"a\"\n");
  EXPECT_EQ(error("one"), file + ":5:3: task: duplicate name a");
  write("prompt = \"x\"\nprompts = \"y\"\n[[task]]\nname = \"a\"\n");
  EXPECT_TRUE(error("one").starts_with(
      file + ":6:1: task a: prompts is unknown (did you mean prompt?); known keys: name"));
  std::filesystem::remove(file);
}

TEST(Suites, LongBenchAsksInItsOwnWords) {
  const Json& theirs = templates()["longbench"];
  auto official = tasks_of("longbench", "official"), index = tasks_of("longbench", "index");
  EXPECT_EQ(official.size(), 21u);
  for (const auto& [name, prompt] : theirs["official"].items()) {
    const Task& task = official.at(name);
    EXPECT_EQ(as_template(task.prompt), prompt) << name;
    EXPECT_EQ(task.new_tokens, theirs["tokens"][name]) << name;
    EXPECT_EQ(task.truncate, Truncation::TextMiddle);
    EXPECT_EQ(task.reserve, 500);
    EXPECT_EQ(as_template(index.at(name).prompt), theirs["opencompass"][name]["human"]) << name;
    EXPECT_EQ(index.at(name).new_tokens, theirs["opencompass"][name]["max_out_len"]) << name;
    EXPECT_TRUE(index.at(name).chat) << name;
    EXPECT_EQ(index.at(name).truncate, Truncation::Middle);
  }
  std::set<std::string> categories, plain, first_line;
  for (const auto& [name, task] : official) {
    categories.insert(task.category);
    if (!task.chat) plain.insert(name);
    if (task.postprocess == "first_line") first_line.insert(name);
  }
  EXPECT_EQ(categories.size(), 6u);
  EXPECT_EQ(plain, (std::set<std::string>{"lcc", "lsht", "repobench-p", "samsum", "trec", "triviaqa"}));
  EXPECT_EQ(first_line, (std::set<std::string>{"lsht", "samsum", "trec", "triviaqa"}));
  EXPECT_EQ(tasks_of("longbench", "e").at("lcc").make["file"], "{task}_e.jsonl");
}

TEST(Suites, LEvalAsksInItsOwnWords) {
  const Json& theirs = templates()["leval"]["official"];
  auto official = tasks_of("leval", "official");
  EXPECT_EQ(official.size(), 21u);
  for (auto& [name, task] : official) {
    EXPECT_EQ(task.new_tokens, theirs["max_new_tokens"]) << name;
    if (name == "sci_fi_fact") continue;
    bool closed = task.category == "closed";
    std::string system = theirs["system_prompts"][closed ? name : "open_ended"];
    if (!task.chat) {  // left open, as for LongChat
      EXPECT_EQ(as_template(task.prompt), system + "{document}\n\n{inst}") << name;
      continue;
    }
    std::string kind = name == "topic_retrieval_longchat" ? name : closed ? "closed_other" : "open_ended";
    std::string whole = fill_slots(std::string(theirs["llama2_chat"][kind]),
                                   {{"sys", system},
                                    {"document", "{document}"},
                                    {"inst", "{inst}"},
                                    {"n_words_of_reference", "{n_words_of_reference}"}},
                                   name);
    EXPECT_EQ("[INST]<<SYS>>\n" + task.system + "\n<</SYS>>\n\n" + as_template(task.prompt) + "[/INST]" +
                  task.prefix,
              whole)
        << name;
  }
  const Json& second = theirs["sci_fi_second_call"];
  EXPECT_EQ(as_template(official.at("sci_fi_fact").prompt),
            "{inst}" + second["llama2_chat_suffix"].get<std::string>());
  EXPECT_EQ(official.at("sci_fi_fact").make["replace"]["instructions"][0], second["replace"]);
}

TEST(Suites, LEvalOfOpenCompassHas18Tasks) {
  const Json& theirs = templates()["leval"]["opencompass"];
  auto index = tasks_of("leval", "index");
  EXPECT_EQ(index.size(), 18u);
  for (const auto& [name, t] : theirs.items()) {
    EXPECT_EQ(as_template(index.at(name).prompt), t["human"]) << name;
    EXPECT_EQ(index.at(name).system, t["system"]) << name;
    EXPECT_EQ(index.at(name).new_tokens, t["max_out_len"]) << name;
  }
}

TEST(Suites, NolimaAsksInItsOwnWords) {
  Task task = tasks_of("nolima", "").at("onehop");
  EXPECT_EQ(task.system, "You are a helpful assistant");
  EXPECT_NE(task.prompt.find("Question: {question}\n\n Return only"), std::string::npos);
}

TEST(Suites, LongBench2AsksInItsOwnWords) {
  Json values;
  for (const char* slot : {"DOC", "Q", "C_A", "C_B", "C_C", "C_D"})
    values[slot] = "$" + std::string(slot) + "$";
  EXPECT_EQ(as_template(tasks_of("longbench2", "official").at("longbench2").prompt, values),
            templates()["longbench2"]["0shot"]);
  EXPECT_EQ(as_template(tasks_of("longbench2", "no_context").at("longbench2").prompt, values),
            templates()["longbench2"]["0shot_no_context"]);
}

TEST(Suites, InfiniteBenchAsksInItsOwnWords) {
  const Json& theirs = templates()["infinitebench"];
  for (auto [dialect, key] :
       {std::pair{"chat", "gpt4_templates"}, std::pair{"base", "yarn_mistral_templates"}}) {
    auto tasks = tasks_of("infinitebench", dialect);
    EXPECT_EQ(tasks.size(), 12u);
    for (const auto& [name, t] : theirs[key].items()) {
      std::string wanted = t;
      if (size_t at = wanted.find("{prefix}"); at != wanted.npos)
        wanted.replace(at, 8, "What is the sum in the following list?");
      EXPECT_EQ(as_template(tasks.at(name).prompt, {{"target", "the sum"}}), wanted) << name;
      EXPECT_EQ(tasks.at(name).new_tokens, theirs["max_new_tokens"][name]) << name;
    }
  }
}

TEST(KnownScores, AreOfTasksThatTheSuiteHas) {
  size_t all = 0;
  for (const std::string& name : suite_names()) {
    std::vector<std::string> dialects = read_suite(name, "", {}, {}).dialects;
    if (dialects.empty()) dialects = {""};
    for (const std::string& dialect : dialects) {
      std::set<std::string> names = {""};
      for (const Task& task : read_suite(name, dialect, {}, {}).tasks)
        names.insert({task.name, task.category});
      for (const KnownScore& known : known_scores(name, dialect)) {
        EXPECT_TRUE(names.contains(known.task)) << name << " " << dialect << " " << known.task;
        EXPECT_TRUE(known.score >= 0 && known.score <= 100) << known.model;
        EXPECT_FALSE(known.source.empty());
        ++all;
      }
    }
  }
  EXPECT_GT(all, 500u);
  EXPECT_TRUE(known_scores("longbench", "none").empty());
  auto of = [](const char* suite, const char* dialect, const std::string& model, const std::string& task,
               int64_t length) {
    for (const KnownScore& k : known_scores(suite, dialect))
      if (k.model == model && k.task == task && k.length == length) return k.score;
    return -1.0;
  };
  EXPECT_EQ(of("longbench", "official", "Llama2-7B-chat-4k", "narrativeqa", 0), 18.7);
  EXPECT_EQ(of("longbench", "index", "Index-1.9B-32K", "", 0), 35.23);
  EXPECT_EQ(of("ruler", "", "Qwen3-4B", "", 32768), 87.8);
  EXPECT_EQ(of("infinitebench", "base", "Yi-6B-200K", "code_run", 0), -1);  // not published
}

TEST(FillSlots, BracesSlotsAndTheMarkedRange) {
  Json fields = {{"a", "x{b}"}, {"n", 3}, {"none", nullptr}};
  size_t begin = 0, end = 0;
  EXPECT_EQ(fill_slots("{{{a}}} {n} {a}", fields, "w", "a", &begin, &end), "{x{b}} 3 x{b}");
  EXPECT_EQ(begin, 1u);
  EXPECT_EQ(end, 5u);
  fill_slots("{n}", fields, "w", "a", &begin, &end);
  EXPECT_EQ(begin, end);
  for (const char* bad : {"{b}", "{none}", "{", "}", "{a"})
    EXPECT_THROW(fill_slots(bad, fields, "w"), Error) << bad;
}

}  // namespace
}  // namespace longspan
