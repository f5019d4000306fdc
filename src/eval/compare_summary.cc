#include "eval/compare_summary.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"

namespace longspan {

namespace {

/// Mean and, of two or more, its standard error.
struct Mean {
  double mean = 0;
  std::optional<double> error;
};
Mean mean_of(const std::vector<double>& x) {
  auto n = static_cast<double>(x.size());
  double sum = 0, squares = 0;
  for (double v : x) sum += v;
  Mean m{sum / n, {}};
  for (double v : x) squares += (v - m.mean) * (v - m.mean);
  if (x.size() > 1) m.error = std::sqrt(squares / (n - 1) / n);
  return m;
}

/// Of one window that was scored from its second token on; the last bucket ends with the window and takes in
/// the one before when it would hold a few tokens only.
std::vector<PositionLoss> by_position(const CaseResult& window) {
  std::vector<PositionBucket> buckets = window.buckets;
  if (buckets.empty()) return {};
  buckets.back().last = window.prompt_tokens - 1;
  if (buckets.size() > 1) {
    PositionBucket& last = buckets.back();
    PositionBucket& before = buckets[buckets.size() - 2];
    if (static_cast<double>(last.count) < 0.2 * static_cast<double>(before.count)) {
      before = {before.first, last.last, before.sum + last.sum, before.count + last.count};
      buckets.pop_back();
    }
  }
  std::vector<PositionLoss> losses;
  for (const PositionBucket& b : buckets)
    losses.push_back({b.first, b.last, b.sum / static_cast<double>(b.count)});
  return losses;
}

/// Several windows, alike but for their losses, as one.
std::vector<PositionLoss> mean_by_position(const std::vector<const CaseResult*>& windows) {
  std::vector<PositionLoss> mean = by_position(*windows.front());
  for (PositionLoss& loss : mean) loss.nll = 0;
  for (const CaseResult* window : windows) {
    std::vector<PositionLoss> losses = by_position(*window);
    for (size_t b = 0; b < std::min(mean.size(), losses.size()); ++b) mean[b].nll += losses[b].nll;
  }
  for (PositionLoss& loss : mean) loss.nll /= static_cast<double>(windows.size());
  return mean;
}

PasskeyFound passkey_of(const CaseResult& key) {
  const MetricScore* score = key.score("presence");
  const CellValue* depth = key.cell.find("depth");
  return {depth && depth->is_number() ? depth->number() / 100 : 0, score && score->compat == 1,
          key.references.empty() ? "" : key.references.front(), key.prediction};
}

struct RowResults {
  std::vector<const CaseResult*> windows, passkeys;
  bool all_windows = true, all_passkeys = true;
};

RowResults results_of(const RunPlan& cases, const ResultStore& store) {
  RowResults row;
  for (const Case& c : cases.cases) {
    bool loss = c.kind == CaseKind::Loss;
    const CaseResult* result = store.find(c.id);
    if (result)
      (loss ? row.windows : row.passkeys).push_back(result);
    else
      (loss ? row.all_windows : row.all_passkeys) = false;
  }
  return row;
}

ComparedRow summarise_row(const CompareRow& row, const RowResults& results, bool longest) {
  std::vector<double> nll, seconds;
  for (const CaseResult* window : results.windows) {
    nll.push_back(window->nll / static_cast<double>(window->tokens));
    seconds.push_back(window->seconds);
  }
  Mean mean = mean_of(nll);
  ComparedRow out;
  out.method = row.method;
  out.spec = row.stretched.spec;
  out.position = row.settings.position;
  out.length = row.length;
  out.nll = mean.mean;
  out.nll_error = mean.error;
  out.seconds = mean_of(seconds).mean;
  out.kv_bytes = row.kv_bytes;
  out.memory_bytes = row.memory_bytes;
  if (results.all_passkeys)
    for (const CaseResult* key : results.passkeys) out.passkeys.push_back(passkey_of(*key));
  std::sort(out.passkeys.begin(), out.passkeys.end(),
            [](const PasskeyFound& a, const PasskeyFound& b) { return a.depth < b.depth; });
  // As they were asked for, not as per cents give them back.
  for (size_t k = 0; k < out.passkeys.size(); ++k)
    out.passkeys[k].depth = (static_cast<double>(k) + 0.5) / static_cast<double>(out.passkeys.size());
  if (longest) out.by_position = mean_by_position(results.windows);
  return out;
}

Json to_json(const ComparedRow& row) {
  Json json = {{"method", row.method},     {"spec", row.spec},
               {"position", row.position}, {"length", row.length},
               {"nll", row.nll},           {"nll_error", row.nll_error ? Json(*row.nll_error) : Json()},
               {"seconds", row.seconds},   {"passkey", nullptr},
               {"kv_bytes", row.kv_bytes}, {"memory_bytes", row.memory_bytes}};
  if (!row.passkeys.empty())
    json["passkey"] = static_cast<double>(row.found()) / static_cast<double>(row.passkeys.size());
  for (const PasskeyFound& key : row.passkeys)
    json["passkeys"].push_back(
        {{"depth", key.depth}, {"found", key.found}, {"number", key.number}, {"answer", key.answer}});
  for (const PositionLoss& loss : row.by_position)
    json["by_position"].push_back({loss.first, loss.last, loss.nll});
  return json;
}

}  // namespace

int64_t ComparedRow::found() const {
  return std::count_if(passkeys.begin(), passkeys.end(), [](const PasskeyFound& key) { return key.found; });
}

Comparison compare_summary(const ComparePlan& plan, const CompareResults& results) {
  const RunSettings& run = plan.rows.front().settings;
  Comparison comparison;
  comparison.command = run.command;
  comparison.settings = plan.settings;
  comparison.text_tokens = plan.text_tokens;
  comparison.model = plan.model;
  comparison.kernels = run.kernels;
  comparison.compute = run.compute;
  comparison.cache = run.cache_type;
  comparison.chunk = run.chunk;
  comparison.threads = threads();
  comparison.complete = true;
  for (const CompareRow& row : plan.rows) {
    RowResults found = results_of(plan.cases_of(row), results.at(row.folder));
    comparison.complete = comparison.complete && found.all_windows && found.all_passkeys;
    if (found.all_windows)
      comparison.rows.push_back(summarise_row(row, found, row.length == plan.settings.lengths.back()));
  }
  return comparison;
}

Json settings_json(const Comparison& c) {
  return {{"text_tokens", c.text_tokens},
          {"tail", c.settings.tail},
          {"windows", c.settings.windows},
          {"passkeys", c.settings.passkeys},
          {"seed", c.settings.seed},
          {"model", c.model},
          {"kernels", c.kernels},
          {"compute", c.compute},
          {"cache", c.cache},
          {"chunk", c.chunk},
          {"threads", c.threads}};
}

Json to_json(const Comparison& comparison) {
  Json rows = Json::array();
  for (const ComparedRow& row : comparison.rows) rows.push_back(to_json(row));
  return {{"command", comparison.command},
          {"settings", settings_json(comparison)},
          {"complete", comparison.complete},
          {"rows", rows}};
}

}  // namespace longspan
