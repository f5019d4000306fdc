// The runs of `compare`, one after the other; each case is kept as soon as it is finished.
#include <numeric>
#include <set>

#include "eval/compare.h"

namespace longspan {

namespace {

namespace fs = std::filesystem;

std::vector<size_t> all_cases(const RunPlan& plan) {
  std::vector<size_t> indices(plan.cases.size());
  std::iota(indices.begin(), indices.end(), size_t{0});
  return indices;
}

int64_t open_tokens(const RunPlan& plan, const ResultStore& store) {
  int64_t tokens = 0;
  for (const Case& c : plan.cases)
    if (!store.find(c.id)) tokens += c.length;
  return tokens;
}

/// Seconds are those of reading: what the logits of scored tokens take says nothing about a method.
Responder responder_of(const Engine& engine, const PositionConfig& position) {
  Responder responder = local_responder(engine, position);
  responder.loss = [whole = responder.loss](const CaseText& text, const Progress& progress) {
    std::optional<WindowLoss> loss = whole(text, progress);
    if (loss) loss->seconds -= loss->head_seconds;
    return loss;
  };
  return responder;
}

/// The first pass of a process is slower than the others: kernels pack weights for themselves.
void warm_up(const Engine& engine) {
  std::vector<int32_t> ids(static_cast<size_t>(std::max<int64_t>(2, engine.options().chunk)), 0);
  Sequence(engine, std::ssize(ids)).feed(ids);
}

}  // namespace

CompareResults open_results(const ComparePlan& plan, const fs::path& folder) {
  CompareResults results;
  for (const CompareRow& row : plan.rows) {
    if (results.contains(row.folder)) continue;
    if (folder.empty()) {
      results.try_emplace(row.folder);
      continue;
    }
    start_run(folder / row.folder, row.settings);
    results.try_emplace(row.folder, folder / row.folder / "results.jsonl");
  }
  return results;
}

CompareProgress count_cases(const ComparePlan& plan, const CompareResults& results) {
  CompareProgress count;
  for (const CompareRow& row : plan.rows)
    for (const Case& c : plan.cases_of(row).cases) {
      ++count.all;
      count.known += results.at(row.folder).find(c.id) != nullptr;
    }
  return count;
}

bool run_compare(const Engine& engine, const ComparePlan& plan, CompareResults& results,
                 const Progress& progress) {
  int64_t done = 0, total = 0;
  std::set<std::string> seen;
  for (const CompareRow& row : plan.rows)
    if (seen.insert(row.folder).second) total += open_tokens(plan.cases_of(row), results.at(row.folder));
  if (total > 0) warm_up(engine);
  for (const CompareRow& row : plan.rows) {
    const RunPlan& cases = plan.cases_of(row);
    ResultStore& store = results.at(row.folder);
    int64_t open = open_tokens(cases, store);
    if (open == 0) continue;
    auto part = [&](int64_t of_run, int64_t) { return !progress || progress(done + of_run, total); };
    if (!run_cases(
            engine.prompts(), cases, all_cases(cases), responder_of(engine, row.stretched.position), nullptr,
            [](const std::string&) { return false; }, store, part))
      return false;
    done += open;
  }
  return true;
}

}  // namespace longspan
