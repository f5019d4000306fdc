// The cases of `compare`: computed one by one, each kept as soon as it is finished.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "base/error.h"
#include "eval/compare.h"
#include "eval/likelihood.h"

namespace longspan {

namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Means over buckets of positions: [[first, last, nll], ...]. nll[i] is of token i + 1.
Json by_position(const std::vector<float>& logprobs) {
  std::vector<PositionBucket> buckets = position_buckets(logprobs, 1);
  buckets.back().last = std::ssize(logprobs);
  if (buckets.size() > 1) {  // no bucket of a few tokens at the end
    PositionBucket& last = buckets.back();
    PositionBucket& before = buckets[buckets.size() - 2];
    if (static_cast<double>(last.count) < 0.2 * static_cast<double>(before.count)) {
      before = {before.first, last.last, before.sum + last.sum, before.count + last.count};
      buckets.pop_back();
    }
  }
  Json means = Json::array();
  for (const PositionBucket& b : buckets)
    means.push_back({b.first, b.last, b.sum / static_cast<double>(b.count)});
  return means;
}

/// Null when progress asked to stop.
Json run_loss(const Engine& engine, const ComparePlan& plan, const CompareCase& c, const Progress& progress) {
  const CompareRow& row = plan.rows[c.row];
  std::vector<float> logprobs;
  Sequence sequence(engine, row.length, row.stretched.position);
  auto tail = static_cast<size_t>(plan.settings.tail);
  auto start = Clock::now();
  if (!sequence.score(c.ids, logprobs, progress, c.by_position ? 1 : c.ids.size() - tail)) return nullptr;
  double seconds = since(start) - sequence.head_seconds();
  double sum = 0;
  for (size_t i = logprobs.size() - tail; i < logprobs.size(); ++i) sum -= logprobs[i];
  Json result = {{"nll", sum / static_cast<double>(tail)}, {"seconds", seconds}};
  if (c.by_position) result["by_position"] = by_position(logprobs);
  return result;
}

/// Makes the sequence hold exactly the prompt: what it shares with the text before is not read again.
bool read_prompt(Sequence& sequence, const std::vector<int32_t>& prompt, const Progress& progress) {
  auto common =
      std::mismatch(prompt.begin(), prompt.end(), sequence.ids().begin(), sequence.ids().end()).first -
      prompt.begin();
  common = std::min(common, std::ssize(prompt) - 1);  // the last one gives the logits
  sequence.truncate(common);
  return sequence.feed(std::span(prompt).subspan(static_cast<size_t>(common)), progress);
}

/// The deepest key first: the others share the text before theirs with it. Null when progress asked to stop.
Json run_passkeys(const Engine& engine, const ComparePlan& plan, const CompareCase& c,
                  const Progress& progress) {
  const CompareRow& row = plan.rows[c.row];
  const PasskeyTask& task = plan.passkeys.at(row.length);
  Sequence sequence(engine, row.length, row.stretched.position);
  int64_t before = 0;  // tokens of this case so far
  bool going = true;
  auto watch = [&](int64_t done, int64_t) {
    return going = !progress || progress(std::min(before + done, c.tokens), c.tokens);
  };
  Json keys = Json::array();
  for (size_t k = task.keys.size(); k-- > 0;) {
    const std::vector<int32_t>& prompt = task.prompts[k];
    if (!read_prompt(sequence, prompt, watch)) return nullptr;
    before += unshared_tokens(task, k);
    Generation answer =
        generate(sequence, engine, kPasskeyAnswer, {}, [&](std::string_view) { return watch(0, 0); });
    if (!going) return nullptr;
    before += kPasskeyAnswer;
    keys.insert(keys.begin(), Json{{"depth", task.keys[k].depth},
                                   {"found", passkey_found(task.keys[k], answer.text)},
                                   {"number", task.keys[k].number},
                                   {"answer", answer.text}});
  }
  return {{"keys", keys}};
}

/// The first pass of a process is slower than the others: kernels pack weights for themselves.
void warm_up(const Engine& engine, const ComparePlan& plan) {
  const std::vector<int32_t>& ids = plan.cases.front().ids;
  auto some = std::min(ids.size(), static_cast<size_t>(engine.options().chunk));
  std::vector<float> ignored;
  Sequence(engine, static_cast<int64_t>(some)).score(std::span(ids).first(some), ignored);
}

}  // namespace

bool run_compare(const Engine& engine, const ComparePlan& plan, ResultStore& store,
                 const Progress& progress) {
  int64_t done = 0, total = 0;
  std::set<std::string> open;  // two specs may say the same
  for (const CompareCase& c : plan.cases)
    if (!store.find(c.key) && open.insert(dump_json(c.key)).second) total += c.tokens;
  if (total > 0) warm_up(engine, plan);
  for (const CompareCase& c : plan.cases) {
    if (store.find(c.key)) continue;
    auto part = [&](int64_t of_case, int64_t) { return !progress || progress(done + of_case, total); };
    Json result =
        c.kind == CompareCase::Loss ? run_loss(engine, plan, c, part) : run_passkeys(engine, plan, c, part);
    if (result.is_null()) return false;
    store.add(c.key, result);
    done += c.tokens;
  }
  return true;
}

}  // namespace longspan
