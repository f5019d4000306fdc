#include "eval/diff.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "eval/scores.h"

namespace longspan {

namespace {

/// How a change is written: answers in per cent; losses in nats a token, or in bits a byte when the two runs
/// count tokens differently.
struct Scale {
  Unit unit;
  double factor;
  bool less_is_better;
};
constexpr Scale kAnswers = {Unit::Percent, 100, false};

Verdict verdict_of(const Difference& d, const Scale& scale) {
  const Estimate& c = d.change;
  if (d.p > 0.05 || (c.low <= 0 && c.high >= 0)) return Verdict::Noise;
  return (c.mean > 0) != scale.less_is_better ? Verdict::Better : Verdict::Worse;
}

Change change_of(const Group& group, const Scale& scale) {
  Difference d = difference(group);
  Change c;
  c.a = scale.factor * score_of(group, 0);
  c.b = scale.factor * score_of(group, 1);
  c.change = {scale.factor * d.change.mean, scale.factor * d.change.low, scale.factor * d.change.high,
              d.change.n};
  c.p = d.p;
  c.unit = scale.unit;
  c.verdict = verdict_of(d, scale);
  return c;
}

std::vector<std::pair<std::string, std::vector<ChangeBy>>> changes_by_field(const Group& group,
                                                                            const Scale& scale) {
  std::vector<std::pair<std::string, std::vector<ChangeBy>>> by;
  for (const char* key : {"length", "depth", "lines", "class"}) {
    std::set<CellValue> values;
    for (const TaskScores& task : group)
      for (const CaseResult* c : task.cases)
        if (const CellValue* value = c->cell.find(key)) values.insert(*value);
    if (values.empty()) continue;
    std::vector<ChangeBy>& changes = by.emplace_back(key, std::vector<ChangeBy>()).second;
    for (const CellValue& value : values) {
      auto here = [&](const CaseResult& c) {
        const CellValue* own = c.cell.find(key);
        return own && *own == value;
      };
      changes.push_back({value, change_of(restricted(group, here), scale)});
    }
  }
  return by;
}

void add_tasks(std::vector<TaskChange>& tasks, const Group& group, const Scale& scale) {
  for (const TaskScores& task : group) tasks.push_back({task.name, change_of({task}, scale)});
}

/// Adds every value in which the two differ.
void add_changes(std::vector<SettingChange>& changes, const std::string& key, const Json& a, const Json& b) {
  if (a == b) return;
  if (!a.is_object() || !b.is_object()) {
    auto shown = [](const Json& value) { return value.is_object() ? Json("given") : value; };
    changes.push_back({key, shown(a), shown(b)});
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
Json comparable(const RunSettings& settings) {
  Json json = to_json(settings);
  json["tasks"] = Json::object();
  for (const TaskSettings& task : settings.tasks) json["tasks"][task.name] = to_json(task);
  json.erase("command");
  return json;
}

/// Losses of the cases of both runs. Bits a byte when the two count the tokens of a case differently.
struct PairedLosses {
  Group tasks, pool;
  Scale scale;
};
PairedLosses paired_losses(const RunResults& a, const RunResults& b) {
  Group tokens = loss_group(a, Per::Token, &b), bytes = loss_group(a, Per::Byte, &b);
  bool same = true, known = true;
  for (size_t t = 0; t < tokens.size(); ++t) {
    same = same && tokens[t].weights[0] == tokens[t].weights[1];
    for (const auto& weights : bytes[t].weights)
      known = known && std::all_of(weights.begin(), weights.end(), [](double w) { return w > 0; });
  }
  if (!same && known) return {bytes, pooled(bytes), {Unit::BitsPerByte, 1, true}};
  return {loss_group(a, Per::Row, &b), pooled(loss_group(a, loss_per(a), &b)), {Unit::Nats, 1, true}};
}

}  // namespace

RunDifference compare_runs(const RunResults& a, const RunResults& b) {
  if (a.settings.suite != b.settings.suite)
    fail("{} is a run of the suite {}, {} one of {}: only runs of one suite compare", a.folder.string(),
         excerpt(a.settings.suite), b.folder.string(), excerpt(b.settings.suite));
  Group answers = answer_group(a, &b);
  PairedLosses losses = paired_losses(a, b);
  size_t pairs = cases_in(answers) + cases_in(losses.tasks);
  if (pairs == 0) fail("{} and {} have no case in common", a.folder.string(), b.folder.string());
  const Group& scored = answers.empty() ? losses.pool : answers;
  const Scale& scale = answers.empty() ? losses.scale : kAnswers;
  RunDifference diff;
  diff.suite = a.settings.suite;
  diff.a = a.folder.string(), diff.b = b.folder.string();
  diff.scoring = a.settings.scoring;
  diff.pairs = pairs, diff.only_a = a.cases.size() - pairs, diff.only_b = b.cases.size() - pairs;
  diff.all = change_of(scored, scale);
  if (!answers.empty() && !losses.pool.empty()) diff.loss = change_of(losses.pool, losses.scale);
  add_tasks(diff.tasks, answers, kAnswers);
  add_tasks(diff.tasks, losses.tasks, losses.scale);
  diff.by = changes_by_field(scored, scale);
  add_changes(diff.settings, "", comparable(a.settings), comparable(b.settings));
  return diff;
}

}  // namespace longspan
