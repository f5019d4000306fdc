// summary.json and what `eval --json` prints.
#include "eval/summary.h"

namespace longspan {

namespace {

Json number_or_null(const auto& value) { return value ? Json(*value) : Json(); }

/// Without n, which stands elsewhere in some objects.
Json score_fields(const Score& score) {
  Json json = {{"score", score.value.mean},
               {"low", score.value.low},
               {"high", score.value.high},
               {"unit", name_of(score.unit)}};
  for (auto [key, value] : {std::pair("compat", score.compat),
                            {"clean", score.clean},
                            {"perplexity", score.perplexity},
                            {"bits_per_byte", score.bits_per_byte}})
    if (value) json[key] = *value;
  return json;
}

Json to_json(const Score& score) {
  Json json = {{"n", score.value.n}};
  json.update(score_fields(score));
  return json;
}

Json to_json(const std::vector<ScoreBy>& scores) {
  Json list = Json::array();
  for (const ScoreBy& by : scores) {
    Json entry = {{"value", to_json(by.value)}};
    entry.update(to_json(by.score));
    list.push_back(std::move(entry));
  }
  return list;
}

Json to_json(const ScoresBy& by) {
  Json object = Json::object();
  for (const auto& [field, scores] : by) object[field] = to_json(scores);
  return object;
}

Json to_json(const Warnings& w) {
  return {{"cut", w.cut}, {"stopped_by_length", w.stopped_by_length}, {"empty", w.empty}};
}

Json to_json(const TaskSummary& task) {
  Json json = {{"name", task.name},       {"category", task.category}, {"metric", task.metric}, {"n", 0},
               {"planned", task.planned}, {"score", nullptr}};
  if (!task.score) return json;
  json.update(to_json(*task.score));
  for (const auto& [metric, mean] : task.metrics) json["metrics"][metric] = mean;
  json.update(to_json(task.warnings));
  if (!task.by_length.empty()) json["by"] = {{"length", to_json(task.by_length)}};
  return json;
}

Json to_json(const CategorySummary& category) {
  Json json = {{"name", category.name}, {"tasks", category.tasks}};
  json.update(to_json(category.score));
  return json;
}

Json to_json(const Grid& grid) {
  auto values = [](const std::vector<CellValue>& from) {
    Json list = Json::array();
    for (const CellValue& value : from) list.push_back(to_json(value));
    return list;
  };
  Json cells = Json::array();
  for (const auto& from : grid.cells) {
    Json row = Json::array();
    for (const auto& cell : from) row.push_back(cell ? Json{{"score", cell->score}, {"n", cell->n}} : Json());
    cells.push_back(std::move(row));
  }
  return {{"task", grid.task},
          {"of", to_json(grid.of)},
          {"across", grid.across},
          {"lengths", values(grid.lengths)},
          {"depths", values(grid.depths)},
          {"cells", cells}};
}

Json to_json(const LossCurve& curve) {
  Json points = Json::array();
  for (const CurvePoint& p : curve.points) points.push_back({p.first, p.last, p.nats, p.tokens});
  return {
      {"task", curve.task}, {"length", curve.length ? to_json(*curve.length) : Json()}, {"points", points}};
}

Json to_json(const KnownScore& known) {
  return {{"model", known.model},
          {"task", known.task},
          {"length", known.length},
          {"score", known.score},
          {"source", known.source}};
}

Json to_json(const Cost& cost) {
  return {{"tokens", cost.tokens},
          {"read_tokens", number_or_null(cost.read_tokens)},
          {"reuse", number_or_null(cost.reuse)},
          {"seconds", cost.seconds}};
}

Json list_of(const auto& items) {
  Json list = Json::array();
  for (const auto& item : items) list.push_back(to_json(item));
  return list;
}

}  // namespace

const char* name_of(Unit unit) {
  return unit == Unit::Percent ? "%" : unit == Unit::Nats ? "nats" : "bits a byte";
}

Json to_json(const std::vector<Grid>& grids) { return list_of(grids); }

Json to_json(const Summary& s) {
  Json json = {{"suite", s.suite},
               {"dialect", s.dialect},
               {"scoring", name_of(s.scoring)},
               {"score", nullptr},
               {"unit", name_of(s.unit)}};
  if (s.score) json.update(score_fields(*s.score));
  if (s.loss) json["loss"] = to_json(*s.loss);
  json["cases"] = s.cases;
  json["planned"] = s.planned;
  json["complete"] = s.complete();
  json["warnings"] = to_json(s.warnings);
  json["tasks"] = list_of(s.tasks);
  json["categories"] = list_of(s.categories);
  json["by"] = to_json(s.by);
  json["grids"] = to_json(s.grids);
  json["curve"] = list_of(s.curves);
  json["known"] = list_of(s.known);
  json["settings"] = to_json(s.settings);
  json["cost"] = to_json(s.cost);
  return json;
}

}  // namespace longspan
