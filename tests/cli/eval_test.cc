// eval with the built program: what it leaves, that killing it at any moment or splitting it costs nothing
// but time, that a grid reads less than half of its tokens, and that faults are named by file and line.
#include <httplib.h>

#include <map>
#include <sstream>

#include "base/random.h"
#include "cli/program.h"

namespace longspan {
namespace {

class Eval : public ProgramTest {
 protected:
  /// A suite of one task over words.jsonl: eight documents with four questions each.
  std::string suite() {
    std::string lines;
    Random random(7);
    for (int d = 0; d < 8; ++d) {
      std::string text;
      for (int w = 0; w < 40; ++w) text += "word" + std::to_string(random.below(90)) + " ";
      Json questions = Json::array(), answers = Json::array();
      for (int q = 0; q < 4; ++q) {
        questions.push_back("what follows word" + std::to_string(q) + "?");
        answers.push_back(std::string(1, static_cast<char>('a' + q)));
      }
      lines += dump_json({{"text", text}, {"questions", questions}, {"answers", answers}}) + "\n";
    }
    write("words.jsonl", lines);
    return write("words.toml", R"(name = "words"
[[task]]
name = "words"
maker = "file"
prompt = "{text}\n\n{questions}"
document = "text"
new_tokens = 4
metrics = ["presence"]
[task.make]
file = "{task}.jsonl"
each = ["questions", "answers"]
references = "answers"
)");
  }

  std::vector<std::string> eval(const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {
        "eval",      suite(), tiny_model(1024), "--data", dir_.string(), "-q",
        "--compute", "f32",   "--chunk",        "64",     "-o",          (dir_ / out).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  /// What a run found, without what it cost.
  Json found(const std::string& out) {
    Json summary = parse_json_file(dir_ / out / "summary.json");
    summary.erase("cost");
    return summary;
  }
  /// The answers by case.
  std::map<std::string, std::string> answers(const std::string& out) {
    std::map<std::string, std::string> by_case;
    std::istringstream lines(read_file(dir_ / out / "results.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      Json result = parse_json(line, out);
      by_case[result["case"]] = result["result"]["prediction"];
    }
    return by_case;
  }
  std::string page(const std::string& out) { return read_file(dir_ / out / "report.html"); }
};

TEST_F(Eval, DraftsChangeNoAnswer) {
  ASSERT_EQ(run(eval("off", {"--set", "new_tokens=24"})).status, 0);
  Outcome on = run(eval("on", {"--set", "new_tokens=24", "--draft", "ngram"}));
  ASSERT_EQ(on.status, 0) << on.err;
  EXPECT_EQ(answers("on"), answers("off"));
  EXPECT_EQ(answers("on").size(), 32u);
  EXPECT_EQ(parse_json_file(dir_ / "on" / "settings.json")["draft"], "ngram");
  EXPECT_FALSE(parse_json_file(dir_ / "off" / "settings.json").contains("draft"));
  Outcome other = run(eval("off", {"--set", "new_tokens=24", "--draft", "ngram"}));
  EXPECT_EQ(other.status, 1);
  EXPECT_NE(other.err.find("draft"), std::string::npos) << other.err;
  Outcome server = run(eval("server", {"--draft", "ngram", "--endpoint", "http://127.0.0.1:9/v1"}));
  EXPECT_EQ(server.status, 1);
  EXPECT_NE(server.err.find("--draft"), std::string::npos) << server.err;
}

TEST_F(Eval, WritesResultsSummaryAndPage) {
  Outcome r = run(eval("run", {"--json"}));
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.json()["suite"], "words");
  EXPECT_TRUE(r.json()["score"].is_number());
  EXPECT_EQ(r.json()["cases"], 32);
  EXPECT_TRUE(r.json()["complete"].get<bool>());
  EXPECT_NE(page("run").find("words/3/2"), std::string::npos);
  // Four questions about a document read it once, but for what does not fill a chunk.
  Json cost = r.json()["cost"];
  EXPECT_LT(cost["read_tokens"].get<int64_t>(), cost["tokens"].get<int64_t>() * 6 / 10);
  // Nothing is done again.
  auto size = fs::file_size(dir_ / "run" / "results.jsonl");
  ASSERT_EQ(run(eval("run")).status, 0);
  EXPECT_EQ(fs::file_size(dir_ / "run" / "results.jsonl"), size);
}

/// 3 kills; `make soak` sets LONGSPAN_TRIALS=100.
TEST_F(Eval, KilledAtAnyMomentItGoesOnToTheSamePage) {
  ASSERT_EQ(run(eval("whole")).status, 0);
  kill_at_any_moment(
      [&] {
        fs::remove_all(dir_ / "trial");
        return eval("trial");
      },
      [&] {
        Outcome r = run(eval("trial"));
        ASSERT_EQ(r.status, 0) << r.err;
        ASSERT_EQ(found("trial"), found("whole"));
        ASSERT_EQ(page("trial"), page("whole"));
      });
}

TEST_F(Eval, ShardsMakeTheSamePage) {
  ASSERT_EQ(run(eval("whole")).status, 0);
  for (const char* shard : {"2/3", "1/3", "3/3"}) {
    EXPECT_FALSE(fs::exists(dir_ / "parts" / "report.html"));
    Outcome r = run(eval("parts", {"--shard", shard}));
    ASSERT_EQ(r.status, 0) << r.err;
  }
  EXPECT_EQ(found("parts"), found("whole"));
  EXPECT_EQ(page("parts"), page("whole"));
  EXPECT_TRUE(fs::exists(dir_ / "parts" / "results.2-of-3.jsonl"));
  EXPECT_EQ(run(eval("parts", {"--shard", "4/3"})).status, 1);
}

TEST_F(Eval, AGridOfNeedlesReadsLessThanHalfOfItsTokens) {
  std::string haystack;
  Random random(3);
  while (haystack.size() < 3000)
    haystack +=
        "the " + std::string(1, static_cast<char>('a' + random.below(26))) + " fox sleeps over a dog. ";
  std::string file = write("haystack.txt", haystack);
  // Characters are tokens here, so that the prompt's own words weigh more than in a real vocabulary.
  Outcome r =
      run({"eval", "needle", tiny_model(4096), "--haystack", file, "--lengths", "512,1024,2048", "--depths",
           "5", "--set", "new_tokens=1", "--chunk", "32", "-q", "--json", "-o", (dir_ / "grid").string()});
  ASSERT_EQ(r.status, 0) << r.err;
  Json cost = r.json()["cost"];
  EXPECT_EQ(r.json()["cases"], 60);
  EXPECT_LT(cost["read_tokens"].get<int64_t>() * 2, cost["tokens"].get<int64_t>());
  EXPECT_TRUE(fs::exists(dir_ / "grid" / "needle-needle.svg"));
  // Lengths that have frequencies of their own share nothing with each other, but each within itself.
  Outcome own = run({"eval",
                     "needle",
                     tiny_model(1024),
                     "--haystack",
                     file,
                     "--lengths",
                     "1024,2048",
                     "--depths",
                     "5",
                     "--set",
                     "new_tokens=1",
                     "--chunk",
                     "32",
                     "-q",
                     "--json",
                     "--position",
                     "dynamic_ntk:factor=2",
                     "--context",
                     "2048",
                     "-o",
                     (dir_ / "own").string()});
  ASSERT_EQ(own.status, 0) << own.err;
  cost = own.json()["cost"];
  EXPECT_LT(cost["read_tokens"].get<int64_t>(), cost["tokens"].get<int64_t>() * 7 / 10);
}

TEST_F(Eval, LengthsOfARowThatDoNotFitAreLeftOutThoseOfTheUserRefused) {
  std::string grid = write("grid.toml", R"(name = "grid"
[[task]]
name = "grid"
maker = "needle"
prompt = "{context} {question}"
new_tokens = 2
metrics = ["presence"]
[task.make]
lengths = [256, 512, 1024]
depths = 3
haystack = ")" + write("haystack.txt", "the fox sleeps over a dog. the dog sleeps over a fox. ") +
                                            R"("
[[task.make.needles]]
text = "a hen sleeps."
question = "what sleeps?"
answer = "hen"
)");
  std::vector<std::string> command = {"eval",   grid, tiny_model(512),
                                      "--json", "-o", (dir_ / "grid").string()};
  Outcome r = run(command);
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.json()["cases"], 6);
  EXPECT_NE(r.err.find("left out: 3 of 9 cases, of up to 1,024 tokens"), std::string::npos) << r.err;
  command.insert(command.end(), {"--lengths", "256,1024", "-q"});
  r = run(command);
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(r.one_sentence()) << r.err;
  EXPECT_NE(r.err.find("1,024"), std::string::npos);
}

TEST_F(Eval, FaultsAreNamed) {
  ASSERT_EQ(run(eval("run")).status, 0);
  std::string lines = read_file(dir_ / "words.jsonl");
  auto refused = [&](std::vector<std::string> arguments, const std::string& what) {
    Outcome r = run(arguments);
    EXPECT_EQ(r.status, 1) << what;
    EXPECT_TRUE(r.one_sentence()) << r.err;
    EXPECT_NE(r.err.find(what), std::string::npos) << r.err;
  };
  refused(eval("run", {"--limit", "3"}), "limit");  // other settings
  refused(eval("other", {"--tasks", "nothing"}), "words");
  refused(eval("other", {"--set", "metrics=\"nothing\""}), "nothing");
  refused(eval("other", {"--context", "100"}), "words.jsonl:1");
  std::vector<std::string> damaged = eval("damaged");
  write("words.jsonl", lines + "{\"text\": \n");
  refused(damaged, "words.jsonl:9");
  EXPECT_FALSE(fs::exists(dir_ / "other" / "results.jsonl"));
  refused({"eval", "nothing", tiny_model(64)}, "needle");
  refused({"eval", "choice", tiny_model(64), "--data",
           write("c.jsonl", R"({"question": "a?", "choices": ["b", "c"], "answer": 0})"), "--endpoint",
           "http://127.0.0.1:9", "--endpoint-model", "m"},
          "likelihood");
  EXPECT_EQ(run({"eval"}).status, 2);
}

TEST_F(Eval, WordsAloneAreEnoughToShowAPromptAndToAskAServer) {
  const std::vector<std::string> show = eval("shown", {"--show", "words/3/2"});
  const Outcome with_weights = run(show);
  ASSERT_EQ(with_weights.status, 0) << with_weights.err;
  std::vector<std::string> asked;
  httplib::Server server;
  server.Post("/v1/completions", [&](const httplib::Request& q, httplib::Response& r) {
    asked.push_back(parse_json(q.body, "request")["prompt"].get<std::string>());
    r.set_content(R"({"choices": [{"text": " a", "finish_reason": "stop"}]})", "application/json");
  });
  const int port = server.bind_to_any_port("127.0.0.1");
  std::thread thread([&] { server.listen_after_bind(); });
  const std::vector<std::string> ask =
      eval("asked", {"--endpoint", "http://127.0.0.1:" + std::to_string(port), "--endpoint-model", "m",
                     "--limit", "5", "--json"});
  const std::vector<std::string> compute = eval("local");  // eval() writes the model: it comes before remove
  fs::remove(fs::path(show[2]) / "model.safetensors");

  const Outcome shown = run(show), answered = run(ask), local = run(compute);
  server.stop();
  thread.join();
  EXPECT_EQ(shown.status, 0) << shown.err;
  EXPECT_EQ(shown.out, with_weights.out);
  EXPECT_FALSE(fs::exists(dir_ / "shown"));
  ASSERT_EQ(answered.status, 0) << answered.err;
  EXPECT_EQ(answered.json()["cases"], 5);
  ASSERT_EQ(asked.size(), 5u);
  EXPECT_NE(asked[0].find("what follows word0?"), std::string::npos) << asked[0];
  EXPECT_EQ(local.status, 1);
  EXPECT_TRUE(local.one_sentence()) << local.err;
  EXPECT_NE(local.err.find("no weights"), std::string::npos) << local.err;
  const Outcome tokens = run({"tokenize", show[2], "a word", "--json"});
  EXPECT_EQ(tokens.json()["ids"].size(), 6u) << tokens.err;
}

TEST_F(Eval, TwoRunsSideBySide) {
  ASSERT_EQ(run(eval("a")).status, 0);
  ASSERT_EQ(run(eval("b", {"--set", "new_tokens=8"})).status, 0);
  Outcome r = run({"eval", "diff", (dir_ / "a").string(), (dir_ / "b").string(), "--json", "-o",
                   (dir_ / "diff.html").string()});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.json()["pairs"], 32);
  EXPECT_TRUE(fs::exists(dir_ / "diff.html"));
}

/// A folder of results as a run leaves it: `right` of 20 cases are right.
class Runs : public Eval {
 protected:
  std::string made_run(const std::string& name, int right) {
    Outcome r = run(eval(name));
    EXPECT_EQ(r.status, 0) << r.err;
    std::istringstream lines(read_file(dir_ / name / "results.jsonl"));
    std::string text;
    int number = 0;
    for (std::string line; std::getline(lines, line); ++number) {
      Json one = parse_json(line, "results.jsonl");
      for (auto& [metric, score] : one["result"]["scores"].items())
        for (auto& [scoring, value] : score.items()) value = number < right ? 1.0 : 0.0;
      text += dump_json(one) + "\n";
    }
    write(name + "/results.jsonl", text);
    return (dir_ / name).string();
  }
};

TEST_F(Runs, ManyAgainstTheFirstAndFailIfWorse) {
  std::string base = made_run("base", 30), same = made_run("same", 29), worse = made_run("worse", 4);
  Outcome r = run({"eval", "diff", base, same, worse});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("not significant (n = 32)"), std::string::npos) << r.out;
  EXPECT_NE(r.out.find("worse"), std::string::npos) << r.out;
  EXPECT_EQ(r.out.find("noise"), std::string::npos) << r.out;
  Json json = run({"eval", "diff", base, same, worse, "--json"}).json();
  ASSERT_EQ(json["differences"].size(), 2u);
  EXPECT_EQ(json["differences"][1]["verdict"], "worse");
  Outcome failed = run({"eval", "diff", base, same, worse, "--fail-if-worse", "-q"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(failed.err, "longspan: " + worse + " is worse than " + base + "\n");
  EXPECT_EQ(run({"eval", "diff", base, same, "--fail-if-worse"}).status, 0);
  EXPECT_EQ(run({"eval", "diff", worse, base, "--fail-if-worse"}).status, 0);
  // 30 to 4 of 32 are 81 points.
  EXPECT_EQ(run({"eval", "diff", base, worse, "--fail-if-worse", "--threshold", "82"}).status, 0);
  EXPECT_EQ(run({"eval", "diff", base, worse, "--fail-if-worse", "--threshold", "80"}).status, 1);
  std::string page = (dir_ / "d.html").string();
  ASSERT_EQ(run({"eval", "diff", base, same, worse, "-o", page}).status, 0);
  EXPECT_TRUE(fs::exists(dir_ / "d-2.html"));
  EXPECT_TRUE(fs::exists(dir_ / "d-3.html"));
}

TEST_F(Eval, SeveralSuitesInOneCommand) {
  std::string first = suite(), second = write("again.toml", read_file(first)), model = tiny_model(1024);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{first, second, model}, {first + "," + second, model}}) {
    fs::remove_all(dir_ / "out");
    std::vector<std::string> command = {"eval"};
    command.insert(command.end(), words.begin(), words.end());
    command.insert(command.end(),
                   {"--data", dir_.string(), "--limit", "3", "--json", "-q", "-o", (dir_ / "out").string()});
    Outcome r = run(command);
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(std::count(r.out.begin(), r.out.end(), '\n'), 2) << r.out;
    EXPECT_TRUE(fs::exists(dir_ / "out" / "words" / "report.html"));
    EXPECT_TRUE(fs::exists(dir_ / "out" / "again" / "report.html"));
  }
  // A suite without its data does not stop the next one, but the command has failed.
  Outcome partly = run({"eval", "longbench", first, model, "--data", (dir_ / "words.jsonl").string(),
                        "--limit", "1", "-q", "-o", (dir_ / "partly").string()});
  EXPECT_EQ(partly.status, 1);
  EXPECT_NE(partly.err.find("longspan: longbench: "), std::string::npos) << partly.err;
  EXPECT_TRUE(fs::exists(dir_ / "partly" / "words" / "report.html"));
  // A slip of the pen is found before anything is run.
  EXPECT_EQ(run({"eval", first, "rular", model, "-o", (dir_ / "slip").string()}).status, 1);
  EXPECT_FALSE(fs::exists(dir_ / "slip"));
}

TEST_F(Eval, ListsAreShortAndDetailsAskedForByName) {
  Outcome all = run({"eval", "list"});
  ASSERT_EQ(all.status, 0) << all.err;
  size_t now = all.out.find("runs now\n"), later = all.out.find("needs data"),
         needle = all.out.find("  needle  "), longbench = all.out.find("  longbench  ");
  EXPECT_LT(now, needle);
  EXPECT_LT(needle, later);
  EXPECT_LT(later, longbench);
  ASSERT_NE(longbench, std::string::npos);
  std::istringstream lines(all.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 130u) << line;
  Json json = run({"eval", "list", "--json"}).json();
  EXPECT_EQ(std::count(all.out.begin(), all.out.end(), '\n'), static_cast<int>(json["suites"].size()) + 5);
  Outcome one = run({"eval", "list", "needle"});
  ASSERT_EQ(one.status, 0) << one.err;
  EXPECT_NE(one.out.find("dialects  chat, base"), std::string::npos) << one.out;
  EXPECT_NE(run({"eval", "list", "neddle"}).err.find("did you mean needle?"), std::string::npos);
}

TEST_F(Eval, ASuiteWithoutDataSaysSoInOneShortSentence) {
  Outcome r = run({"eval", "longbench", tiny_model(64)});
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(r.one_sentence()) << r.err;
  EXPECT_NE(r.err.find("narrativeqa, qasper, multifieldqa_en and 18 more: give the data with --data"),
            std::string::npos)
      << r.err;
  EXPECT_LT(r.err.size(), 400u) << r.err;
}

TEST_F(Eval, LengthsThatCannotHoldATaskAreLeftOutAndNamed) {
  // A token is a character here: RULER's smallest essay of 500 words needs about 3,000 of them.
  Outcome r =
      run({"eval", "ruler", tiny_model(8192), "--tasks", "niah_single_1,niah_single_2", "--lengths",
           "2048,8192", "--limit", "1", "--set", "new_tokens=2", "-o", (dir_ / "ruler").string(), "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("left out: niah_single_2 at length 2,048: not even its smallest text fits with 2 "
                       "tokens for the answer"),
            std::string::npos)
      << r.err;
  EXPECT_EQ(r.json()["cases"], 3);
}

}  // namespace
}  // namespace longspan
