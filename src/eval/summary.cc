#include "eval/summary.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "eval/scores.h"

namespace longspan {

namespace {

constexpr size_t kMostValues = 64;   // of a cell's field that tables group by
constexpr size_t kMostAcross = 128;  // rows and columns of a grid

Score answer_score(const Group& group, Scoring scoring) {
  Estimate e = estimate(group);
  double counts = 100 * score_of(group, 0), other = 100 * score_of(group, 1);
  bool clean = scoring == Scoring::kClean;
  Score score;
  score.value = {100 * e.mean, 100 * e.low, 100 * e.high, e.n};
  score.compat = clean ? other : counts;
  score.clean = clean ? counts : other;
  return score;
}

Score loss_score(const Group& group) {
  Score score;
  score.value = estimate(pooled(group));
  score.unit = Unit::Nats;
  score.perplexity = std::exp(score.value.mean);
  double nll = 0, bytes = 0;
  bool all = true;
  for (const TaskScores& task : group)
    for (const CaseResult* c : task.cases) {
      all = all && c->bytes > 0;
      nll += c->nll, bytes += static_cast<double>(c->bytes);
    }
  if (all) score.bits_per_byte = nll / bytes / std::numbers::ln2;
  return score;
}

Score score_of_either(const Group& group, Scoring scoring) {
  return group.front().loss ? loss_score(group) : answer_score(group, scoring);
}

using Values = std::set<CellValue>;

/// Fields of the cells with their values, sorted.
std::map<std::string, Values> fields_of(const Group& group) {
  std::map<std::string, Values> fields;
  for (const TaskScores& task : group)
    for (const CaseResult* c : task.cases)
      for (const auto& [key, value] : c->cell.fields) fields[key].insert(value);
  return fields;
}

Group with_value(const Group& group, const std::string& key, const CellValue& value) {
  return restricted(group, [&](const CaseResult& c) {
    const CellValue* field = c.cell.find(key);
    return field && *field == value;
  });
}

std::vector<ScoreBy> scores_by(const Group& group, const std::string& key, const Values& values,
                               Scoring scoring) {
  std::vector<ScoreBy> scores;
  for (const CellValue& value : values)
    scores.push_back({value, score_of_either(with_value(group, key, value), scoring)});
  return scores;
}

ScoresBy by_fields(const Group& group, Scoring scoring) {
  ScoresBy by;
  for (const auto& [key, values] : fields_of(group))
    if (key == "length" || key == "depth" || (values.size() > 1 && values.size() <= kMostValues))
      by.emplace_back(key, scores_by(group, key, values, scoring));
  return by;
}

std::string metric_of(const TaskSettings& task, const CaseResult& first) {
  if (first.kind == CaseKind::Loss) return "loss, nats a token";
  std::vector<std::string> names = metrics_of(task, first);
  if (combine_of(task) == Combine::First) return names.front();
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return task.combine + " of " + all;
}

/// Means of several metrics in per cent; none where there is one, or a case lacks one.
std::vector<std::pair<std::string, double>> metric_means(const TaskSettings& task, const TaskScores& scores,
                                                         Scoring scoring) {
  std::vector<std::pair<std::string, double>> means;
  std::vector<std::string> names = metrics_of(task, *scores.cases.front());
  if (scores.loss || names.size() < 2) return {};
  for (const std::string& name : names) {
    double sum = 0;
    for (const CaseResult* c : scores.cases) {
      const MetricScore* score = c->score(name);
      if (!score) return {};
      sum += score->of(scoring);
    }
    means.emplace_back(name, 100 * sum / static_cast<double>(scores.cases.size()));
  }
  return means;
}

void count_warnings(Warnings& warnings, const CaseResult& c) {
  warnings.cut += c.cut_tokens > 0;
  warnings.stopped_by_length += c.stop == "length";
  warnings.empty +=
      c.kind == CaseKind::Answer && c.prediction.find_first_not_of(" \t\r\n") == std::string::npos;
}

TaskSummary task_summary(const TaskSettings& task, const Group& answers, const Group& losses,
                         Scoring scoring) {
  TaskSummary summary{task.name, task.category, "", task.cases, {}};
  for (const Group* group : {&answers, &losses})
    for (const TaskScores& t : *group) {
      if (t.name != task.name) continue;
      summary.metric = metric_of(task, *t.cases.front());
      summary.score = score_of_either({t}, scoring);
      summary.metrics = metric_means(task, t, scoring);
      summary.warnings = {};
      for (const CaseResult* c : t.cases) count_warnings(summary.warnings, *c);
      if (auto fields = fields_of({t}); fields["length"].size() > 1)
        summary.by_length = scores_by({t}, "length", fields["length"], scoring);
    }
  return summary;
}

std::vector<CategorySummary> category_summaries(const Group& answers, Scoring scoring) {
  std::vector<CategorySummary> categories;
  std::set<std::string> done = {""};
  for (const TaskScores& task : answers) {
    if (!done.insert(task.category).second) continue;
    Group group;
    for (const TaskScores& t : answers)
      if (t.category == task.category) group.push_back(t);
    categories.push_back({task.category, std::ssize(group), answer_score(group, scoring)});
  }
  return categories;
}

Grid grid_of(const TaskScores& task, const std::string& across, const Cell& of) {
  auto fields = fields_of({task});
  const Values &lengths = fields[across], &depths = fields["depth"];
  std::map<std::pair<CellValue, CellValue>, std::vector<const CaseResult*>> at;  // depth, length
  for (const CaseResult* c : task.cases) at[{c->cell.at("depth"), c->cell.at(across)}].push_back(c);
  Grid grid{task.name, of, across, {lengths.begin(), lengths.end()}, {depths.begin(), depths.end()}};
  for (const CellValue& depth : depths) {
    std::vector<std::optional<GridCell>>& row = grid.cells.emplace_back();
    for (const CellValue& length : lengths) {
      row.emplace_back();
      auto found = at.find({depth, length});
      if (found == at.end()) continue;
      const auto& inside = found->second;
      Group cell = restricted({task}, [&](const CaseResult& c) {
        return std::find(inside.begin(), inside.end(), &c) != inside.end();
      });
      row.back() = GridCell{100 * score_of(cell), static_cast<int64_t>(cases_in(cell))};
    }
  }
  return grid;
}

/// All cases have numbers there.
bool has_numbers(const TaskScores& task, const std::string& key) {
  return std::all_of(task.cases.begin(), task.cases.end(), [&](const CaseResult* c) {
    const CellValue* field = c->cell.find(key);
    return field && field->is_number();
  });
}

/// A grid for each task whose cells have depth and length (or lines), and one for each needle and language of
/// several; none where most of it would be empty.
std::vector<Grid> grids_of(const Group& answers) {
  std::vector<Grid> grids;
  for (const TaskScores& task : answers) {
    std::string across = has_numbers(task, "length") ? "length" : "lines";
    if (!has_numbers(task, "depth") || !has_numbers(task, across)) continue;
    auto fields = fields_of({task});
    size_t columns = fields[across].size(), rows = fields["depth"].size();
    if (std::max(columns, rows) > kMostAcross || columns * rows > 4 * task.cases.size()) continue;
    grids.push_back(grid_of(task, across, {}));
    for (const char* key : {"needle", "language"})
      if (fields[key].size() > 1 && fields[key].size() <= kMostValues)
        for (const CellValue& value : fields[key])
          grids.push_back(grid_of(with_value({task}, key, value).front(), across, {{{key, value}}}));
  }
  return grids;
}

/// Of each task and length.
std::vector<LossCurve> curves_of(const Group& losses) {
  using Key = std::pair<size_t, std::optional<CellValue>>;
  std::map<Key, std::map<std::pair<int64_t, int64_t>, std::pair<double, double>>> sums;  // nats, tokens
  for (size_t t = 0; t < losses.size(); ++t)
    for (const CaseResult* c : losses[t].cases) {
      if (c->buckets.empty()) continue;
      const CellValue* length = c->cell.find("length");
      auto& of_length = sums[{t, length ? std::optional(*length) : std::nullopt}];
      for (const PositionBucket& b : c->buckets) {
        auto& [nats, tokens] = of_length[{b.first, b.last}];
        nats += b.sum, tokens += static_cast<double>(b.count);
      }
    }
  std::vector<LossCurve> curves;
  for (const auto& [key, buckets] : sums) {
    LossCurve curve{losses[key.first].name, key.second, {}};
    for (const auto& [range, sum] : buckets)
      if (sum.second > 0)
        curve.points.push_back({static_cast<double>(range.first), static_cast<double>(range.second),
                                sum.first / sum.second, sum.second});
    if (!curve.points.empty()) curves.push_back(std::move(curve));
  }
  return curves;
}

Cost cost_of(const RunResults& run) {
  Cost cost;
  int64_t read = 0;
  bool known = true;
  for (const CaseResult& c : run.cases) {
    known = known && c.read_tokens >= 0;
    cost.tokens += c.prompt_tokens;
    read += c.read_tokens;
    cost.seconds += c.seconds;
  }
  if (!known) return cost;
  cost.read_tokens = read;
  if (cost.tokens > 0) cost.reuse = 1 - static_cast<double>(read) / static_cast<double>(cost.tokens);
  return cost;
}

}  // namespace

Summary summarise(const RunResults& run) {
  const RunSettings& settings = run.settings;
  Group answers = answer_group(run), losses = loss_group(run, Per::Row);
  Group pool = pooled(loss_group(run, loss_per(run)));
  const Group& scored = answers.empty() ? pool : answers;
  Summary summary;
  summary.suite = settings.suite;
  summary.dialect = settings.dialect;
  summary.scoring = settings.scoring;
  summary.unit = answers.empty() && !losses.empty() ? Unit::Nats : Unit::Percent;
  if (!scored.empty()) summary.score = score_of_either(scored, settings.scoring);
  if (!answers.empty() && !losses.empty()) summary.loss = loss_score(pool);
  summary.cases = std::ssize(run.cases);
  for (const CaseResult& c : run.cases) count_warnings(summary.warnings, c);
  for (const TaskSettings& task : settings.tasks) {
    summary.planned += task.cases;
    summary.tasks.push_back(task_summary(task, answers, losses, settings.scoring));
  }
  summary.categories = category_summaries(answers, settings.scoring);
  if (!scored.empty()) summary.by = by_fields(scored, settings.scoring);
  summary.grids = grids_of(answers);
  summary.curves = curves_of(losses);
  summary.known = known_scores(settings.suite, settings.dialect);
  summary.settings = settings;
  summary.cost = cost_of(run);
  return summary;
}

const std::vector<ScoreBy>& by_field(const Summary& summary, const std::string& field) {
  static const std::vector<ScoreBy> kNone;
  for (const auto& [name, scores] : summary.by)
    if (name == field) return scores;
  return kNone;
}

}  // namespace longspan
