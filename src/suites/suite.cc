// Reading a suite: TOML becomes JSON, layers are laid over each other, and each row is checked key by key.
#include "suites/suite.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <sstream>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "base/error.h"
#include "base/file.h"
#include "base/resource.h"
#include "base/text.h"
#include "suites/row.h"

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

Json json_from_toml(std::string_view text, const std::string& source) {
  try {
    std::stringstream json;
    json << toml::json_formatter(toml::parse(text, source));
    return parse_json(json.str(), source);
  } catch (const toml::parse_error& e) {
    fail("{}:{}: {}", source, e.source().begin.line, e.description());
  }
}

/// Tables are laid over tables, everything else replaces what was there.
void lay_over(Json& below, const Json& above) {
  for (const auto& [key, value] : above.items()) {
    if (value.is_object() && below.contains(key) && below[key].is_object())
      lay_over(below[key], value);
    else
      below[key] = value;
  }
}

/// A value as the user spells it behind "=": TOML, or else plain text.
Json value_of(const std::string& spelled) {
  try {
    std::stringstream json;
    json << toml::json_formatter(toml::parse("value = " + spelled));
    return Json::parse(json.str())["value"];
  } catch (const toml::parse_error&) {
    return spelled;
  }
}

/// One of --set, applied if it is for this row.
void override_row(Json& row, const std::string& text, const std::set<std::string>& names) {
  size_t equals = text.find('=');
  if (equals == 0 || equals == text.npos)
    fail("--set {}: KEY=VALUE or TASK.KEY=VALUE was expected, as new_tokens=32 or make.lengths=[4096]", text);
  std::string key = text.substr(0, equals);
  // The task's name may hold points: the longest that fits is meant.
  std::string owner;
  for (const std::string& name : names)
    if (key.starts_with(name + ".") && name.size() > owner.size()) owner = name;
  if (!owner.empty()) {
    if (row.value("name", "") != owner) return;
    key = key.substr(owner.size() + 1);
  }
  Json layer = value_of(text.substr(equals + 1));
  for (size_t dot; (dot = key.rfind('.')) != key.npos; key.resize(dot))
    layer = {{key.substr(dot + 1), layer}};
  lay_over(row, {{key, layer}});
}

Task read_task(const Json& merged, const std::string& file) {
  Task task;
  task.row = merged;
  Row row(merged, file + ": task " + merged.value("name", "?"));
  row.read("name", task.name);
  row.read("what", task.what);
  row.read("category", task.category);
  row.read("maker", task.maker);
  if (Json make = row.any("make"); !make.is_null()) {
    if (!make.is_object()) row.refuse("make", "a table was expected");
    task.make = make;
  }
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
  row.read("truncate", truncate, {"refuse", "middle", "text-middle", "left", "right", "words"});
  task.truncate = truncation_of(truncate);
  row.read("reserve", task.reserve, 0, int64_t{1} << 40);
  row.done();
  if (task.metrics.empty()) row.refuse("metrics", "at least one is needed");
  return task;
}

std::string pick_dialect(const Suite& suite, const std::string& wanted, const std::string& file) {
  if (wanted.empty()) return suite.dialects.empty() ? "" : suite.dialects.front();
  if (std::find(suite.dialects.begin(), suite.dialects.end(), wanted) == suite.dialects.end())
    fail("{}: there is no dialect {}; there {}", file, excerpt(wanted),
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
      fail("{}: there is no task {}; there are {}", file, excerpt(name), fmt::join(names, ", "));
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
    fail("there is no suite {}; there are {}, and files of yours that end in {}", excerpt(suite),
         fmt::join(names, ", "), kEnding);
  return {suite + kEnding, std::string(resource(kFolder + suite + kEnding))};
}

}  // namespace

Truncation truncation_of(const std::string& name) {
  std::vector<const char*> names;
  for (const NamedTruncation& t : kTruncations) {
    if (name == t.name) return t.truncation;
    names.push_back(t.name);
  }
  fail("truncation {} is unknown; there are {}", excerpt(name), fmt::join(names, ", "));
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
  Json top = json_from_toml(text, file);
  Suite suite;
  Row row(top, file);
  row.read("name", suite.name);
  row.read("what", suite.what);
  row.read("paper", suite.paper);
  row.read("data", suite.data);
  row.read("dialects", suite.dialects);
  Json defaults = row.any("defaults"), dialect_layers = row.any("dialect"), rows = row.any("task");
  row.done();
  if (suite.name.empty()) row.refuse("name", "the suite needs one");
  if (!rows.is_array() || rows.empty()) row.refuse("task", "at least one [[task]] is needed");
  suite.dialect = pick_dialect(suite, dialect, file);
  std::set<std::string> names;
  for (const Json& task : rows) {
    std::string own = task.is_object() && task.contains("name") && task["name"].is_string()
                          ? task["name"].get<std::string>()
                          : "";
    if (own.empty()) row.refuse("task", "each needs a name");
    if (!names.insert(own).second) row.refuse("task", own + " is there twice");
  }
  for (const Json& task : rows) {
    Json merged = defaults.is_object() ? defaults : Json::object();
    auto lay = [&](const Json& layers) {
      if (layers.is_object() && layers.contains(suite.dialect)) lay_over(merged, layers[suite.dialect]);
    };
    lay(dialect_layers);
    Json own = task, own_dialects = task.value("dialect", Json());
    own.erase("dialect");
    std::vector<std::string> only;
    if (Row(task, file + ": task " + task.value("name", "?")).read("only", only) &&
        std::find(only.begin(), only.end(), suite.dialect) == only.end())
      continue;
    own.erase("only");
    lay_over(merged, own);
    lay(own_dialects);
    for (const std::string& text_of_one : overrides) override_row(merged, text_of_one, names);
    suite.tasks.push_back(read_task(merged, file));
  }
  keep_tasks(suite.tasks, tasks, file);
  return suite;
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
