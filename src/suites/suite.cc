// Reading a suite: TOML becomes JSON, layers are laid over each other, and each row is checked key by key.
#include "suites/suite.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/nearest.h"
#include "base/resource.h"
#include "base/text.h"

namespace longspan {

namespace {

constexpr const char* kFolder = "suites/";
constexpr const char* kEnding = ".toml";

struct NamedTruncation {
  const char* name;
  Truncation truncation;
};
constexpr NamedTruncation kTruncations[] = {
    {"refuse", Truncation::Refuse}, {"middle", Truncation::Middle}, {"text-middle", Truncation::TextMiddle},
    {"left", Truncation::Left},     {"right", Truncation::Right},   {"words", Truncation::Words}};

std::vector<const char*> truncation_names() {
  std::vector<const char*> names;
  for (const NamedTruncation& t : kTruncations) names.push_back(t.name);
  return names;
}

SettingsOrigin origin_of(const Task& task) {
  return {.file = task.file, .section = "task " + task.name, .path = "", .places = &task.places};
}

Task read_task(TomlFile&& merged, const std::string& name) {
  Task task;
  task.name = name;
  task.file = std::move(merged.file);
  task.row = std::move(merged.values);
  task.places = std::move(merged.places);
  Settings row(task.row, origin_of(task));
  row.read("name", task.name);
  row.read("what", task.what);
  row.read("category", task.category);
  row.read("maker", task.maker);
  task.make = row.object("make");
  row.read("system", task.system);
  row.read("prompt", task.prompt);
  row.read("prefix", task.prefix);
  row.read("document", task.document);
  row.read("chat", task.chat);
  row.read("new_tokens", task.new_tokens, 1, int64_t{1} << 20);
  row.read("stop", task.stop);
  row.read("postprocess", task.postprocess, {"", "first_line"});
  row.read("metrics", task.metrics);
  row.read("combine", task.combine, {"", "mean", "geometric_mean", "window_mean"});
  std::string truncate = name_of(task.truncate);
  row.read("truncate", truncate, truncation_names());
  task.truncate = truncation_of(truncate);
  row.read("reserve", task.reserve, 0, int64_t{1} << 40);
  row.done();
  if (task.metrics.empty()) row.refuse("metrics", "at least one is needed");
  return task;
}

std::set<std::string> task_names(const Json& rows, const Settings& top) {
  std::set<std::string> names;
  for (const Json& row : rows) {
    std::string name;
    if (row.is_object() && row.contains("name") && row["name"].is_string()) name = row["name"];
    if (name.empty()) top.refuse("task", "each needs a name");
    if (!names.insert(name).second) top.refuse("task", "duplicate name " + name);
  }
  return names;
}

/// Whether a row belongs to the dialect: its key `only`.
bool has_dialect(Settings row, const std::string& dialect) {
  std::vector<std::string> only;
  return !row.read("only", only) || std::find(only.begin(), only.end(), dialect) != only.end();
}

std::string pick_dialect(const Suite& suite, const std::string& wanted, const std::string& file) {
  if (wanted.empty()) return suite.dialects.empty() ? "" : suite.dialects.front();
  if (std::find(suite.dialects.begin(), suite.dialects.end(), wanted) == suite.dialects.end())
    fail("{}: there is no dialect {}{}; there {}", file, excerpt(wanted), meant_name(wanted, suite.dialects),
         suite.dialects.empty() ? "are none" : fmt::format("are {}", fmt::join(suite.dialects, ", ")));
  return wanted;
}

/// Puts the tasks in the order asked for.
void keep_tasks(std::vector<Task>& tasks, const std::vector<std::string>& wanted, const std::string& file) {
  if (wanted.empty()) return;
  std::vector<Task> kept;
  for (const std::string& name : wanted) {
    auto at = std::find_if(tasks.begin(), tasks.end(), [&](const Task& t) { return t.name == name; });
    if (at == tasks.end()) {
      std::vector<std::string> names;
      for (const Task& task : tasks) names.push_back(task.name);
      fail("{}: there is no task {}{}; there are {}", file, excerpt(name), meant_name(name, names),
           fmt::join(names, ", "));
    }
    kept.push_back(*at);
  }
  tasks = std::move(kept);
}

struct SuiteText {
  std::string file, text;
};

SuiteText find_suite(const std::string& suite) {
  if (suite.ends_with(kEnding)) return {suite, read_file(suite)};
  std::vector<std::string> names = suite_names();
  if (std::find(names.begin(), names.end(), suite) == names.end())
    fail("there is no suite {}{}; there are {}, and files of yours that end in {}", excerpt(suite),
         meant_name(suite, names), fmt::join(names, ", "), kEnding);
  return {suite + kEnding, std::string(resource(kFolder + suite + kEnding))};
}

}  // namespace

Truncation truncation_of(const std::string& name) {
  for (const NamedTruncation& t : kTruncations)
    if (name == t.name) return t.truncation;
  fail("truncation {} is unknown; there are {}", excerpt(name), fmt::join(truncation_names(), ", "));
}

const char* name_of(Truncation truncation) {
  return std::find_if(std::begin(kTruncations), std::end(kTruncations),
                      [&](const NamedTruncation& t) { return t.truncation == truncation; })
      ->name;
}

std::vector<std::string> suite_names() {
  std::vector<std::string> names;
  for (const std::string& name : resource_names(kFolder)) {
    std::string_view bare = std::string_view(name).substr(std::string_view(kFolder).size());
    names.emplace_back(bare.substr(0, bare.size() - std::string_view(kEnding).size()));
  }
  return names;
}

Suite read_suite(const std::string& name, const std::string& dialect, const std::vector<std::string>& tasks,
                 const std::vector<std::string>& overrides) {
  auto [file, text] = find_suite(name);
  TomlFile toml = parse_toml(text, file);
  Suite suite;
  Settings top(toml.values, {.file = file, .places = &toml.places});
  top.read("name", suite.name);
  top.read("what", suite.what);
  top.read("paper", suite.paper);
  top.read("data", suite.data);
  top.read("dialects", suite.dialects);
  const Json &defaults = top.object("defaults"), &dialects = top.object("dialect"), &rows = top.any("task");
  top.done();
  if (suite.name.empty()) top.refuse("name", "the suite needs one");
  if (!rows.is_array() || rows.empty()) top.refuse("task", "at least one [[task]] is needed");
  suite.dialect = pick_dialect(suite, dialect, file);
  std::set<std::string> names = task_names(rows, top);
  std::vector<Override> sets;
  for (const std::string& one : overrides) sets.push_back(parse_override(one, names));
  for (size_t i = 0; i < rows.size(); ++i) {
    TomlFile row{file};
    auto lay_dialect = [&](const Json& of_dialects, const std::string& path) {
      if (of_dialects.is_object() && of_dialects.contains(suite.dialect))
        lay_over(row, of_dialects[suite.dialect], toml.places, path + "." + suite.dialect);
    };
    std::string path = fmt::format("task.{}", i);
    Json own = rows[i];
    lay_over(row, defaults, toml.places, "defaults");
    lay_dialect(dialects, "dialect");
    if (!has_dialect(top.inside(path, own), suite.dialect)) continue;
    own.erase("dialect");
    own.erase("only");
    lay_over(row, own, toml.places, path);
    lay_dialect(rows[i].value("dialect", Json()), path + ".dialect");
    for (const Override& one : sets)
      if (one.owner.empty() || one.owner == rows[i]["name"]) apply_override(row, one);
    suite.tasks.push_back(read_task(std::move(row), rows[i]["name"]));
  }
  keep_tasks(suite.tasks, tasks, file);
  return suite;
}

Settings make_settings(const Task& task) {
  SettingsOrigin origin = origin_of(task);
  origin.path = "make";
  return {task.make, origin};
}

std::string fill_slots(std::string_view text, const Json& fields, const std::string& where,
                       const std::string& mark, size_t* begin, size_t* end) {
  std::string out;
  if (begin && end) *begin = *end = 0;
  bool marked = false;
  for (size_t i = 0; i < text.size();) {
    char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      out += c;
      i += 2;
      continue;
    }
    if (c == '}') fail("{}: a }} without {{ stands in the prompt; write }}}} for a brace", where);
    if (c != '{') {
      out += c;
      ++i;
      continue;
    }
    size_t close = text.find('}', i);
    if (close == text.npos) fail("{}: a {{ without }} stands in the prompt; write {{{{ for a brace", where);
    std::string slot(text.substr(i + 1, close - i - 1));
    auto value = fields.find(slot);
    if (value == fields.end() || value->is_null())
      fail("{}: there is no field {} for the prompt", where, in_quotes(slot));
    size_t at = out.size();
    out += value->is_string() ? value->get<std::string>() : dump_json(*value);
    if (begin && end && !marked && slot == mark) {
      *begin = at;
      *end = out.size();
      marked = true;
    }
    i = close + 1;
  }
  return out;
}

}  // namespace longspan
