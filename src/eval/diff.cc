// Two runs side by side: what changed, and whether it is more than noise.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "eval/scores.h"

namespace longspan {

namespace {

/// How a change is written: answers in per cent; losses in nats a token, or in bits a byte when the two runs
/// count tokens differently.
struct Unit {
  const char* name;
  double scale;
  bool less_is_better;
};

const char* verdict_of(const Difference& d, const Unit& unit) {
  const Estimate& c = d.change;
  if (d.p > 0.05 || (c.low <= 0 && c.high >= 0)) return "noise";
  return (c.mean > 0) != unit.less_is_better ? "better" : "worse";
}

Json change_entry(const Group& group, const Unit& unit) {
  Difference d = difference(group);
  return {{"n", d.change.n},
          {"a", unit.scale * score_of(group, 0)},
          {"b", unit.scale * score_of(group, 1)},
          {"unit", unit.name},
          {"change", unit.scale * d.change.mean},
          {"low", unit.scale * d.change.low},
          {"high", unit.scale * d.change.high},
          {"p", d.p},
          {"verdict", verdict_of(d, unit)}};
}

Json by_fields(const Group& group, const Unit& unit) {
  Json by = Json::object();
  for (const char* key : {"length", "depth", "lines", "class"}) {
    auto value_of = [&](const CaseResult& c) {
      return c.result.contains("cell") && c.result["cell"].contains(key) ? c.result["cell"][key] : Json();
    };
    std::set<Json> values;
    for (const TaskScores& task : group)
      for (const CaseResult* c : task.cases) values.insert(value_of(*c));
    values.erase(Json());
    for (const Json& value : values) {
      Json entry = {{"value", value}};
      entry.update(
          change_entry(restricted(group, [&](const CaseResult& c) { return value_of(c) == value; }), unit));
      by[key].push_back(std::move(entry));
    }
  }
  return by;
}

void add_tasks(Json& tasks, const Group& group, const Unit& unit) {
  for (const TaskScores& task : group) {
    Json entry = {{"name", task.name}};
    entry.update(change_entry({task}, unit));
    tasks.push_back(std::move(entry));
  }
}

/// Adds {key, a, b} for every value in which the two differ; keys of nested objects are joined by dots.
void add_changes(Json& changes, const std::string& key, const Json& a, const Json& b) {
  if (a == b) return;
  if (!a.is_object() || !b.is_object()) {
    auto shown = [](const Json& value) { return value.is_object() ? Json("given") : value; };
    changes.push_back({{"key", key}, {"a", shown(a)}, {"b", shown(b)}});
    return;
  }
  std::vector<std::string> names;
  for (const Json* side : {&a, &b})
    for (const auto& [name, value] : side->items())
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  for (const std::string& name : names)
    add_changes(changes, key.empty() ? name : key + "." + name, a.contains(name) ? a[name] : Json(),
                b.contains(name) ? b[name] : Json());
}

/// The settings with tasks by name, without the command, which only repeats them.
Json comparable(Json settings) {
  Json tasks = Json::object();
  for (const Json& task : settings["tasks"]) tasks[task["name"].get<std::string>()] = task;
  settings["tasks"] = std::move(tasks);
  settings.erase("command");
  return settings;
}

/// Losses of the cases of both runs. Bits a byte when the two count the tokens of a case differently.
struct PairedLosses {
  Group tasks, pool;
  Unit unit;
};
PairedLosses paired_losses(const RunResults& a, const RunResults& b) {
  Group tokens = loss_group(a, Per::Token, &b), bytes = loss_group(a, Per::Byte, &b);
  bool same = true, known = true;
  for (size_t t = 0; t < tokens.size(); ++t) {
    same = same && tokens[t].weights[0] == tokens[t].weights[1];
    for (const auto& weights : bytes[t].weights)
      known = known && std::all_of(weights.begin(), weights.end(), [](double w) { return w > 0; });
  }
  if (!same && known) return {bytes, pooled(bytes), {"bits a byte", 1, true}};
  return {loss_group(a, Per::Row, &b), pooled(loss_group(a, loss_per(a), &b)), {"nats", 1, true}};
}

}  // namespace

Json compare_runs(const RunResults& a, const RunResults& b) {
  if (a.settings["suite"] != b.settings["suite"])
    fail("{} is a run of the suite {}, {} one of {}: only runs of one suite compare", a.folder.string(),
         excerpt(a.settings["suite"].get<std::string>()), b.folder.string(),
         excerpt(b.settings["suite"].get<std::string>()));
  Group answers = answer_group(a, &b);
  PairedLosses losses = paired_losses(a, b);
  size_t pairs = cases_in(answers) + cases_in(losses.tasks);
  if (pairs == 0) fail("{} and {} have no case in common", a.folder.string(), b.folder.string());
  const Unit per_cent = {"%", 100, false};
  const Group& scored = answers.empty() ? losses.pool : answers;
  const Unit& unit = answers.empty() ? losses.unit : per_cent;
  Json diff = {
      {"suite", a.settings["suite"]},     {"a", a.folder.string()}, {"b", b.folder.string()},
      {"scoring", a.settings["scoring"]}, {"pairs", pairs},         {"only_a", a.cases.size() - pairs},
      {"only_b", b.cases.size() - pairs}};
  Json all = change_entry(scored, unit);
  for (const char* key : {"unit", "change", "low", "high", "p", "verdict"}) diff[key] = all[key];
  diff["all"] = std::move(all);
  if (!answers.empty() && !losses.pool.empty()) diff["loss"] = change_entry(losses.pool, losses.unit);
  Json tasks = Json::array(), changes = Json::array();
  add_tasks(tasks, answers, per_cent);
  add_tasks(tasks, losses.tasks, losses.unit);
  diff["tasks"] = std::move(tasks);
  diff["by"] = by_fields(scored, unit);
  add_changes(changes, "", comparable(a.settings), comparable(b.settings));
  diff["settings"] = std::move(changes);
  return diff;
}

}  // namespace longspan
