#include "cli/reference.h"

#include <fmt/ranges.h>

#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "cli/usage.h"
#include "position/position.h"
#include "suites/suite.h"

namespace longspan::cli {

namespace {

/// CLI11's types as people read them.
std::string value_name(const CLI::Option& option) {
  std::string type = option.get_type_name();
  if (type.find("FLOAT") != type.npos) return "X";
  if (type.find("INT") != type.npos) return "N";
  return "TEXT";
}

/// The words that the option's validator (one_of) takes.
std::vector<std::string> choices_of(const CLI::Option& option) {
  std::vector<std::string> words;
  try {
    std::string all = const_cast<CLI::Option&>(option).get_validator(0)->get_name(), word;
    for (char c : all + " ") {
      if (c != ' ') {
        word += c;
      } else if (!word.empty()) {
        words.push_back(std::move(word));
        word.clear();
      }
    }
  } catch (const CLI::OptionNotFound&) {
  }
  return words;
}

OptionText option_text(const CLI::Option& option) {
  OptionText text;
  if (option.get_positional()) {
    text.names = {option.get_name(true)};
  } else {
    for (const std::string& name : option.get_snames()) text.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) text.names.push_back("--" + name);
  }
  if (option.get_items_expected_max() > 0) text.value = value_name(option);
  text.what = option.get_description();
  text.choices = choices_of(option);
  text.required = option.get_required();
  text.repeated = option.get_items_expected_max() > 1;
  return text;
}

CommandText command_text(const CLI::App& app, const std::string& name) {
  CommandText text;
  text.name = name;
  text.what = app.get_description();
  text.notes = app.get_footer();
  for (const CLI::Option* option : app.get_options())
    (option->get_positional() ? text.arguments : text.options).push_back(option_text(*option));
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App* a) { return !a->get_group().empty(); }))
    text.inner.push_back(command_text(*sub, name.empty() ? sub->get_name() : name + " " + sub->get_name()));
  return text;
}

std::string markdown_cell(const std::string& text) { return replaced(text, "|", "\\|"); }

std::string markdown_options(const CommandText& command) {
  std::string out = "\n| | |\n| --- | --- |\n";
  auto row = [&](const OptionText& o, bool argument) {
    std::string value = argument || o.value.empty() ? "" : " " + o.value;
    out += fmt::format("| `{}{}` | {}{} |\n", fmt::join(o.names, "`, `"), value, markdown_cell(o.what),
                       o.required && !argument ? " (required)" : "");
  };
  for (const OptionText& o : command.arguments) row(o, true);
  for (const OptionText& o : command.options) row(o, false);
  return out;
}

std::string markdown_command(const CommandText& command, const std::string& head) {
  std::string out = fmt::format("\n{} longspan {}\n\n{}\n\n```\n{}\n```\n", head, command.name, command.what,
                                synopsis(command));
  out += markdown_options(command);
  if (!command.notes.empty()) out += fmt::format("\n```\n{}\n```\n", command.notes);
  for (const CommandText& inner : command.inner) out += markdown_command(inner, head + "#");
  return out;
}

// ---- man pages

/// Running text in roff: hyphens stay hyphens, and no line begins with a request.
std::string roff(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if ((c == '.' || c == '\'') && (i == 0 || text[i - 1] == '\n')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string man_head(const std::string& name) {
  std::string upper = name;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return fmt::format(".TH {} 1 \"\" \"longspan {}\" \"User Commands\"\n", roff(upper), LONGSPAN_VERSION);
}

std::string man_options(const CommandText& command) {
  std::string out;
  for (const auto* list : {&command.arguments, &command.options})
    for (const OptionText& o : *list) {
      std::vector<std::string> names;
      for (const std::string& name : o.names) names.push_back("\\fB" + roff(name) + "\\fR");
      bool shown = list == &command.options && !o.value.empty();
      out += fmt::format(".TP\n{}{}\n{}\n", fmt::join(names, ", "), shown ? " \\fI" + o.value + "\\fR" : "",
                         roff(o.what.empty() ? "see above" : o.what));
    }
  return out;
}

std::string man_notes(const std::string& notes) { return ".nf\n" + roff(notes) + "\n.fi\n"; }

std::string man_environment() {
  std::string out = ".SH ENVIRONMENT\n";
  for (const EnvironmentVariable& v : environment_variables())
    out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", v.name, roff(v.what));
  return out;
}

constexpr const char* kExitText[][2] = {
    {"0", "done"},
    {"1", "the user or the outside world is at fault; one sentence on standard error says how"},
    {"2", "wrong usage"},
    {"130", "stopped by Ctrl-C; what was made until then is printed or kept"}};

// ---- the command

struct ReferenceOptions {
  std::string kind, folder;
};

void write_all(const std::vector<CommandText>& commands, const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  fs::create_directories(folder / "man1");
  write_file_atomic(folder / "reference.md", reference_markdown(commands));
  write_file_atomic(folder / "man1" / "longspan.1", man_page(commands));
  for (const CommandText& command : commands)
    write_file_atomic(folder / "man1" / ("longspan-" + command.name + ".1"), man_page(command));
  write_file_atomic(folder / "longspan.bash", bash_completion(commands));
  write_file_atomic(folder / "_longspan", zsh_completion(commands));
  write_file_atomic(folder / "longspan.fish", fish_completion(commands));
}

int reference(const ReferenceOptions& o) {
  const Program program = make_program();
  const std::vector<CommandText> commands = command_texts(*program.app);
  if (o.kind == "all") {
    if (o.folder.empty()) fail("reference all: name the folder to write to");
    write_all(commands, o.folder);
    return kExitDone;
  }
  if (o.kind == "markdown") print_now(reference_markdown(commands));
  if (o.kind == "man") print_now(man_page(commands));
  if (o.kind == "bash") print_now(bash_completion(commands));
  if (o.kind == "zsh") print_now(zsh_completion(commands));
  if (o.kind == "fish") print_now(fish_completion(commands));
  return kExitDone;
}

}  // namespace

std::vector<EnvironmentVariable> environment_variables() {
  return {
      {"LONGSPAN_CACHE", "the folder of fetched models and kept texts"},
      {"PATH", "the folders in which gnuplot is looked for, which draws the charts of reports"},
      {"XDG_CACHE_HOME", "without LONGSPAN_CACHE the cache is the folder longspan in here; default ~/.cache"},
      {"XDG_CONFIG_HOME",
       "the folder of longspan/sources.toml, the list of models to fetch; default ~/.config"},
      {"HOME", "without the two above the cache is ~/.cache/longspan"},
      {"LONGSPAN_KERNELS",
       "the implementation that computes on the processor, as --kernels does; default the best"},
      {"LONGSPAN_JIEBA", "folder of another dictionary of jieba's, for Chinese scores, as --jieba does"},
      {"OPENAI_API_KEY", "sent to the server of eval --endpoint"},
      {"OMP_NUM_THREADS", "not read: --threads is what counts, default the physical cores"},
      {"OMP_WAIT_POLICY",
       "how waiting threads wait (libgomp); without it and GOMP_SPINCOUNT they spin shortly"},
      {"GOMP_SPINCOUNT", "how long waiting threads spin before they sleep (libgomp)"},
      {"NO_COLOR", "nothing to do: no output has colours"},
  };
}

std::vector<CommandText> command_texts(const CLI::App& app) { return command_text(app, "").inner; }

std::string synopsis(const CommandText& command) {
  std::string out = "longspan " + command.name;
  for (const OptionText& o : command.options)
    if (o.required) out += fmt::format(" {} {}", o.names.back(), o.value);
  out += " [OPTIONS]";
  for (const OptionText& o : command.arguments) {
    std::string name = o.names.front() + (o.repeated ? "..." : "");
    out += o.required ? " " + name : " [" + name + "]";
  }
  return out;
}

std::string reference_markdown(const std::vector<CommandText>& commands) {
  std::string out =
      "# Reference\n\nEvery command, option and environment variable. This file is written by `longspan "
      "reference "
      "markdown`\nfrom the parser itself, and a test holds it to that: change the program, not this file. "
      "Lists of "
      "names that change with\nthe program: `longspan methods`, `longspan eval list`.\n\n| | |\n| --- | --- "
      "|\n";
  for (const CommandText& command : commands)
    out += fmt::format("| [`{}`](#longspan-{}) | {} |\n", command.name, command.name,
                       markdown_cell(command.what));
  for (const CommandText& command : commands) out += markdown_command(command, "##");
  out += "\n## Environment\n\n| | |\n| --- | --- |\n";
  for (const EnvironmentVariable& v : environment_variables())
    out += fmt::format("| `{}` | {} |\n", v.name, v.what);
  out += "\n## Exit status\n\n| | |\n| --- | --- |\n";
  for (const auto& [status, what] : kExitText) out += fmt::format("| {} | {} |\n", status, what);
  return out;
}

std::string man_page(const std::vector<CommandText>& commands) {
  std::string out = man_head("longspan");
  out += ".SH NAME\nlongspan \\- long context for open models on your own machine\n";
  out += ".SH SYNOPSIS\n\\fBlongspan\\fR \\fICOMMAND\\fR [\\fIMODEL\\fR] [\\fIOPTIONS\\fR]\n";
  out +=
      ".SH DESCRIPTION\nAnswers questions about long documents with open language models, stretches their "
      "windows,\n"
      "measures what that is worth, and trains the longer window. MODEL is a GGUF file, a Hugging Face\n"
      "directory, or a name that \\fBlongspan fetch\\fR knows (smollm2). Each command has a page of its "
      "own:\n"
      "\\fBman longspan\\-ask\\fR.\n";
  out += ".SH COMMANDS\n";
  for (const CommandText& command : commands)
    out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(command.name), roff(command.what));
  out += man_environment() + ".SH EXIT STATUS\n";
  for (const auto& [status, what] : kExitText) out += fmt::format(".TP\n{}\n{}\n", status, roff(what));
  out +=
      ".SH EXAMPLES\n.nf\nlongspan fetch smollm2\nlongspan ask smollm2 \\-\\-file report.pdf \"Who wrote "
      "it?\"\n.fi\n";
  return out;
}

std::string man_page(const CommandText& command) {
  std::string name = "longspan-" + command.name, out = man_head(name);
  out += fmt::format(".SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.nf\n{}\n", roff(name), roff(command.what),
                     roff(synopsis(command)));
  for (const CommandText& inner : command.inner) out += roff(synopsis(inner)) + "\n";
  out += ".fi\n.SH OPTIONS\n" + man_options(command);
  for (const CommandText& inner : command.inner)
    out += fmt::format(".SS longspan {}\n{}\n", roff(inner.name), roff(inner.what)) + man_options(inner);
  if (!command.notes.empty()) out += ".SH NOTES\n" + man_notes(command.notes);
  return out + man_environment() + ".SH SEE ALSO\n\\fBlongspan\\fR(1)\n";
}

Run define_reference(CLI::App& app) {
  auto o = std::make_shared<ReferenceOptions>();
  app.add_option("KIND", o->kind, "markdown, man, bash, zsh, fish; all writes everything to FOLDER")
      ->required()
      ->transform(one_of({"markdown", "man", "bash", "zsh", "fish", "all"}));
  app.add_option("FOLDER", o->folder, "where all goes");
  return [o] { return reference(*o); };
}

}  // namespace longspan::cli
