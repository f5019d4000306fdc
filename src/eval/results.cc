// Reading a run back. The lines were written by processes that may have been killed, and passed through
// hands: everything that later code relies on is checked here, once.
#include "eval/results.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  fail("{}: {}; remove what is damaged and run the same command again", where, what);
}

/// The field, which must be there and of the type.
const Json& need(const Json& object, const char* key, bool (Json::*is)() const noexcept, const char* type,
                 const std::string& where) {
  auto found = object.find(key);
  if (found == object.end() || !((*found).*is)())
    refuse(where, fmt::format("the field \"{}\" should be {}", key, type));
  return *found;
}

void optional(const Json& object, const char* key, bool (Json::*is)() const noexcept, const char* type,
              const std::string& where) {
  if (object.contains(key)) need(object, key, is, type, where);
}

constexpr auto kText = &Json::is_string;
constexpr auto kNumber = &Json::is_number;
constexpr auto kObject = &Json::is_object;
constexpr auto kList = &Json::is_array;

void need_texts(const Json& list, const char* what, const std::string& where) {
  for (const Json& item : list)
    if (!item.is_string()) refuse(where, fmt::format("\"{}\" should hold texts alone", what));
}

void check_settings(const Json& settings, const std::string& where) {
  if (!settings.is_object()) refuse(where, "an object was expected");
  for (const char* key : {"suite", "scoring"}) need(settings, key, kText, "a text", where);
  for (const char* key : {"what", "dialect", "paper", "data"})
    optional(settings, key, kText, "a text", where);
  if (settings["scoring"] != "compat" && settings["scoring"] != "clean")
    refuse(where, "\"scoring\" should be compat or clean");
  std::set<std::string> names;
  for (const Json& task : need(settings, "tasks", kList, "a list", where)) {
    if (!task.is_object()) refuse(where, "\"tasks\" should hold objects");
    std::string name = need(task, "name", kText, "a text", where);
    std::string at = where + ": task " + name;
    if (!names.insert(name).second) refuse(at, "it stands there twice");
    for (const char* key : {"what", "category", "combine", "maker"}) optional(task, key, kText, "a text", at);
    if (task.contains("metrics")) need_texts(need(task, "metrics", kList, "a list", at), "metrics", at);
    if (need(task, "cases", &Json::is_number_integer, "a whole number", at) < 0)
      refuse(at, "\"cases\" should not be negative");
  }
  if (settings.contains("missing"))
    need_texts(need(settings, "missing", kList, "a list", where), "missing", where);
}

void check_scores(const Json& scores, const std::string& where) {
  for (const auto& [metric, score] : scores.items())
    for (const char* scoring : {"compat", "clean"})
      if (!score.is_object() || !score.contains(scoring) || !score.at(scoring).is_number())
        refuse(where, fmt::format("the score \"{}\" should hold the number \"{}\"", metric, scoring));
}

void check_loss(const Json& result, const std::string& where) {
  need(result, "nll", kNumber, "a number", where);
  if (need(result, "tokens", kNumber, "a number", where) <= 0) refuse(where, "\"tokens\" should be positive");
  optional(result, "bytes", kNumber, "a number", where);
  if (!result.contains("buckets")) return;
  for (const Json& bucket : need(result, "buckets", kList, "a list", where))
    if (!bucket.is_array() || bucket.size() != 4 ||
        !std::all_of(bucket.begin(), bucket.end(), [](const Json& x) { return x.is_number(); }))
      refuse(where, "\"buckets\" should hold lists of four numbers");
}

void check_result(const Json& result, const std::set<std::string>& tasks, const std::string& where) {
  std::string task = need(result, "task", kText, "a text", where);
  if (!tasks.contains(task)) refuse(where, fmt::format("settings.json has no task {}", in_quotes(task)));
  std::string kind = need(result, "kind", kText, "a text", where);
  for (const char* key : {"prompt_tokens", "read_tokens", "cut_tokens", "seconds"})
    optional(result, key, kNumber, "a number", where);
  if (result.contains("cell"))
    for (const auto& [key, value] : need(result, "cell", kObject, "an object", where).items())
      if (!value.is_number() && !value.is_string())
        refuse(where, fmt::format("\"cell\" holds \"{}\", which is neither number nor text", key));
  optional(result, "stop", kText, "a text", where);
  if (result.contains("references"))
    need_texts(need(result, "references", kList, "a list", where), "references", where);
  if (kind == "loss") return check_loss(result, where);
  if (kind != "answer" && kind != "choice") refuse(where, "\"kind\" should be answer, choice or loss");
  check_scores(need(result, "scores", kObject, "an object", where), where);
  if (kind == "answer") need(result, "prediction", kText, "a text", where);
}

std::vector<fs::path> result_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with("results.") && name.ends_with(".jsonl")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Adds the cases of one file whose ids are new.
void read_file_of_results(const fs::path& file, const std::set<std::string>& tasks,
                          std::set<std::string>& ids, std::vector<CaseResult>& cases) {
  std::string text = read_file(file);
  size_t number = 0;
  for (size_t at = 0, end = 0; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    std::string where = fmt::format("{}:{}", file.string(), ++number);
    Json line;
    try {
      line = parse_json(std::string_view(text).substr(at, end - at), where);
    } catch (const Error& error) {
      if (end == text.size()) return;  // its writer was killed
      fail("{}; remove the line and run the same command again", error.what());
    }
    if (!line.is_object()) refuse(where, "an object was expected");
    std::string id = need(line, "case", kText, "a text", where);
    Json& result = line["result"];
    if (!result.is_object()) refuse(where, "the field \"result\" should be an object");
    check_result(result, tasks, where);
    if (ids.insert(id).second) cases.push_back({id, std::move(result)});
  }
}

}  // namespace

RunResults read_run(const fs::path& folder) {
  fs::path file = folder / "settings.json";
  if (!fs::exists(file))
    fail("{}: holds no settings.json, so it is no folder of `longspan eval`", folder.string());
  RunResults run{folder, parse_json_file(file), {}};
  check_settings(run.settings, file.string());
  std::set<std::string> tasks, ids;
  for (const Json& task : run.settings["tasks"]) tasks.insert(task["name"]);
  for (const fs::path& results : result_files(folder)) read_file_of_results(results, tasks, ids, run.cases);
  std::sort(run.cases.begin(), run.cases.end(),
            [](const CaseResult& a, const CaseResult& b) { return a.id < b.id; });
  return run;
}

}  // namespace longspan
