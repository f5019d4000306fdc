// What people give as text, through every command: marks, line ends, encodings, several files, and files that
// hold no text.
#include "cli/program.h"

namespace longspan {
namespace {

class Texts : public ProgramTest {
 protected:
  /// The ids of a file, and the remarks.
  Json ids(const std::vector<std::string>& options, std::string* remarks = nullptr) {
    std::vector<std::string> arguments = {"tokenize", tiny_model(512), "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    if (remarks) *remarks = outcome.err;
    return outcome.status == 0 ? outcome.json()["ids"] : Json();
  }

  /// Every command that reads a text, with FILE for its name.
  std::vector<std::vector<std::string>> commands() {
    std::string m = tiny_model(512);
    return {{"ask", m, "-f", "FILE", "who?", "-n", "1", "--json"},
            {"chat", m, "-f", "FILE", "-n", "1", "--json"},
            {"score", m, "-f", "FILE", "--json"},
            {"generate", m, "-f", "FILE", "-n", "1", "--json"},
            {"tokenize", m, "-f", "FILE", "--json"},
            {"attention", m, "-f", "FILE", "--json"},
            {"compare", m, "-f", "FILE", "--methods", "none", "--lengths", "16", "--passkeys", "0", "--tail",
             "4", "--json"},
            {"corpus", "stats", "--model", m, "FILE", "--strict", "--json"},
            {"eval", "needle", m, "--haystack", "FILE", "--lengths", "256", "--limit", "1", "-o",
             (dir_ / "run").string(), "--json"}};
  }
  Outcome run_on(std::vector<std::string> command, const std::string& file) {
    for (std::string& word : command)
      if (word == "FILE") word = file;
    fs::remove_all(dir_ / "run");
    return run(command, "who?\n");
  }
};

TEST_F(Texts, MarksLineEndsAndEncodingsDoNotCount) {
  const std::string text = "the lamp was lit.\nwho lit it?\n";
  Json want = ids({"-f", write("plain.txt", text)});
  EXPECT_EQ(ids({"-f", write("crlf.txt", "\xEF\xBB\xBFthe lamp was lit.\r\nwho lit it?\r\n")}), want);
  EXPECT_EQ(ids({"-f", write("cr.txt", "the lamp was lit.\rwho lit it?\r")}), want);
  std::string wide, remarks;
  for (char c : text) wide += std::string(1, c) + '\0';
  std::string file = write("wide.txt", wide);
  EXPECT_EQ(ids({"-f", file}, &remarks), want);
  EXPECT_EQ(remarks, file + ": is read as UTF-16LE; --encoding NAME if that is wrong\n");
  EXPECT_EQ(ids({"-f", file, "--encoding", "utf-16"}, &remarks), want);
  EXPECT_EQ(remarks, "");
  Outcome wrong = run({"tokenize", tiny_model(512), "-f", file, "--encoding", "klingon"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_TRUE(wrong.one_sentence()) << wrong.err;
}

TEST_F(Texts, SeveralFilesInOrder) {
  std::string one = write("one.txt", "first\n"), two = write("two.txt", "second\n");
  Json want = ids({"-f", write("all", "[file: two.txt]\n\nsecond\n\n[file: one.txt]\n\nfirst\n")});
  EXPECT_EQ(ids({"-f", two, "-f", one}), want);
  EXPECT_EQ(ids({"-f", one, "-f", one}),
            ids({"-f", write("same", "[file: " + one + "]\n\nfirst\n\n[file: " + one + "]\n\nfirst\n")}));
}

TEST_F(Texts, EveryCommandReadsADocumentAndRefusesAPicture) {
  const fs::path golden = fs::path(LONGSPAN_GOLDEN) / "documents";
  std::string page = "<html><body><script>no</script>";
  for (int i = 0; i < 8; ++i) page += "<p>the keeper lit the lamp, and the lamp was seen.</p>";
  std::string html = write("page.html", page), picture = (golden / "picture.png").string();
  std::string mixed = write("mixed.txt", "caf\xc3\xa9 caf\xc3\xa9 caf\xe9");
  for (const auto& command : commands()) {
    SCOPED_TRACE(command[0]);
    if (command[0] != "corpus") {
      Outcome read = run_on(command, html);
      EXPECT_TRUE(read.status == 0 || command[0] == "eval") << read.err;
      EXPECT_EQ(read.err.find("script"), std::string::npos) << read.err;
    }
    Outcome refused = run_on(command, picture);
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find(picture + ": is a PNG image; run OCR over it first (tesseract, ocrmypdf)"),
              std::string::npos)
        << refused.err;
    refused = run_on(command, mixed);
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find(mixed +
                               ": is UTF-8, but not at byte 15 (0xe9); repair it, or name the encoding with "
                               "--encoding"),
              std::string::npos)
        << refused.err;
  }
}

TEST_F(Texts, ChatTakesLinesOfWindows) {
  Outcome lf = run({"chat", tiny_model(512), "-n", "1", "--json"}, "how much?\n/exit\n");
  Outcome crlf = run({"chat", tiny_model(512), "-n", "1", "--json"}, "how much?\r\n/exit\r\n");
  ASSERT_EQ(lf.status, 0) << lf.err;
  ASSERT_EQ(crlf.status, 0) << crlf.err;
  EXPECT_EQ(crlf.json()["prompt_tokens"], lf.json()["prompt_tokens"]);
  EXPECT_EQ(crlf.err.find("no command"), std::string::npos) << crlf.err;
}

TEST_F(Texts, LinesOfJsonUnderEveryUsualName) {
  const std::string lines = "{\"text\": \"the lamp\"}\n{\"text\": \"was lit.\"}\n";
  for (const char* name : {"set/a.jsonl", "set/b.ndjson", "set/c.json", "set/d.JSONL"}) {
    fs::create_directories(dir_ / "set");
    Outcome outcome = run({"corpus", "stats", "--model", tiny_model(512), write(name, lines), "--json"});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.json()["all"]["documents"], 2) << name;
  }
  write("set/README.md", "about");
  Outcome folder = run({"corpus", "stats", "--model", tiny_model(512), (dir_ / "set").string(), "--json"});
  ASSERT_EQ(folder.status, 0) << folder.err;
  EXPECT_EQ(folder.json()["all"]["documents"], 8);
  EXPECT_NE(
      folder.err.find("4 files are read (a.jsonl, b.ndjson, c.json, d.JSONL), 1 file is left: README.md"),
      std::string::npos)
      << folder.err;
}

}  // namespace
}  // namespace longspan
