// What scripts rely on: the names of commands and options, and help that can be read at a glance.
#include "cli/commands.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <sstream>

namespace longspan::cli {

namespace {

const std::string kOutput = " --json --quiet";
const std::string kEngine =
    " --adapter --cache-type --chunk --compute --device --kernels --position --seed --threads";
const std::string kSampling = " --min-p --repetition-penalty --stop --temperature --top-k --top-p";
const std::string kCache = " --cache --cache-size --no-cache";
const std::string kWindow = " --context --truncate";

/// Names may be added, never taken away or changed.
const std::map<std::string, std::string> kFrozen = {
    {"fetch", "NAME --from" + kOutput},
    {"info", "MODEL --context" + kEngine + kOutput},
    {"methods", kOutput},
    {"frequencies", "MODEL --length --position" + kOutput},
    {"plan", "MODEL --to --gpu-fraction --gpu-tflops" + kEngine + kOutput},
    {"tokenize", "MODEL TEXT --file --no-special" + kOutput},
    {"detokenize", "MODEL IDS --no-special" + kOutput},
    {"score", "MODEL --file --from --length" + kWindow + kEngine + kOutput},
    {"generate", "MODEL --file --prompt -n" + kSampling + kWindow + kEngine + kOutput},
    {"ask", "MODEL QUESTION --chat-template --file --questions --system -n" + kCache + kSampling + kWindow +
                kEngine + kOutput},
    {"chat", "MODEL --chat-template --file --system -n" + kCache + kSampling + kWindow + kEngine + kOutput},
    {"corpus", ""},
    {"compare",
     "MODEL --chat-template --file --lengths --methods --passkeys --tail --windows -o" + kEngine + kOutput},
    {"bench", "MODEL -d -n -p -r" + kEngine + kOutput},
    {"merge", "MODEL ADAPTER -o --threads --to --type" + kOutput},
    {"train", "RECIPE --check --device --resume --set --threads" + kOutput},
};

TEST(Commands, NamesStay) {
  for (const auto& [name, options] : kFrozen) {
    auto row =
        std::find_if(commands().begin(), commands().end(), [&](const Command& c) { return c.name == name; });
    ASSERT_NE(row, commands().end()) << name;
    CLI::App app;
    row->define(app);
    std::istringstream words(options);
    for (std::string option; words >> option;)
      EXPECT_NE(app.get_option_no_throw(option), nullptr) << name << " " << option;
  }
}

TEST(Commands, HelpFitsAScreenAndHasAnExample) {
  for (const Command& command : commands()) {
    CLI::App app;
    command.define(app);
    std::string help = app.help();
    EXPECT_LE(std::count(help.begin(), help.end(), '\n'), 40) << command.name;
    EXPECT_TRUE(std::string(command.example).starts_with("longspan " + std::string(command.name)))
        << command.example;
    std::istringstream lines(help);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 110u) << line;
  }
}

}  // namespace

}  // namespace longspan::cli
