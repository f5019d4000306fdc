#include "eval/scores.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

double combined(Combine combine, std::span<const double> means) {
  if (combine == Combine::First) return means.front();
  double sum = 0, product = 1;
  for (double mean : means) sum += mean, product *= mean;
  auto n = static_cast<double>(means.size());
  return combine == Combine::Mean ? sum / n : std::pow(std::max(product, 0.0), 1 / n);
}

double scored(const CaseResult& result, const std::string& metric, Scoring scoring) {
  const MetricScore* score = result.score(metric);
  if (!score)
    fail("the case {} has no score {}, which its task names", excerpt(result.id), in_quotes(metric));
  return score->of(scoring);
}

/// Score of one task from the drawn rows; version[i] is the version that draw i is taken from.
double task_score(const TaskScores& task, std::span<const uint32_t> rows, std::span<const uint8_t> version) {
  std::vector<double> means(task.columns[0].size());
  double weight = 0;
  for (size_t i = 0; i < rows.size(); ++i) weight += task.weights[version[i]][rows[i]];
  for (size_t m = 0; m < means.size(); ++m) {
    double sum = 0;
    for (size_t i = 0; i < rows.size(); ++i) sum += task.columns[version[i]][m][rows[i]];
    means[m] = sum / weight;
  }
  return combined(task.combine, means);
}

/// Index of each task's category; a task without a category has one of its own.
std::vector<size_t> category_indices(const Group& group, size_t& count) {
  std::map<std::pair<bool, std::string>, size_t> known;
  std::vector<size_t> indices;
  for (const TaskScores& task : group)
    indices.push_back(
        known
            .try_emplace({task.category.empty(), task.category.empty() ? task.name : task.category},
                         known.size())
            .first->second);
  count = known.size();
  return indices;
}

std::vector<size_t> sizes_of(const Group& group) {
  std::vector<size_t> sizes;
  for (const TaskScores& task : group) sizes.push_back(task.cases.size());
  return sizes;
}

/// The group's score of drawn rows; the rows of its tasks follow each other.
class GroupScore {
 public:
  explicit GroupScore(const Group& group) : group_(group), category_(category_indices(group, categories_)) {
    members_.assign(categories_, 0);
    for (size_t c : category_) ++members_[c];
  }
  double operator()(std::span<const uint32_t> rows, std::span<const uint8_t> version) const {
    double sum = 0;
    size_t at = 0;
    for (size_t t = 0; t < group_.size(); ++t) {
      size_t n = group_[t].cases.size();
      sum += task_score(group_[t], rows.subspan(at, n), version.subspan(at, n)) * weight(t);
      at += n;
    }
    return sum;
  }
  /// Weight of a task in the score; the sum over tasks is 1.
  double weight(size_t task) const {
    return 1 / (static_cast<double>(categories_) * static_cast<double>(members_[category_[task]]));
  }

 private:
  const Group& group_;
  size_t categories_ = 0;
  std::vector<size_t> category_, members_;
};

void add_case(TaskScores& task, int version, const CaseResult& result, const TaskSettings& row,
              Scoring scoring) {
  std::vector<std::string> names = metrics_of(row, result);
  if (names.empty()) fail("the case {} has no score", excerpt(result.id));
  auto& columns = task.columns[version];
  columns.resize(task.combine == Combine::First ? 1 : names.size());
  for (size_t m = 0; m < columns.size(); ++m) columns[m].push_back(scored(result, names[m], scoring));
  task.weights[version].push_back(1);
}

void add_loss(TaskScores& task, int version, const CaseResult& result, Per per) {
  auto tokens = static_cast<double>(result.tokens);
  double value = result.nll, weight = tokens;
  if (per == Per::Window) value = result.nll / tokens, weight = 1;
  if (per == Per::Byte) value = result.nll / std::numbers::ln2, weight = static_cast<double>(result.bytes);
  task.columns[version].resize(1);
  task.columns[version][0].push_back(value);
  task.weights[version].push_back(weight);
}

bool weighs_windows(const TaskSettings& task) { return task.combine == "window_mean"; }

bool is_loss(const CaseResult& result) { return result.kind == CaseKind::Loss; }

/// Sorts the cases of a run into its tasks; `add` appends a case and its counterpart to the columns.
Group gather(
    const RunResults& run, bool loss, const RunResults* other,
    const std::function<void(TaskScores&, const TaskSettings&, const CaseResult&, const CaseResult*)>& add) {
  std::map<std::string, size_t> index;
  Group group;
  for (const TaskSettings& row : run.settings.tasks) {
    index[row.name] = group.size();
    TaskScores task;
    task.name = row.name, task.category = row.category;
    task.loss = loss;
    task.combine = loss ? Combine::First : combine_of(row);
    group.push_back(std::move(task));
  }
  for (const CaseResult& result : run.cases) {
    if (is_loss(result) != loss) continue;
    const CaseResult* partner = nullptr;
    if (other) {
      partner = find_case(*other, result.id);
      if (!partner || is_loss(*partner) != loss) continue;
    }
    size_t t = index.at(result.task);
    add(group[t], run.settings.tasks[t], result, partner);
    group[t].cases.push_back(&result);
  }
  std::erase_if(group, [](const TaskScores& task) { return task.cases.empty(); });
  return group;
}

}  // namespace

std::vector<std::string> metrics_of(const TaskSettings& task, const CaseResult& result) {
  std::vector<std::string> names = task.metrics;
  if (names.empty())
    for (const MetricScore& score : result.scores) names.push_back(score.metric);
  return names;
}

Combine combine_of(const TaskSettings& task) {
  if (task.combine == "geometric_mean") return Combine::Geometric;
  return task.combine == "mean" ? Combine::Mean : Combine::First;
}

Group answer_group(const RunResults& run, const RunResults* other) {
  Scoring scoring = run.settings.scoring, second = scoring;
  if (!other) second = scoring == Scoring::kClean ? Scoring::kCompat : Scoring::kClean;
  return gather(run, false, other,
                [&](TaskScores& task, const TaskSettings& row, const CaseResult& a, const CaseResult* b) {
                  add_case(task, 0, a, row, scoring);
                  add_case(task, 1, b ? *b : a, row, second);
                });
}

Group loss_group(const RunResults& run, Per per, const RunResults* other) {
  return gather(run, true, other,
                [&](TaskScores& task, const TaskSettings& row, const CaseResult& a, const CaseResult* b) {
                  Per what = per != Per::Row ? per : weighs_windows(row) ? Per::Window : Per::Token;
                  add_loss(task, 0, a, what);
                  add_loss(task, 1, b ? *b : a, what);
                });
}

Per loss_per(const RunResults& run) {
  auto any_token = [&](const CaseResult& result) {
    const TaskSettings* task = find_task(run.settings, result.task);
    return is_loss(result) && !(task && weighs_windows(*task));
  };
  return std::any_of(run.cases.begin(), run.cases.end(), any_token) ? Per::Token : Per::Window;
}

Group pooled(const Group& group) {
  if (group.size() < 2) return group;
  TaskScores all = group.front();
  for (size_t t = 1; t < group.size(); ++t) {
    auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
    append(all.cases, group[t].cases);
    for (int version : {0, 1}) {
      append(all.columns[version][0], group[t].columns[version][0]);
      append(all.weights[version], group[t].weights[version]);
    }
  }
  return {all};
}

Group restricted(const Group& group, const std::function<bool(const CaseResult&)>& keep) {
  Group out;
  for (const TaskScores& task : group) {
    TaskScores part = task;
    std::vector<size_t> kept;
    for (size_t i = 0; i < task.cases.size(); ++i)
      if (keep(*task.cases[i])) kept.push_back(i);
    if (kept.empty()) continue;
    auto pick = [&](auto& to, const auto& from) {
      to.clear();
      for (size_t i : kept) to.push_back(from[i]);
    };
    pick(part.cases, task.cases);
    for (int version : {0, 1}) {
      pick(part.weights[version], task.weights[version]);
      for (size_t m = 0; m < task.columns[version].size(); ++m)
        pick(part.columns[version][m], task.columns[version][m]);
    }
    out.push_back(std::move(part));
  }
  return out;
}

size_t cases_in(const Group& group) {
  size_t n = 0;
  for (const TaskScores& task : group) n += task.cases.size();
  return n;
}

double score_of(const Group& group, int version) {
  std::vector<uint32_t> rows = every_row(sizes_of(group));
  std::vector<uint8_t> versions(rows.size(), static_cast<uint8_t>(version));
  return GroupScore(group)(rows, versions);
}

namespace {

bool has_few_cases(const Group& group) {
  constexpr size_t kFew = 10;
  return std::any_of(group.begin(), group.end(), [](const TaskScores& t) { return t.cases.size() < kFew; });
}

bool hits_and_misses(const Group& group, int version) {
  return std::all_of(group.begin(), group.end(), [&](const TaskScores& t) {
    return !t.loss && t.columns[version].size() == 1 && zero_or_one(t.columns[version][0]);
  });
}

/// Independent cases of equal weight that would say as much (Kish 1965).
double effective_cases(const Group& group, const GroupScore& score) {
  double squares = 0;
  for (size_t t = 0; t < group.size(); ++t)
    squares += score.weight(t) * score.weight(t) / static_cast<double>(group[t].cases.size());
  return 1 / squares;
}

/// How far each case pulls the score of its task from where it is, times the number of cases; the sum is 0.
/// The score is linear in these but for the geometric mean, of which this is the first order.
std::vector<double> pulls(const TaskScores& task, int version) {
  const std::vector<double>& weights = task.weights[version];
  const auto& columns = task.columns[version];
  const auto n = static_cast<double>(weights.size()), metrics = static_cast<double>(columns.size());
  const double weight = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> means, all(weights.size());
  for (const auto& column : columns)
    means.push_back(std::accumulate(column.begin(), column.end(), 0.0) / weight);
  const double whole = combined(task.combine, means);
  for (size_t m = 0; m < columns.size(); ++m) {
    double share = task.combine == Combine::First ? 1 : 1 / metrics;
    if (task.combine == Combine::First && m > 0) break;
    if (task.combine == Combine::Geometric) share = means[m] > 0 ? whole / means[m] / metrics : 0;
    for (size_t i = 0; i < all.size(); ++i)
      all[i] += share * (columns[m][i] - means[m] * weights[i]) * n / weight;
  }
  return all;
}

/// Student's t interval around `mean`; `change`: of version 1 against version 0. The variance within tasks is
/// pooled, so that a task of two equal cases does not count as certain.
Interval student(const Group& group, const GroupScore& score, double mean, bool change) {
  double squares = 0, share = 0;
  int64_t freedom = 0;
  for (size_t t = 0; t < group.size(); ++t) {
    std::vector<double> all = pulls(group[t], change ? 1 : 0);
    if (change) {
      std::vector<double> first = pulls(group[t], 0);
      for (size_t i = 0; i < all.size(); ++i) all[i] -= first[i];
    }
    for (double pull : all) squares += pull * pull;
    freedom += std::ssize(all) - 1;
    share += score.weight(t) * score.weight(t) / static_cast<double>(all.size());
  }
  if (freedom == 0) return {mean, mean};
  double half = student975(freedom) * std::sqrt(squares / static_cast<double>(freedom) * share);
  return {mean - half, mean + half};
}

/// Share of the score that comes from cases which are hits in both versions.
double hits_in_both(const Group& group, const GroupScore& score) {
  double sum = 0;
  for (size_t t = 0; t < group.size(); ++t)
    for (size_t i = 0; i < group[t].cases.size(); ++i)
      sum += group[t].columns[0][0][i] * group[t].columns[1][0][i] * score.weight(t) /
             static_cast<double>(group[t].cases.size());
  return sum;
}

}  // namespace

Estimate estimate(const Group& group) {
  if (group.empty()) return {};
  GroupScore score(group);
  std::vector<size_t> sizes = sizes_of(group);
  size_t n = cases_in(group);
  std::vector<uint8_t> version(n, 0);
  double mean = score(every_row(sizes), version);
  const bool few = has_few_cases(group), share = !group.front().loss && mean >= 0 && mean <= 1;
  Interval interval;
  if (hits_and_misses(group, 0) || (few && share))
    interval = wilson(mean, effective_cases(group, score));
  else if (few)
    interval = student(group, score, mean, false);
  else
    interval = bootstrap(sizes, [&](std::span<const uint32_t> rows) { return score(rows, version); });
  return {mean, interval.low, interval.high, static_cast<int64_t>(n)};
}

Difference difference(const Group& group) {
  if (group.empty()) return {};
  GroupScore score(group);
  std::vector<size_t> sizes = sizes_of(group);
  size_t n = cases_in(group);
  std::vector<uint8_t> first(n, 0), second(n, 1), swapped(n);
  std::vector<uint32_t> all = every_row(sizes);
  auto change = [&](std::span<const uint32_t> rows) { return score(rows, second) - score(rows, first); };
  double mean = change(all);
  Interval interval;
  if (!has_few_cases(group))
    interval = bootstrap(sizes, change);
  else if (hits_and_misses(group, 0) && hits_and_misses(group, 1))
    interval = newcombe(score(all, first), score(all, second), hits_in_both(group, score),
                        effective_cases(group, score));
  else
    interval = student(group, score, mean, true);
  double p = permutation_p(n, [&](std::span<const uint8_t> flips) {
    for (size_t i = 0; i < n; ++i) swapped[i] = !flips[i];
    return score(all, swapped) - score(all, flips);
  });
  return {{mean, interval.low, interval.high, static_cast<int64_t>(n)}, p};
}

double case_score(const CaseResult& result, const TaskSettings& task, Scoring scoring) {
  if (is_loss(result)) return result.nll / static_cast<double>(result.tokens);
  std::vector<std::string> names = metrics_of(task, result);
  if (names.empty()) fail("the case {} has no score", excerpt(result.id));
  std::vector<double> scores;
  for (const std::string& name : names) scores.push_back(scored(result, name, scoring));
  return combined(combine_of(task), scores);
}

}  // namespace longspan
