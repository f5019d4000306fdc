// Multiple choice by likelihood: each answer is scored as a continuation of the prompt; the likeliest one is
// the model's. Keys of [task.make]:
//   resource   records built into the program; without it the user's: --data FILE, or `file` below --data
//   class      of the records' "class": names to keep; all
//   separator  " ": between prompt and answer, as a part of the answer (tokenizers join a space to the word
//              that follows)
//   neutral    a prompt without information, to measure what the real one adds (accuracy_gain); none
// A record: {"question" and/or "context", "choices": [texts], "answer": index from 0, or the text of the
// right one}. Slots of the row's prompt are its fields, and {asked}: the context, then the question with
// "Answer:".
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "suites/cases.h"
#include "suites/prompt.h"
#include "suites/records.h"

namespace longspan {

namespace {

namespace fs = std::filesystem;

struct ChoiceSettings {
  std::string resource, file, separator = " ", neutral;
  std::vector<std::string> classes;
};

ChoiceSettings read_settings(const Task& task) {
  ChoiceSettings settings;
  Settings row = make_settings(task);
  row.read("resource", settings.resource);
  row.read("file", settings.file);
  row.read("separator", settings.separator);
  row.read("neutral", settings.neutral);
  row.read("class", settings.classes);
  row.done();
  for (const std::string& metric : task.metrics) {
    if (metric == "accuracy_gain" && settings.neutral.empty())
      row.refuse("neutral", "accuracy_gain, which the task names, needs one");
    if (metric != "accuracy" && metric != "accuracy_per_byte" && metric != "accuracy_gain")
      fail("task {}: metrics: choices know accuracy, accuracy_per_byte and accuracy_gain, not {}", task.name,
           excerpt(metric));
  }
  return settings;
}

fs::path data_file(const ChoiceSettings& settings, const fs::path& data) {
  constexpr const char* kAsk = "a JSONL file of questions was expected";
  if (data.empty()) throw MissingData{fmt::format("{}; give it with --data FILE", kAsk)};
  if (!fs::is_directory(data)) return data;
  if (settings.file.empty())
    throw MissingData{fmt::format("{}, and {} is a folder; give one with --data FILE", kAsk, data.string())};
  return find_data(data, settings.file);
}

std::vector<std::string> choices_of(const Json& record, const std::string& where) {
  auto at = record.find("choices");
  if (at == record.end() || !at->is_array() || at->size() < 2)
    fail("{}: needs \"choices\", a list of two texts at least", where);
  std::vector<std::string> choices;
  for (const Json& choice : *at) {
    if (!choice.is_string() || choice.get_ref<const std::string&>().empty())
      fail("{}: each of \"choices\" must be a text that is not empty, not {}", where, excerpt_json(choice));
    choices.push_back(choice.get<std::string>());
  }
  return choices;
}

size_t correct_of(const Json& record, const std::vector<std::string>& choices, const std::string& where) {
  Json answer = record.value("answer", Json());
  if (answer.is_number_integer()) {
    if (answer < 0 || answer >= choices.size())
      fail("{}: \"answer\" is {}, but the choices are counted from 0 to {}", where, excerpt_json(answer),
           choices.size() - 1);
    return answer.get<size_t>();
  }
  auto at = answer.is_string() ? std::find(choices.begin(), choices.end(), answer.get<std::string>())
                               : choices.end();
  if (at == choices.end())
    fail("{}: \"answer\" must be the index of a choice, counted from 0, or its text, not {}", where,
         excerpt_json(answer));
  return static_cast<size_t>(at - choices.begin());
}

/// Context and question as one prompt.
std::string asked(const Json& record, const std::string& where) {
  bool has_context = record.contains("context"), has_question = record.contains("question");
  if (!has_context && !has_question) fail("{}: needs a \"question\" or a \"context\"", where);
  std::string text = has_context ? text_field(record, "context", where) : "";
  if (!has_question) return text;
  return text + (has_context ? "\n\n" : "") + "Question: " + text_field(record, "question", where) +
         "\nAnswer:";
}

}  // namespace

std::vector<Case> make_choice_cases(const Task& task, const MakeContext& context) {
  const ChoiceSettings settings = read_settings(task);
  std::vector<Case> cases;
  auto add = [&](Json&& record, const std::string& where) {
    std::string category = record.contains("class") ? text_field(record, "class", where) : "";
    if (!settings.classes.empty() && std::ranges::find(settings.classes, category) == settings.classes.end())
      return true;
    std::vector<std::string> choices = choices_of(record, where);
    size_t correct = correct_of(record, choices, where);
    for (std::string& choice : choices) choice.insert(0, settings.separator);
    record["asked"] = asked(record, where);
    auto kept = std::make_shared<const Json>(std::move(record));
    cases.push_back(
        {.id = fmt::format("{}/{}", task.name, cases.size()),
         .kind = CaseKind::Choice,
         .cell = category.empty() ? Cell{} : Cell{{{"class", category}}},
         .source = where,
         .text = [&task, kept, choices = std::move(choices), correct, where, neutral = settings.neutral] {
           CaseText filled = fill_task(task, *kept, where);
           filled.choices = choices;
           filled.correct = correct;
           filled.neutral = neutral;
           return filled;
         }});
    return std::ssize(cases) != context.limit;
  };
  std::string source = settings.resource;
  if (settings.resource.empty()) {
    fs::path file = data_file(settings, context.data);
    source = file.string();
    read_records(file, add);
  } else {
    read_resource_records(settings.resource, add);
  }
  if (cases.empty()) fail("{}: {} holds no question for it", task.name, source);
  return cases;
}

}  // namespace longspan
