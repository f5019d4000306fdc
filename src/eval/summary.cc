#include "eval/summary.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "eval/scores.h"
#include "suites/known_scores.h"

namespace longspan {

namespace {

constexpr size_t kMostValues = 64;   // of a cell's field that tables group by
constexpr size_t kMostAcross = 128;  // rows and columns of a grid

/// What tables say of a group of answers, in per cent.
Json answer_entry(const Group& group, const std::string& scoring) {
  Estimate e = estimate(group);
  double counts = 100 * score_of(group, 0), other = 100 * score_of(group, 1);
  bool clean = scoring == "clean";
  return {{"n", e.n},
          {"score", 100 * e.mean},
          {"low", 100 * e.low},
          {"high", 100 * e.high},
          {"unit", "%"},
          {"compat", clean ? other : counts},
          {"clean", clean ? counts : other}};
}

/// Of losses, in nats a token; bits per byte where all cases know their bytes.
Json loss_entry(const Group& group) {
  Estimate e = estimate(pooled(group));
  Json entry = {{"n", e.n},       {"score", e.mean}, {"low", e.low},
                {"high", e.high}, {"unit", "nats"},  {"perplexity", std::exp(e.mean)}};
  double nll = 0, bytes = 0;
  bool all = true;
  for (const TaskScores& task : group)
    for (const CaseResult* c : task.cases) {
      double of_case = c->result.value("bytes", 0.0);
      all = all && of_case > 0;
      nll += c->result.at("nll").get<double>(), bytes += of_case;
    }
  if (all) entry["bits_per_byte"] = nll / bytes / std::numbers::ln2;
  return entry;
}

Json entry_of(const Group& group, const std::string& scoring) {
  return group.front().loss ? loss_entry(group) : answer_entry(group, scoring);
}

const Json* field_of(const CaseResult& c, const std::string& key) {
  auto cell = c.result.find("cell");
  if (cell == c.result.end()) return nullptr;
  auto found = cell->find(key);
  return found == cell->end() ? nullptr : &*found;
}

/// Fields of the cells with their values, sorted (numbers before texts).
std::map<std::string, std::set<Json>> fields_of(const Group& group) {
  std::map<std::string, std::set<Json>> fields;
  for (const TaskScores& task : group)
    for (const CaseResult* c : task.cases)
      if (c->result.contains("cell"))
        for (const auto& [key, value] : c->result["cell"].items()) fields[key].insert(value);
  return fields;
}

Group with_value(const Group& group, const std::string& key, const Json& value) {
  return restricted(group, [&](const CaseResult& c) {
    const Json* field = field_of(c, key);
    return field && *field == value;
  });
}

Json entries_by(const Group& group, const std::string& key, const std::set<Json>& values,
                const std::string& scoring) {
  Json entries = Json::array();
  for (const Json& value : values) {
    Json entry = {{"value", value}};
    entry.update(entry_of(with_value(group, key, value), scoring));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Json by_fields(const Group& group, const std::string& scoring) {
  Json by = Json::object();
  for (const auto& [key, values] : fields_of(group))
    if (key == "length" || key == "depth" || (values.size() > 1 && values.size() <= kMostValues))
      by[key] = entries_by(group, key, values, scoring);
  return by;
}

/// "rouge_1" or "geometric_mean of rouge_1, rouge_2": what the score of a task is.
std::string metric_of(const Json& task, const CaseResult& first) {
  if (first.result["kind"] == "loss") return "loss, nats a token";
  std::vector<std::string> names = metrics_of(task, first);
  if (combine_of(task) == Combine::First) return names.front();
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return task["combine"].get<std::string>() + " of " + all;
}

/// Means of several metrics in per cent; null where there is one.
Json metric_means(const Json& task, const TaskScores& scores, const std::string& scoring) {
  Json means = Json::object();
  std::vector<std::string> names = metrics_of(task, *scores.cases.front());
  if (scores.loss || names.size() < 2) return nullptr;
  for (const std::string& name : names) {
    double sum = 0;
    for (const CaseResult* c : scores.cases) {
      const Json& all = c->result["scores"];
      if (!all.contains(name)) return nullptr;
      sum += all[name][scoring].get<double>();
    }
    means[name] = 100 * sum / static_cast<double>(scores.cases.size());
  }
  return means;
}

/// Cases that a reader should know about.
Json warnings_of(const std::vector<const CaseResult*>& cases) {
  int64_t cut = 0, stopped = 0, empty = 0;
  for (const CaseResult* c : cases) {
    cut += c->result.value("cut_tokens", 0.0) > 0;
    stopped += c->result.value("stop", "") == "length";
    empty += c->result["kind"] == "answer" &&
             c->result["prediction"].get_ref<const std::string&>().find_first_not_of(" \t\r\n") ==
                 std::string::npos;
  }
  return {{"cut", cut}, {"stopped_by_length", stopped}, {"empty", empty}};
}

/// The tasks of one unit with what a table says of each; tasks without a case have none.
Json task_entry(const Json& task, const Group& answers, const Group& losses, const std::string& scoring) {
  Json entry = {{"name", task["name"]},
                {"category", task.value("category", "")},
                {"metric", ""},
                {"n", 0},
                {"planned", task["cases"]},
                {"score", nullptr}};
  for (const Group* group : {&answers, &losses})
    for (const TaskScores& t : *group) {
      if (t.name != task["name"]) continue;
      entry["metric"] = metric_of(task, *t.cases.front());
      entry.update(entry_of({t}, scoring));
      if (Json means = metric_means(task, t, scoring); !means.is_null()) entry["metrics"] = std::move(means);
      entry.update(warnings_of(t.cases));
      if (auto fields = fields_of({t}); fields["length"].size() > 1)
        entry["by"] = {{"length", entries_by({t}, "length", fields["length"], scoring)}};
    }
  return entry;
}

Json category_entries(const Group& answers, const std::string& scoring) {
  Json categories = Json::array();
  std::set<std::string> done = {""};
  for (const TaskScores& task : answers) {
    if (!done.insert(task.category).second) continue;
    Group group;
    for (const TaskScores& t : answers)
      if (t.category == task.category) group.push_back(t);
    Json entry = {{"name", task.category}, {"tasks", group.size()}};
    entry.update(answer_entry(group, scoring));
    categories.push_back(std::move(entry));
  }
  return categories;
}

/// Scores of a task in per cent, a row a depth, a column a length (or whatever field `across` names); `of`
/// says which cases.
Json grid(const TaskScores& task, const std::string& across, const Json& of) {
  auto fields = fields_of({task});
  std::map<std::pair<Json, Json>, std::vector<const CaseResult*>> at;  // depth, length
  for (const CaseResult* c : task.cases) at[{*field_of(*c, "depth"), *field_of(*c, across)}].push_back(c);
  Json cells = Json::array();
  for (const Json& depth : fields["depth"]) {
    Json row = Json::array();
    for (const Json& length : fields[across]) {
      auto found = at.find({depth, length});
      if (found == at.end()) {
        row.push_back(nullptr);
        continue;
      }
      const auto& inside = found->second;
      Group cell = restricted({task}, [&](const CaseResult& c) {
        return std::find(inside.begin(), inside.end(), &c) != inside.end();
      });
      row.push_back({{"score", 100 * score_of(cell)}, {"n", cases_in(cell)}});
    }
    cells.push_back(std::move(row));
  }
  return {{"task", task.name},         {"of", of},      {"across", across}, {"lengths", fields[across]},
          {"depths", fields["depth"]}, {"cells", cells}};
}

/// All cases have numbers there.
bool has_numbers(const TaskScores& task, const std::string& key) {
  return std::all_of(task.cases.begin(), task.cases.end(), [&](const CaseResult* c) {
    const Json* field = field_of(*c, key);
    return field && field->is_number();
  });
}

/// A grid for each task whose cells have depth and length (or lines), and one for each needle and language of
/// several; none where most of it would be empty.
Json grids_of(const Group& answers) {
  Json grids = Json::array();
  for (const TaskScores& task : answers) {
    std::string across = has_numbers(task, "length") ? "length" : "lines";
    if (!has_numbers(task, "depth") || !has_numbers(task, across)) continue;
    auto fields = fields_of({task});
    size_t columns = fields[across].size(), rows = fields["depth"].size();
    if (std::max(columns, rows) > kMostAcross || columns * rows > 4 * task.cases.size()) continue;
    grids.push_back(grid(task, across, Json::object()));
    for (const char* key : {"needle", "language"})
      if (fields[key].size() > 1 && fields[key].size() <= kMostValues)
        for (const Json& value : fields[key])
          grids.push_back(grid(with_value({task}, key, value).front(), across, {{key, value}}));
  }
  return grids;
}

/// Losses by position: of each task and length, [first, last, nats a token, tokens] in order.
Json curve_of(const Group& losses) {
  std::map<std::pair<size_t, Json>, std::map<std::pair<double, double>, std::pair<double, double>>> sums;
  for (size_t t = 0; t < losses.size(); ++t)
    for (const CaseResult* c : losses[t].cases) {
      if (!c->result.contains("buckets")) continue;
      const Json* length = field_of(*c, "length");
      for (const Json& b : c->result["buckets"]) {
        auto& [sum, count] = sums[{t, length ? *length : Json()}][{b[0], b[1]}];
        sum += b[2].get<double>(), count += b[3].get<double>();
      }
    }
  Json curves = Json::array();
  for (const auto& [key, buckets] : sums) {
    Json points = Json::array();
    for (const auto& [range, sum] : buckets)
      if (sum.second > 0) points.push_back({range.first, range.second, sum.first / sum.second, sum.second});
    if (!points.empty())
      curves.push_back({{"task", losses[key.first].name}, {"length", key.second}, {"points", points}});
  }
  return curves;
}

Json known_of(const Json& settings) {
  Json rows = Json::array();
  for (const KnownScore& known :
       known_scores(settings["suite"].get<std::string>(), settings.value("dialect", "")))
    rows.push_back({{"model", known.model},
                    {"task", known.task},
                    {"length", known.length},
                    {"score", known.score},
                    {"source", known.source}});
  return rows;
}

/// read_tokens and reuse are null when a server did not say what it read.
Json cost_of(const RunResults& run) {
  double tokens = 0, read = 0, seconds = 0;
  bool known = true;
  for (const CaseResult& c : run.cases) {
    double of_case = c.result.value("read_tokens", 0.0);
    known = known && of_case >= 0;
    tokens += c.result.value("prompt_tokens", 0.0);
    read += of_case;
    seconds += c.result.value("seconds", 0.0);
  }
  return {{"tokens", std::llround(tokens)},
          {"read_tokens", known ? Json(std::llround(read)) : Json()},
          {"reuse", known && tokens > 0 ? Json(1 - read / tokens) : Json()},
          {"seconds", seconds}};
}

}  // namespace

Json summarise(const RunResults& run) {
  const Json& settings = run.settings;
  std::string scoring = settings["scoring"];
  Group answers = answer_group(run), losses = loss_group(run, Per::Row);
  Group pool = pooled(loss_group(run, loss_per(run)));
  int64_t planned = 0;
  Json tasks = Json::array();
  for (const Json& task : settings["tasks"]) {
    planned += task["cases"].get<int64_t>();
    tasks.push_back(task_entry(task, answers, losses, scoring));
  }
  Json summary = {{"suite", settings["suite"]},
                  {"dialect", settings.value("dialect", "")},
                  {"scoring", scoring},
                  {"score", nullptr},
                  {"unit", answers.empty() && !losses.empty() ? "nats" : "%"}};
  const Group& scored = answers.empty() ? pool : answers;
  if (!scored.empty()) summary.update(entry_of(scored, scoring));
  summary.erase("n");
  if (!answers.empty() && !losses.empty()) summary["loss"] = loss_entry(pool);
  auto cases = static_cast<int64_t>(run.cases.size());
  std::vector<const CaseResult*> all;
  for (const CaseResult& c : run.cases) all.push_back(&c);
  summary["cases"] = cases;
  summary["planned"] = planned;
  summary["complete"] = cases >= planned;
  summary["warnings"] = warnings_of(all);
  summary["tasks"] = std::move(tasks);
  summary["categories"] = category_entries(answers, scoring);
  summary["by"] = scored.empty() ? Json::object() : by_fields(scored, scoring);
  summary["grids"] = grids_of(answers);
  summary["curve"] = curve_of(losses);
  summary["known"] = known_of(settings);
  summary["settings"] = settings;
  summary["cost"] = cost_of(run);
  return summary;
}

}  // namespace longspan
