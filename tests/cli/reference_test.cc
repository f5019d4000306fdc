// What the program says about itself is what it does: the committed reference, the environment, the
// completions.
#include "cli/reference.h"

#include <fmt/ranges.h>

#include <regex>
#include <set>

#include "cli/program.h"

namespace longspan {
namespace {

using namespace cli;

std::vector<CommandText> texts() {
  static const Program program = make_program();
  return command_texts(*program.app);
}

TEST(Reference, TheCommittedFileIsWhatTheProgramWrites) {
  EXPECT_TRUE(read_file(fs::path(LONGSPAN_SOURCE) / "docs" / "reference.md") == reference_markdown(texts()))
      << "docs/reference.md is not what the program says; `make reference` writes it";
}

TEST(Reference, EveryVariableThatTheSourcesReadIsNamed) {
  std::set<std::string> read, named;
  for (const EnvironmentVariable& v : environment_variables()) named.insert(v.name);
  const std::regex call("(?:getenv|env)\\(\"([A-Z_]+)\"\\)");
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(LONGSPAN_SOURCE) / "src")) {
    if (entry.path().extension() != ".cc") continue;
    std::string text = read_file(entry.path());
    for (std::sregex_iterator at(text.begin(), text.end(), call), end; at != end; ++at) read.insert((*at)[1]);
  }
  EXPECT_TRUE(read.contains("LONGSPAN_CACHE"));
  for (const std::string& name : read) EXPECT_TRUE(named.contains(name)) << name;
}

TEST(Reference, ManPagesNameEveryOption) {
  for (const CommandText& command : texts()) {
    std::string page = man_page(command);
    EXPECT_TRUE(page.starts_with(".TH ")) << command.name;
    for (const OptionText& o : command.options) {
      std::string name = std::regex_replace(o.names.back(), std::regex("-"), "\\-");
      EXPECT_NE(page.find("\\fB" + name + "\\fR"), std::string::npos) << command.name << " " << name;
    }
  }
  EXPECT_NE(man_page(texts()).find("\\fBLONGSPAN_CACHE\\fR"), std::string::npos);
}

class Completion : public ProgramTest {
 protected:
  /// What bash offers for the last of these words.
  std::set<std::string> offered(const std::vector<std::string>& words) {
    std::string line;
    for (const std::string& word : words) line += " " + quoted(word);
    std::string script = write("longspan.bash", bash_completion(texts()));
    std::string test = write("test.bash", "source " + quoted(script) + "\nCOMP_WORDS=(longspan" + line +
                                              ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_longspan\n"
                                              "printf '%s\\n' \"${COMPREPLY[@]}\"\n");
    std::string command = "cd " + quoted(dir_.string()) + " && bash " + quoted(test) + " > words 2> errors";
    EXPECT_EQ(std::system(command.c_str()), 0);
    EXPECT_EQ(read_file(dir_ / "errors"), "");
    std::istringstream lines(read_file(dir_ / "words"));
    std::set<std::string> all;
    for (std::string one; std::getline(lines, one);) all.insert(one);
    return all;
  }
};

TEST_F(Completion, OffersCommandsOptionsWordsAndFiles) {
  using Words = std::set<std::string>;
  write("smooth.txt", "");
  EXPECT_EQ(offered({"tok"}), Words{"tokenize"});
  EXPECT_EQ(offered({"score", "--tru"}), Words{"--truncate"});
  EXPECT_EQ(offered({"score", "--truncate", ""}), (Words{"left", "middle", "right"}));
  EXPECT_EQ(offered({"score", "smo"}), (Words{"smollm2", "smooth.txt"}));
  EXPECT_EQ(offered({"score", "--file", "smo"}), Words{"smooth.txt"});
  EXPECT_EQ(offered({"score", "smollm2", "--position", "yar"}), Words{"yarn"});
  EXPECT_EQ(offered({"eval", "longb"}), (Words{"longbench", "longbench2"}));
  EXPECT_EQ(offered({"eval", "di"}), Words{"diff"});
  EXPECT_EQ(offered({"eval", "diff", "--fail"}), Words{"--fail-if-worse"});
  EXPECT_EQ(offered({"corpus", "stats", "--str"}), Words{"--strict"});
  EXPECT_EQ(offered({"help", "as"}), Words{"ask"});
}

}  // namespace
}  // namespace longspan
