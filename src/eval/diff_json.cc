// What `eval diff --json` prints.
#include "eval/diff.h"

namespace longspan {

namespace {

Json change_fields(const Change& c) {
  return {{"unit", name_of(c.unit)},
          {"change", c.change.mean},
          {"low", c.change.low},
          {"high", c.change.high},
          {"p", c.p},
          {"verdict", name_of(c.verdict)}};
}

Json to_json(const Change& c) {
  Json json = {{"n", c.change.n}, {"a", c.a}, {"b", c.b}};
  json.update(change_fields(c));
  return json;
}

}  // namespace

const char* name_of(Verdict verdict) {
  return verdict == Verdict::Noise ? "noise" : verdict == Verdict::Better ? "better" : "worse";
}

Json to_json(const RunDifference& d) {
  Json json = {{"suite", d.suite}, {"a", d.a},           {"b", d.b},          {"scoring", name_of(d.scoring)},
               {"pairs", d.pairs}, {"only_a", d.only_a}, {"only_b", d.only_b}};
  json.update(change_fields(d.all));
  json["all"] = to_json(d.all);
  if (d.loss) json["loss"] = to_json(*d.loss);
  json["tasks"] = Json::array();
  for (const TaskChange& task : d.tasks) {
    Json entry = {{"name", task.name}};
    entry.update(to_json(task.change));
    json["tasks"].push_back(std::move(entry));
  }
  json["by"] = Json::object();
  for (const auto& [field, changes] : d.by)
    for (const ChangeBy& by : changes) {
      Json entry = {{"value", to_json(by.value)}};
      entry.update(to_json(by.change));
      json["by"][field].push_back(std::move(entry));
    }
  json["settings"] = Json::array();
  for (const SettingChange& s : d.settings)
    json["settings"].push_back({{"key", s.key}, {"a", s.a}, {"b", s.b}});
  return json;
}

}  // namespace longspan
