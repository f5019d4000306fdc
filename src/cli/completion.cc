// Completions for bash, zsh and fish. They complete commands, options, words that an option takes, names of
// suites, methods and fetched models, and files everywhere else.
#include <fmt/ranges.h>

#include <algorithm>

#include "base/text.h"
#include "cli/model_sources.h"
#include "cli/reference.h"
#include "model/kv_pool.h"
#include "position/position.h"
#include "suites/suite.h"

namespace longspan::cli {

namespace {

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const PositionMethod& method : position_methods()) names.push_back(method.name);
  return names;
}

/// Of "f32, f16, bf16".
std::vector<std::string> cache_types() {
  std::vector<std::string> names(1);
  for (char c : cache_type_names())
    if (c == ',')
      names.emplace_back();
    else if (c != ' ')
      names.back() += c;
  return names;
}

std::vector<std::string> fetched_names() {
  std::vector<std::string> names;
  for (const ModelSource& source : model_sources()) names.push_back(source.name);
  return names;
}

/// The words that an option takes; none: files.
std::vector<std::string> words_of(const OptionText& o) {
  if (!o.choices.empty()) return o.choices;
  const std::string& name = o.names.back();
  if (name == "--position" || name == "--methods") return method_names();
  if (name == "--cache-type") return cache_types();
  if (name == "--device") return {"cpu", "cuda"};
  if (name == "SUITE") return suite_names();
  if (name == "MODEL" || name == "--model" || name == "NAME") return fetched_names();
  return {};
}

std::vector<std::string> names_of(const std::vector<CommandText>& commands) {
  std::vector<std::string> names;
  for (const CommandText& command : commands)
    names.push_back(command.name.substr(command.name.rfind(' ') + 1));
  return names;
}

std::vector<std::string> option_names(const CommandText& command) {
  std::vector<std::string> names;
  for (const OptionText& o : command.options) names.insert(names.end(), o.names.begin(), o.names.end());
  return names;
}

/// What may stand where no option stands: inner commands, and the words of all arguments.
std::vector<std::string> argument_words(const CommandText& command) {
  std::vector<std::string> words = names_of(command.inner);
  for (const OptionText& o : command.arguments)
    for (const std::string& word : words_of(o)) words.push_back(word);
  return words;
}

/// "eval" and "eval diff" alike.
std::vector<const CommandText*> with_inner(const std::vector<CommandText>& commands) {
  std::vector<const CommandText*> all;
  for (const CommandText& command : commands) {
    for (const CommandText& inner : command.inner) all.push_back(&inner);
    all.push_back(&command);
  }
  return all;
}

std::string shell_quoted(const std::string& text) { return "'" + replaced(text, "'", "'\\''") + "'"; }

/// A description in zsh's _arguments: brackets and colons would end it.
std::string zsh_text(const std::string& text) {
  return replaced(replaced(replaced(replaced(text, "\\", ""), "[", "("), "]", ")"), ":", "\\:");
}

std::string zsh_values(const OptionText& o) {
  auto words = words_of(o);
  return words.empty() ? "_files" : fmt::format("({})", fmt::join(words, " "));
}

std::string zsh_option(const OptionText& o) {
  std::string out;
  for (const std::string& name : o.names) {
    std::string text = fmt::format("{}{}[{}]", o.repeated ? "*" : "", name, zsh_text(o.what));
    if (!o.value.empty()) text += fmt::format(":{}:{}", o.value, zsh_values(o));
    out += " \\\n        " + shell_quoted(text);
  }
  return out;
}

std::string zsh_arguments(const CommandText& command) {
  std::string out = "      _arguments -s";
  for (const OptionText& o : command.options) out += zsh_option(o);
  if (command.inner.empty()) {
    for (const OptionText& o : command.arguments) {
      std::vector<std::string> words = words_of(o);
      std::string action =
          words.empty() ? "_files"
          : o.names.front() == "MODEL"
              ? fmt::format("{{_alternative \"names\\:name\\:({})\" \"files\\:file\\:_files\"}}",
                            fmt::join(words, " "))
              : fmt::format("({})", fmt::join(words, " "));
      out += " \\\n        " +
             shell_quoted(fmt::format("{}:{}:{}", o.repeated ? "*" : "", o.names.front(), action));
    }
  } else {
    out += " \\\n        " +
           shell_quoted(fmt::format("1:argument:({})", fmt::join(argument_words(command), " ")));
    out += " \\\n        '*:argument:_files'";
  }
  return out + "\n";
}

}  // namespace

std::string bash_completion(const std::vector<CommandText>& commands) {
  std::string out =
      "# bash completion for longspan, written by `longspan reference bash`\n"
      "_longspan() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} options= words= files=1\n"
      "  local command=${COMP_WORDS[1]}\n"
      "  COMPREPLY=()\n";
  out += fmt::format(
      "  if ((COMP_CWORD == 1)) || [[ $command == help ]]; then\n"
      "    COMPREPLY=($(compgen -W '{} help --help --version' -- \"$cur\"))\n"
      "    return\n  fi\n",
      fmt::join(names_of(commands), " "));
  std::string nested, cases;
  for (const CommandText& command : commands)
    if (!command.inner.empty())
      nested += fmt::format(
          "    {}) case ${{COMP_WORDS[2]}} in {}) ((COMP_CWORD > 2)) && command+=\" "
          "${{COMP_WORDS[2]}}\" ;; esac ;;\n",
          command.name, fmt::join(names_of(command.inner), "|"));
  for (const CommandText* command : with_inner(commands)) {
    cases +=
        fmt::format("    '{}')\n      options='{}'\n", command->name, fmt::join(option_names(*command), " "));
    if (auto words = argument_words(*command); !words.empty())
      cases += fmt::format("      words='{}'\n", fmt::join(words, " "));
    std::string values;
    for (const OptionText& o : command->options)
      if (!o.value.empty())
        values += fmt::format("        {}) options= words='{}' {};;\n", fmt::join(o.names, "|"),
                              fmt::join(words_of(o), " "), words_of(o).empty() ? "" : "files= ");
    if (!values.empty()) cases += "      case $prev in\n" + values + "      esac\n";
    cases += "      ;;\n";
  }
  out += "  case $command in\n" + nested + "  esac\n  case $command in\n" + cases + "  esac\n";
  return out +
         "  if [[ $cur == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
         "    return\n"
         "  fi\n"
         "  local IFS=$' \\n'\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "  IFS=$'\\n'\n"
         "  [[ $files ]] && COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
         "}\n"
         "complete -o filenames -F _longspan longspan\n";
}

std::string zsh_completion(const std::vector<CommandText>& commands) {
  std::string out =
      "#compdef longspan\n"
      "# zsh completion for longspan, written by `longspan reference zsh`\n"
      "_longspan() {\n"
      "  local -a commands=(\n";
  for (const CommandText& command : commands)
    out += fmt::format("    {}\n", shell_quoted(command.name + ":" + zsh_text(command.what)));
  out +=
      "  )\n"
      "  if ((CURRENT == 2)); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  ((CURRENT--))\n";
  for (const CommandText& command : commands) {
    if (command.inner.empty()) continue;
    out += fmt::format(
        "  if [[ $command == {} && $CURRENT -gt 2 && ' {} ' == *\" $words[2] \"* ]]; then\n"
        "    command+=\" $words[2]\"\n    shift words\n    ((CURRENT--))\n  fi\n",
        command.name, fmt::join(names_of(command.inner), " "));
  }
  out += "  case $command in\n";
  for (const CommandText* command : with_inner(commands))
    out += fmt::format("    {})\n{}      ;;\n", shell_quoted(command->name), zsh_arguments(*command));
  return out + "  esac\n}\n_longspan \"$@\"\n";
}

std::string fish_completion(const std::vector<CommandText>& commands) {
  std::string out =
      "# fish completion for longspan, written by `longspan reference fish`\n"
      "complete -c longspan -f -n __fish_use_subcommand -a help -d 'the help of a command'\n";
  for (const CommandText& command : commands)
    out += fmt::format("complete -c longspan -f -n __fish_use_subcommand -a {} -d {}\n", command.name,
                       shell_quoted(command.what));
  for (const CommandText* command : with_inner(commands)) {
    size_t blank = command->name.find(' ');
    std::string condition = "__fish_seen_subcommand_from " + command->name.substr(0, blank);
    if (blank != command->name.npos)
      condition += "; and __fish_seen_subcommand_from " + command->name.substr(blank + 1);
    for (const std::string& word : argument_words(*command))
      out += fmt::format("complete -c longspan -n '{}' -a {}\n", condition, word);
    for (const OptionText& o : command->options) {
      out += fmt::format("complete -c longspan -n '{}'", condition);
      for (const std::string& name : o.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (auto words = words_of(o); !words.empty())
        out += fmt::format(" -x -a '{}'", fmt::join(words, " "));
      else if (!o.value.empty())
        out += " -r";
      out += fmt::format(" -d {}\n", shell_quoted(o.what));
    }
  }
  return out;
}

}  // namespace longspan::cli
