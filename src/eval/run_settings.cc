#include "eval/run_settings.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "eval/fields.h"
#include "eval/wording.h"

namespace longspan {

namespace {

TaskSettings read_task(const Json& json, const std::string& where) {
  if (!json.is_object()) Fields(Json::object(), where).refuse("\"tasks\" should hold objects");
  std::string name = Fields(json, where).text("name");
  Fields f(json, where + ": task " + excerpt(name));
  TaskSettings task;
  task.name = name;
  task.what = f.text("what", "");
  task.category = f.text("category", "");
  task.metrics = f.texts("metrics");
  task.combine = f.text("combine", "");
  task.maker = f.text("maker", "");
  task.cases = f.whole("cases");
  if (task.cases < 0) f.refuse("\"cases\" should not be negative");
  if (f.has("row")) task.row = f.object("row");
  return task;
}

Scoring read_scoring(const Fields& f) {
  std::string name = f.text("scoring");
  for (Scoring known : {Scoring::kCompat, Scoring::kClean})
    if (name == name_of(known)) return known;
  f.refuse("\"scoring\" should be compat or clean");
}

}  // namespace

const char* name_of(Scoring scoring) { return scoring == Scoring::kClean ? "clean" : "compat"; }

Json to_json(const TaskSettings& task) {
  return {{"name", task.name},       {"what", task.what},       {"category", task.category},
          {"metrics", task.metrics}, {"combine", task.combine}, {"maker", task.maker},
          {"cases", task.cases},     {"row", task.row}};
}

Json to_json(const RunSettings& s) {
  Json json = {{"suite", s.suite},
               {"what", s.what},
               {"paper", s.paper},
               {"dialect", s.dialect},
               {"scoring", name_of(s.scoring)},
               {"model", s.model},
               {"position", s.position},
               {"cache_type", s.cache_type},
               {"compute", s.compute},
               {"kernels", s.kernels},
               {"chunk", s.chunk},
               {"adapter", s.adapter},
               {"chat_template", s.chat_template},
               {"data", s.data},
               {"length_tokenizer", s.length_tokenizer},
               {"overrides", s.overrides},
               {"command", s.command}};
  if (!s.draft.empty()) json["draft"] = s.draft;
  if (!s.attention.empty()) json["attention"] = s.attention;
  if (!s.evict.empty()) json["evict"] = s.evict;
  if (s.jieba) json["jieba"] = *s.jieba;
  if (s.endpoint)
    json["endpoint"] = {{"url", s.endpoint->url}, {"model", s.endpoint->model}, {"chat", s.endpoint->chat}};
  json["window"] = s.window;
  json["seed"] = s.seed;
  json["limit"] = s.limit;
  json["tasks"] = Json::array();
  for (const TaskSettings& task : s.tasks) json["tasks"].push_back(to_json(task));
  json["missing"] = s.missing;
  return json;
}

RunSettings run_settings_from_json(const Json& json, const std::string& where) {
  Fields f(json, where);
  RunSettings s;
  s.suite = f.text("suite");
  s.scoring = read_scoring(f);
  for (auto [key, field] : {std::pair("what", &s.what),
                            {"paper", &s.paper},
                            {"dialect", &s.dialect},
                            {"model", &s.model},
                            {"position", &s.position},
                            {"cache_type", &s.cache_type},
                            {"compute", &s.compute},
                            {"kernels", &s.kernels},
                            {"draft", &s.draft},
                            {"attention", &s.attention},
                            {"evict", &s.evict},
                            {"adapter", &s.adapter},
                            {"chat_template", &s.chat_template},
                            {"data", &s.data},
                            {"length_tokenizer", &s.length_tokenizer},
                            {"command", &s.command}})
    *field = f.text(key, "");
  s.chunk = f.whole("chunk", 0);
  s.overrides = f.texts("overrides");
  if (f.has("jieba")) s.jieba = f.text("jieba");
  if (f.has("endpoint")) {
    Fields endpoint(f.object("endpoint"), where + ": endpoint");
    s.endpoint = {endpoint.text("url", ""), endpoint.text("model", ""), endpoint.flag("chat", false)};
  }
  s.window = f.whole("window", 0);
  s.seed = json.contains("seed") && json["seed"].is_number_unsigned()
               ? json["seed"].get<uint64_t>()
               : static_cast<uint64_t>(f.whole("seed", 0));
  s.limit = f.whole("limit", 0);
  std::set<std::string> names;
  for (const Json& task : f.list("tasks")) {
    s.tasks.push_back(read_task(task, where));
    if (!names.insert(s.tasks.back().name).second)
      Fields(task, where + ": task " + excerpt(s.tasks.back().name)).refuse("it stands there twice");
  }
  s.missing = f.texts("missing");
  return s;
}

const TaskSettings* find_task(const RunSettings& settings, const std::string& name) {
  auto at = std::find_if(settings.tasks.begin(), settings.tasks.end(),
                         [&](const TaskSettings& task) { return task.name == name; });
  return at == settings.tasks.end() ? nullptr : &*at;
}

std::string model_name(const RunSettings& settings) {
  if (settings.model.empty()) return "";
  std::string name = std::filesystem::path(one_line(settings.model)).filename().string();
  if (settings.position.empty() || settings.position.starts_with("rope")) return name;
  // "yarn:base=100000,factor=2,original=8192": what the model has anyway is left out, but abf is its base.
  std::string text = one_line(settings.position), method = text.substr(0, text.find(':')), base, values;
  for (size_t at = method.size(); at < text.size();) {
    size_t end = std::min(text.find(',', at + 1), text.size());
    std::string value = text.substr(at + 1, end - at - 1);
    at = end;
    if (value.starts_with("base="))
      base = ":" + value;
    else if (!value.starts_with("original="))
      values += (values.empty() ? ":" : ",") + value;
  }
  return name + ", " + method + (values.empty() ? base : values);
}

}  // namespace longspan
