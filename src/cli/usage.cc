#include "cli/usage.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "base/nearest.h"
#include "base/text.h"

namespace longspan::cli {

namespace {

/// What people bring from other programs (llama.cpp, Ollama, transformers, lm-eval).
struct Habit {
  std::vector<const char*> names;
  const char* here;
};

const std::vector<Habit>& option_habits() {
  static const std::vector<Habit> table = {
      {{"-c", "--ctx-size", "--num-ctx", "--num_ctx", "--n-ctx", "--max-model-len", "--max-seq-len"},
       "the window is the model's own: --context N uses one of N tokens, --position stretches it"},
      {{"--rope-scaling", "--rope-scale", "--rope-freq-base", "--rope-freq-scale", "--yarn-orig-ctx",
        "--yarn-ext-factor", "--yarn-attn-factor", "--yarn-beta-slow", "--yarn-beta-fast",
        "--rope-parameters", "--rope_scaling"},
       "one option says it all: --position yarn:factor=4 (see longspan methods)"},
      {{"-m", "--model", "--model-path", "--pretrained", "--model_args"},
       "the model is the first word after the command: longspan ask MODEL ..."},
      {{"-hf", "--hf-repo", "--hf-file", "-mu", "--model-url"},
       "a model is a file or directory on this machine, or a name that longspan fetch knows"},
      {{"-ngl", "--n-gpu-layers", "--gpu-layers", "-ot", "--main-gpu", "-mg"},
       "a model computes on one device as a whole: --device cuda or --device cpu"},
      {{"-ctk", "-ctv", "--cache-type-k", "--cache-type-v"}, "write --cache-type k=f16,v=bf16"},
      {{"--n-predict", "--predict", "--num-predict", "--max-tokens", "--max-new-tokens", "--max_new_tokens",
        "--max_tokens"},
       "the length of an answer is -n N"},
      {{"--repeat-penalty", "--repeat_penalty"}, "write --repetition-penalty"},
      {{"-b", "-ub", "--batch-size", "--ubatch-size", "--batch_size"},
       "tokens of a forward pass are --chunk N; nothing else is batched by hand"},
      {{"-i", "-cnv", "--conversation", "--interactive", "--interactive-first"},
       "a conversation is longspan chat MODEL"},
      {{"-no-cnv", "--no-conversation"}, "plain continuation is longspan generate MODEL --prompt TEXT"},
      {{"--lora", "--lora-scaled", "--peft"}, "write --adapter DIRECTORY"},
      {{"-sys", "--system-prompt", "--system_prompt", "--system_instruction"}, "write --system TEXT"},
      {{"--prompt-cache", "--prompt-cache-all", "--slot-save-path"}, "what was read is kept by ask --cache"},
      {{"--temp"}, "write --temperature"},
      {{"--grammar-file"}, "write --grammar FILE"},
      {{"-j", "-jf", "--json-schema-file"}, "write --json-schema, with a schema or a file of one"},
      {{"-s"}, "write --seed N"},
      {{"-fa", "--flash-attn", "--no-mmap", "--mlock", "--no-warmup", "--numa"},
       "there is nothing to switch: weights are mapped, and attention never holds its whole matrix"},
      {{"--num_fewshot", "--num-fewshot"},
       "examples belong to the prompt of a suite (see docs/evaluation.md)"},
      {{"--log_samples", "--log-samples"}, "every answer is kept: OUT/results.jsonl"},
      {{"--output_path", "--output-path", "--output-dir", "--output_dir"}, "write -o"},
      {{"--apply_chat_template", "--apply-chat-template"},
       "the model's own chat template is used; --chat-template takes another"},
  };
  return table;
}

const std::vector<Habit>& command_habits() {
  static const std::vector<Habit> table = {
      {{"run", "cli", "completion"},
       "longspan chat talks, ask answers about a document, generate continues a text"},
      {{"pull", "download"}, "longspan fetch brings a model"},
      {{"show"}, "longspan info tells what a model is"},
      {{"quantize", "quantise", "export"}, "longspan convert writes a model of another type"},
      {{"perplexity", "ppl"},
       "longspan score tells the perplexity of a text, longspan eval perplexity of a corpus"},
      {{"finetune", "fine-tune", "sft", "lora"}, "longspan train follows a recipe"},
      {{"benchmark", "llama-bench"}, "longspan bench measures speed, longspan eval answers"},
      {{"encode"}, "longspan tokenize tells the ids of a text"},
      {{"decode"}, "longspan detokenize tells the text of ids"},
      {{"list", "ls"}, "longspan eval list tells the suites, longspan methods the methods"},
  };
  return table;
}

/// "" when nobody is used to it.
std::string habit(const std::vector<Habit>& table, const std::string& name) {
  for (const Habit& row : table)
    if (std::find(row.names.begin(), row.names.end(), name) != row.names.end()) return row.here;
  return "";
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App* a) { return !a->get_group().empty(); }))
    names.push_back(sub->get_name());
  return names;
}

/// Without their dashes.
std::vector<std::string> long_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  return names;
}

/// Commands that have an option of this name.
std::vector<std::string> commands_with(const CLI::App& app, const std::string& option) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App* a) { return !a->get_group().empty(); }))
    if (sub->get_option_no_throw(option)) names.push_back(sub->get_name());
  return names;
}

bool looks_like_option(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && !std::isdigit(static_cast<unsigned char>(word[1])) &&
         word[1] != '.';
}

std::string without_value(const std::string& word) { return word.substr(0, word.find('=')); }

std::string unknown_option(const CLI::App& app, const CLI::App& command, const std::string& option) {
  std::string out = "there is no option " + excerpt(option);
  if (std::string here = habit(option_habits(), option); !here.empty()) return out + ": " + here;
  std::string bare = option.substr(std::min(option.find_first_not_of('-'), option.size()));
  std::string nearest = nearest_name(bare, long_names(command));
  if (!nearest.empty()) return fmt::format("{} (did you mean --{}?)", out, nearest);
  if (auto others = commands_with(app, option); !others.empty())
    return fmt::format("{}; {} {}", out, fmt::join(others, ", "),
                       others.size() == 1 ? "has one" : "have one");
  return out;
}

/// -ngl is read as -n with the value "gl".
std::string misread_habit(const CLI::App& command, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") break;
    std::string option = without_value(word);
    if (looks_like_option(option) && !command.get_option_no_throw(option) &&
        !habit(option_habits(), option).empty())
      return option;
  }
  return "";
}

/// CLI11's sentences in ours.
std::string in_our_words(const CLI::App& command, const CLI::ParseError& error) {
  std::string what = error.what();
  const std::string conversion = "Could not convert: ";
  if (size_t equals = what.find(" = "); what.starts_with(conversion) && equals != what.npos) {
    std::string name = what.substr(conversion.size(), equals - conversion.size());
    const CLI::Option* option = command.get_option_no_throw(name);
    bool whole = option && option->get_type_name().find("FLOAT") == std::string::npos;
    return fmt::format("{}: {} is not a {}number", name, in_quotes(what.substr(equals + 3)),
                       whole ? "whole " : "");
  }
  if (size_t colon = what.find(": At Most 1 required"); colon != what.npos)
    return what.substr(0, colon) + " can be given once only";
  if (size_t colon = what.find(": 1 required "); colon != what.npos)
    return what.substr(0, colon) + " needs a value";
  if (size_t verb = what.find(" excludes "); verb != what.npos)
    return fmt::format("{} and {} cannot be used together", what.substr(0, verb), what.substr(verb + 10));
  if (what == "A subcommand is required")
    return fmt::format("a command is needed: {}", fmt::join(command_names(command), ", "));
  return what;
}

}  // namespace

const CLI::App& innermost(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return *at;
}

std::string full_name(const CLI::App& app) {
  return (app.get_parent() ? full_name(*app.get_parent()) + " " : "") + app.get_name();
}

std::string unknown_command(const CLI::App& app, const std::string& name) {
  std::string out = "there is no command " + in_quotes(name), nearest = meant_name(name, command_names(app));
  if (!nearest.empty()) return out + nearest;
  std::string here = habit(command_habits(), name);
  return here.empty() ? out : out + ": " + here;
}

std::string usage_problem(const CLI::App& app, const std::vector<std::string>& words,
                          const CLI::ParseError& error) {
  const CLI::App& command = innermost(app);
  if (std::string misread = misread_habit(command, words); !misread.empty())
    return unknown_option(app, command, misread);
  std::vector<std::string> left = command.remaining();
  for (const std::string& word : left)
    if (looks_like_option(word)) return unknown_option(app, command, without_value(word));
  if (!left.empty() && !command_names(command).empty() && !command.get_option_no_throw("MODEL"))
    return fmt::format("{} has no command {}{}", full_name(command), in_quotes(left.front()),
                       meant_name(left.front(), command_names(command)));
  if (!left.empty() && dynamic_cast<const CLI::ExtrasError*>(&error))
    return fmt::format("{} is one argument too many", in_quotes(left.front()));
  return in_our_words(command, error);
}

CLI::Validator one_of(std::vector<std::string> names) {
  std::string all = fmt::format("{}", fmt::join(names, " "));
  CLI::Validator validator(
      [names](std::string& text) -> std::string {
        std::string typed = text;
        for (char& c : typed) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        if (std::find(names.begin(), names.end(), typed) != names.end()) {
          text = typed;
          return "";
        }
        return fmt::format("{} is not one of {}{}", in_quotes(text), fmt::join(names, ", "),
                           meant_name(text, names));
      },
      "");
  return validator.name(all);  // completions read it
}

}  // namespace longspan::cli
