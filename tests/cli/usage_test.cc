// Commands as people type them: typos, habits from other programs, help and version in every usual form,
// questions without quotes, pieces that can be read, and pipes.
#include "base/error_text.h"
#include "cli/program.h"
#include "cli/questions.h"

namespace longspan {
namespace {

class Usage : public ProgramTest {
 protected:
  /// The sentence of a wrong usage, without "longspan: ".
  std::string wrong(const std::vector<std::string>& arguments) {
    Outcome r = run(arguments);
    EXPECT_EQ(r.status, 2) << r.err;
    EXPECT_TRUE(r.one_sentence()) << r.err;
    return r.err.substr(std::min(r.err.size(), std::string("longspan: ").size()));
  }
  /// The sentence of a fault.
  std::string fault(const std::vector<std::string>& arguments) {
    Outcome r = run(arguments);
    EXPECT_EQ(r.status, 1) << r.err;
    EXPECT_TRUE(r.one_sentence()) << r.err;
    return r.err;
  }
};

TEST_F(Usage, ATypoOfACommandGetsTheNearestName) {
  EXPECT_EQ(wrong({"askk"}), "there is no command \"askk\" (did you mean ask?); see longspan --help\n");
  expect_says(wrong({"tokenise", "m", "x"}), "did you mean tokenize?");
  expect_says(wrong({"corpus", "stat", "x"}), "did you mean stats?");
  expect_says(wrong({"run", "m"}), "longspan chat");
  expect_says(wrong({"quantize", "m"}), "longspan convert");
  expect_says(wrong({"xyzzy"}), "there is no command \"xyzzy\"; see longspan --help");
}

TEST_F(Usage, ATypoOfAnOptionComesBeforeWhatIsMissing) {
  EXPECT_EQ(wrong({"ask", "m", "--fil", "report.txt", "Who?"}),
            "there is no option --fil (did you mean --file?); see longspan ask --help\n");
  expect_says(wrong({"compare", "m", "--method", "none"}), "did you mean --methods?");
  expect_says(wrong({"eval", "diff", "a", "b", "--treshold=3"}), "did you mean --threshold?);");
  expect_says(wrong({"score", "m", "--file", "x", "--depths", "5"}),
              "there is no option --depths; eval has one");
  expect_says(wrong({"info", "m", "--zzzzzz"}), "there is no option --zzzzzz; see longspan info --help");
}

TEST_F(Usage, HabitsFromOtherProgramsGetAHint) {
  expect_says(wrong({"ask", "m", "-f", "x", "-c", "4096", "Who?"}), "--context N");
  expect_says(wrong({"ask", "m", "-f", "x", "--ctx-size=4096", "Who?"}), "--context N");
  expect_says(wrong({"score", "m", "-f", "x", "--rope-scaling", "yarn"}), "--position yarn:factor=4");
  expect_says(wrong({"ask", "m", "-f", "x", "-ngl", "99", "Who?"}), "--device");
  expect_says(wrong({"generate", "-m", "x.gguf", "-p", "a"}), "first word after the command");
}

TEST_F(Usage, ATypoOfAValueGetsTheNearestName) {
  std::string model = tiny_model(64), text = write("text", "a dog");
  expect_says(wrong({"score", "m", "--file", "x", "--truncate", "midle"}), "did you mean middle?");
  expect_says(wrong({"score", "m", "--file", "x", "--cache-type", "f15"}), "did you mean f16?");
  expect_says(fault({"eval", "rular", model}), "there is no suite rular (did you mean ruler?)");
  expect_says(fault({"eval", "ruler", model, "--tasks", "niah_singel_1"}), "did you mean niah_single_1?");
  expect_says(fault({"score", model, "--file", text, "--position", "yarm:factor=2"}), "did you mean yarn?");
  expect_says(fault({"score", model, "--file", text, "--position", "yarn:facter=2"}), "did you mean factor?");
  expect_says(fault({"score", model, "--file", text, "--kernels", "avx22"}), "did you mean avx2?");
  std::string recipe = "model = \"m\"\n[trained]\nlora_rankk = 8\n[[stage]]\nlength = 64\n";
  expect_says(fault({"train", write("r.toml", recipe)}), "lora_rankk is unknown (did you mean lora_rank?)");
}

TEST_F(Usage, AnOptionThatStandsInNoHelpIsNamedWhereItsValueIsWrong) {
  for (const char* option : {"--evict", "--attention", "--weights", "--chunk"})
    EXPECT_TRUE(
        wrong({"ask", "m", "--file", "f", "Who?", option, "zz"}).starts_with(std::string(option) + ": "))
        << option;
}

TEST_F(Usage, HelpAndVersionInEveryUsualForm) {
  Outcome help = run({"--help"}), ask = run({"ask", "--help"});
  ASSERT_EQ(help.status, 0);
  EXPECT_EQ(run({"help"}).out, help.out);
  EXPECT_EQ(run({"help", "ask"}).out, ask.out);
  EXPECT_EQ(run({"ask", "help"}).out, ask.out);
  EXPECT_EQ(run({"help", "eval", "diff"}).out, run({"eval", "diff", "--help"}).out);
  expect_says(wrong({"help", "askk"}), "did you mean ask?");
  Outcome version = run({"--version"});
  ASSERT_EQ(version.status, 0);
  EXPECT_EQ(version.out.find_first_not_of("0123456789.\n"), std::string::npos) << version.out;
  for (const std::vector<std::string>& form :
       {std::vector<std::string>{"version"}, {"-V"}, {"ask", "--version"}, {"ask", "-V"}})
    EXPECT_EQ(run(form).out, version.out);
  EXPECT_EQ(help.out.find("reference"), std::string::npos) << "reference is for packagers";
}

TEST(Questions, WordsWithoutQuotesAreOneQuestion) {
  using Strings = std::vector<std::string>;
  using cli::typed_questions;
  EXPECT_EQ(typed_questions({"Who", "wrote", "it"}, {}), Strings{"Who wrote it"});
  EXPECT_EQ(typed_questions({"Who", "wrote", "it?"}, {}), Strings{"Who wrote it?"});
  EXPECT_EQ(typed_questions({"Who", "wrote", "War and Peace"}, {}), Strings{"Who wrote War and Peace"});
  EXPECT_EQ(typed_questions({"Who wrote it?"}, {}), Strings{"Who wrote it?"});
  EXPECT_EQ(typed_questions({"Who"}, {}), Strings{"Who"});
  EXPECT_EQ(typed_questions({"Who wrote it", "When was that"}, {}),
            (Strings{"Who wrote it", "When was that"}));
  EXPECT_EQ(typed_questions({"Who wrote it?", "Why?"}, {}), (Strings{"Who wrote it?", "Why?"}));
  EXPECT_EQ(typed_questions({"谁写的？", "为什么？"}, {}), (Strings{"谁写的？", "为什么？"}));
  EXPECT_EQ(typed_questions({}, {"Who", "Why"}), (Strings{"Who", "Why"}));
  EXPECT_EQ(typed_questions({"Who", "wrote", "it"}, {"Why"}), (Strings{"Who wrote it", "Why"}));
}

TEST_F(Usage, AskTakesAQuestionWithoutQuotesAndSeveralByQ) {
  std::string model = tiny_model(512), text = write("text", "the quick brown fox jumps.");
  Outcome one = run({"ask", model, "--file", text, "-n", "2", "--json", "who", "jumps"});
  ASSERT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(one.json()["question"], "who jumps");
  expect_says(one.err, "one question: \"who jumps\"");
  Outcome two = run({"ask", model, "--file", text, "-n", "2", "--json", "-Q", "who", "-Q", "what is it"});
  ASSERT_EQ(two.status, 0) << two.err;
  EXPECT_EQ(std::count(two.out.begin(), two.out.end(), '\n'), 2);
  expect_says(two.out, "\"question\":\"what is it\"");
  EXPECT_EQ(run({"ask", model, "--file", text}).status, 2);
}

TEST_F(Usage, PiecesCanBeRead) {
  std::string model = tiny_model(64);
  Outcome r = run({"tokenize", model, "a dog\n", "-q"});
  ASSERT_EQ(r.status, 0) << r.err;
  expect_says(r.out, "  \" \"\n");
  expect_says(r.out, "  \"\\n\"\n");
  EXPECT_EQ(r.out.find("Ġ"), std::string::npos) << r.out;
  expect_says(run({"tokenize", model, "a"}).err, "1 token\n");
}

TEST_F(Usage, IdsGoThroughAPipeAndBack) {
  std::string model = tiny_model(64);
  Outcome ids = run({"tokenize", model, "-", "--ids", "-q"}, "a lazy dog.");
  ASSERT_EQ(ids.status, 0) << ids.err;
  EXPECT_EQ(ids.out.find_first_not_of("0123456789 \n"), std::string::npos) << ids.out;
  EXPECT_EQ(run({"detokenize", model}, ids.out).out, "a lazy dog.\n");
  EXPECT_EQ(run({"detokenize", model, "-"}, ids.out).out, "a lazy dog.\n");
  Outcome json = run({"tokenize", model, "a lazy dog.", "--json"});
  EXPECT_EQ(run({"detokenize", model}, json.out).out, "a lazy dog.\n");
  EXPECT_EQ(run({"detokenize", model}, dump_json(json.json()["ids"])).out, "a lazy dog.\n");
  std::string commas = ids.out;
  std::replace(commas.begin(), commas.end(), ' ', ',');
  EXPECT_EQ(run({"detokenize", model}, commas).out, "a lazy dog.\n");
  EXPECT_EQ(run({"detokenize", model, commas}).out, "a lazy dog.\n");
  expect_says(run({"detokenize", model}, "12 dog").err, "\"dog\" is not an id");
  EXPECT_EQ(run({"detokenize", model}, "12 dog").status, 1);
  EXPECT_EQ(run({"detokenize", model}, "99999999999999").status, 1);
}

TEST_F(Usage, SamplingDrawsASeedAndTellsIt) {
  std::string model = tiny_model(256);
  std::vector<std::string> command = {"generate", model,           "--prompt", "the dog", "-n",
                                      "24",       "--temperature", "1",        "--json"};
  Outcome first = run(command), second = run(command);
  ASSERT_EQ(first.status, 0) << first.err;
  size_t at = first.err.find("--seed ");
  ASSERT_NE(at, std::string::npos) << first.err;
  EXPECT_NE(first.err, second.err) << "another seed";
  command.insert(command.end(), {"--seed", std::to_string(std::stoull(first.err.substr(at + 7)))});
  EXPECT_EQ(run(command).json()["ids"], first.json()["ids"]);
  EXPECT_EQ(run(command).err.find("--seed"), std::string::npos) << "a given seed is not told again";
  EXPECT_EQ(run({"generate", model, "--prompt", "the dog", "-n", "2", "-q"}).err, "") << "greedy needs none";
}

TEST_F(Usage, InfoTellsNameFormatAndTypes) {
  Outcome r = run({"info", tiny_model(64)});
  ASSERT_EQ(r.status, 0) << r.err;
  expect_says(r.out, "name                  tiny64\n");
  expect_says(r.out, "format                Hugging Face directory\n");
  expect_says(r.out, "weights               F32\n");
  EXPECT_EQ(r.out.find("memory_to_score"), std::string::npos) << r.out;
}

TEST_F(Usage, AMethodThatDoesNotStretchIsNotToldToTakeALargerFactor) {
  std::string corpus = write("text.jsonl", "{\"text\": \"a dog\"}\n");
  std::string recipe = "model = " + dump_json(tiny_model(64)) +
                       "\n[trained]\nall = true\n[[stage]]\nlength = 256\nsteps = 1\nlr = 1e-3\n"
                       "[[stage.text]]\nfiles = " +
                       dump_json(corpus) + "\n";
  std::string said = fault({"train", write("r.toml", recipe), "-q"});
  expect_says(said, "choose a method that stretches them, such as yarn");
}

}  // namespace
}  // namespace longspan
