#include "eval/run.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kGuessedTokens = 4000;  // of a case whose length is not known yet
constexpr const char* kSettings = "settings.json";

int64_t weight(const Case& c) { return c.length > 0 ? c.length : kGuessedTokens; }

/// What the page shows of a prompt: all of it if the page has room for the prompts of this run, else both
/// ends.
ShownPrompt shown(const std::string& prompt, const RunPlan& plan) {
  constexpr size_t kAll = size_t{8} << 20, kWhole = 6000, kEnd = 2000;
  if (prompt.size() <= std::max(kWhole, kAll / plan.cases.size())) return {prompt, {}};
  size_t tail = prompt.size() - kEnd;
  while (tail < prompt.size() && (static_cast<unsigned char>(prompt[tail]) & 0xC0) == 0x80) ++tail;
  std::string head = prompt.substr(0, kEnd);
  head.resize(complete_utf8_prefix(head));
  return {head, prompt.substr(tail)};
}

/// The most tokens of prompt and answer: the length that the case was made for, else the window.
int64_t room_of(const Case& c, const RunPlan& plan) { return c.length > 0 ? c.length : plan.window; }

void leave_out_too_long(RunPlan& plan) {
  auto fits = [&](const Case& c) { return c.length <= plan.window; };
  auto all = std::ssize(plan.cases);
  if (plan.window <= 0 || std::none_of(plan.cases.begin(), plan.cases.end(), fits)) return;
  int64_t longest = 0;
  for (const Case& c : plan.cases) longest = std::max(longest, c.length);
  std::erase_if(plan.cases, [&](const Case& c) { return !fits(c); });
  if (std::ssize(plan.cases) == all) return;
  plan.missing.push_back(fmt::format(
      "{} of {} cases, of up to {} tokens: the window is {}; --position stretches it, --context insists",
      grouped(all - std::ssize(plan.cases)), grouped(all), grouped(longest), grouped(plan.window)));
}

/// Finds every case that is too long before the first is run. Generated cases state their length; those from
/// files are read, but only where the row refuses to cut.
void check_lengths(const PromptMaker& prompts, const RunPlan& plan) {
  for (const Case& c : plan.cases) {
    if (c.kind == CaseKind::Loss) continue;
    const Task& task = plan.suite.tasks[c.task];
    if (c.length > 0 && plan.window > 0 && c.length > plan.window)
      fail(
          "{}: is made for {} tokens, the window is {}; stretch it with --position, ask for shorter ones "
          "(--lengths, --tasks), or insist with --context {}",
          excerpt(c.id), grouped(c.length), grouped(plan.window), c.length);
    if (c.length > 0 || plan.window <= 0 || task.truncate != Truncation::Refuse) continue;
    CaseText text = c.text();
    // A token has at least one byte, and the template adds at most this many.
    constexpr size_t kTemplate = 400;
    size_t bytes = text.system.size() + text.user.size() + text.prefix.size() + kTemplate;
    for (const ChatMessage& turn : text.turns) bytes += turn.content.size() + kTemplate;
    if (static_cast<int64_t>(bytes) > plan.window - task.new_tokens) case_prompt(prompts, plan, c, text);
  }
}

/// Of the tasks that have cases.
std::vector<TaskSettings> task_settings(const RunPlan& plan) {
  std::vector<TaskSettings> rows;
  for (size_t t = 0; t < plan.suite.tasks.size(); ++t) {
    const Task& task = plan.suite.tasks[t];
    auto count =
        std::count_if(plan.cases.begin(), plan.cases.end(), [&](const Case& c) { return c.task == t; });
    if (count == 0) continue;
    rows.push_back(
        {task.name, task.what, task.category, task.metrics, task.combine, task.maker, count, task.row});
  }
  return rows;
}

void check_metrics(const RunPlan& plan) {
  for (const Case& c : plan.cases)
    if (c.kind == CaseKind::Answer)
      for (const std::string& metric : plan.suite.tasks[c.task].metrics) find_metric(metric);
}

/// How many tokens a run will read. Cases whose length is not known yet are assumed to be as long as the mean
/// of those before them.
class Expectation {
 public:
  void expect(const Case& c) { c.length > 0 ? known_ += c.length : ++unknown_; }
  int64_t of(const Case& c) const {
    return c.length > 0 ? c.length : seen_ > 0 ? seen_tokens_ / seen_ : kGuessedTokens;
  }
  void finish(const Case& c, int64_t tokens) {
    if (c.length > 0) {
      known_ -= c.length;
      done_ += c.length;
      return;
    }
    --unknown_;
    ++seen_;
    seen_tokens_ += tokens;
    done_ += tokens;
  }
  int64_t done() const { return done_; }
  int64_t total() const { return done_ + known_ + unknown_ * of(Case{}); }

 private:
  int64_t known_ = 0, unknown_ = 0, seen_ = 0, seen_tokens_ = 0, done_ = 0;
};

/// The fields of a result that every kind has.
CaseResult result_head(const RunPlan& plan, const Case& c) {
  CaseResult result;
  result.id = c.id;
  result.task = plan.suite.tasks[c.task].name;
  result.kind = c.kind;
  result.cell = c.cell;
  result.source = c.source;
  return result;
}

// Each gives nothing when progress asked to stop.

std::optional<CaseResult> run_answer(const PromptMaker& prompts, const RunPlan& plan, const Case& c,
                                     const Responder& responder, const Segmenter* segmenter,
                                     const Progress& progress) {
  const Task& task = plan.suite.tasks[c.task];
  CaseText text = c.text();
  Prompt prompt = case_prompt(prompts, plan, c, text);
  CaseResult result = result_head(plan, c);
  result.prompt_tokens = std::ssize(prompt.ids);
  int64_t window = c.length > 0 ? c.length : result.prompt_tokens + task.new_tokens;
  std::optional<Reply> reply = responder.answer(task, prompt, window, progress);
  if (!reply) return std::nullopt;
  std::string answer;
  result.scores =
      score_answer(task, text, reply->text, segmenter, c.source.empty() ? c.id : c.source, answer);
  result.read_tokens = reply->read_tokens;
  result.cut_tokens = prompt.cut;
  result.seconds = reply->seconds;
  result.references = std::move(text.references);
  result.prompt = shown(prompt.text, plan);
  result.new_tokens = reply->new_tokens;
  result.stop = reply->stop;
  result.prediction = std::move(reply->text);
  if (answer != result.prediction) result.answer = std::move(answer);
  return result;
}

std::optional<CaseResult> run_choice_case(const PromptMaker& prompts, const RunPlan& plan, const Case& c,
                                          const Responder& responder, const Progress& progress) {
  CaseText text = c.text();
  Prompt prompt = case_prompt(prompts, plan, c, text);
  std::optional<ChoiceScores> scores = responder.choice(prompt, text, progress);
  if (!scores) return std::nullopt;
  CaseResult result = result_head(plan, c);
  result.prompt_tokens = std::ssize(prompt.ids);
  result.read_tokens = scores->read_tokens;
  result.cut_tokens = prompt.cut;
  result.seconds = scores->seconds;
  result.scores = std::move(scores->scores);
  result.prompt = shown(prompt.text, plan);
  result.logprobs = std::move(scores->logprobs);
  result.neutral_logprobs = std::move(scores->neutral_logprobs);
  for (const std::string& choice : text.choices) result.choice_bytes.push_back(std::ssize(choice));
  result.correct = static_cast<int64_t>(text.correct);
  result.references = std::move(text.choices);
  return result;
}

std::optional<CaseResult> run_loss_case(const RunPlan& plan, const Case& c, const Responder& responder,
                                        const Progress& progress) {
  CaseText text = c.text();
  std::optional<WindowLoss> loss = responder.loss(text, progress);
  if (!loss) return std::nullopt;
  CaseResult result = result_head(plan, c);
  result.prompt_tokens = result.read_tokens = std::ssize(text.ids);
  result.seconds = loss->seconds;
  result.nll = loss->nll;
  result.tokens = loss->tokens;
  result.bytes = loss->bytes;
  result.buckets = std::move(loss->buckets);
  return result;
}

std::optional<CaseResult> run_case(const PromptMaker& prompts, const RunPlan& plan, const Case& c,
                                   const Responder& responder, const Segmenter* segmenter,
                                   const Progress& progress) {
  switch (c.kind) {
    case CaseKind::Answer:
      return run_answer(prompts, plan, c, responder, segmenter, progress);
    case CaseKind::Choice:
      return run_choice_case(prompts, plan, c, responder, progress);
    case CaseKind::Loss:
      return run_loss_case(plan, c, responder, progress);
  }
  return std::nullopt;
}

}  // namespace

Prompt case_prompt(const PromptMaker& prompts, const RunPlan& plan, const Case& c, const CaseText& text) {
  const Task& task = plan.suite.tasks[c.task];
  int64_t window = room_of(c, plan),
          answer = c.kind == CaseKind::Answer ? task.new_tokens : choice_room(prompts.tokenizer, text);
  if (window > 0 && window <= answer)
    fail("{}: the window of {} leaves no room beside the answer of {} tokens", excerpt(c.id), window, answer);
  try {
    return make_prompt(prompts, task, text, window > 0 ? window - answer : 0);
  } catch (const Error& e) {
    fail("{}{}: {}", c.source.empty() ? "" : c.source + ": ", excerpt(c.id), e.what());
  }
}

RunPlan plan_run(const ModelConfig& config, Suite suite, const MakeContext& context, RunSettings settings,
                 TooLong too_long) {
  RunPlan plan{std::move(suite), {}, {}, context.window, std::move(settings)};
  plan.cases = make_cases(plan.suite, context, plan.missing);
  // Where frequencies depend on the length, only cases of the same length can share the cache.
  if (position_spec(config.position, config.head_shape(), std::max<int64_t>(1, plan.window))
          .depends_on_length)
    std::stable_sort(plan.cases.begin(), plan.cases.end(),
                     [](const Case& a, const Case& b) { return a.length < b.length; });
  check_metrics(plan);
  if (too_long == TooLong::LeaveOut) leave_out_too_long(plan);
  check_lengths(context.prompts, plan);
  plan.settings.suite = plan.suite.name;
  plan.settings.what = plan.suite.what;
  plan.settings.paper = plan.suite.paper;
  plan.settings.dialect = plan.suite.dialect;
  plan.settings.window = plan.window;
  plan.settings.seed = context.seed;
  plan.settings.limit = context.limit;
  plan.settings.tasks = task_settings(plan);
  plan.settings.missing = plan.missing;
  return plan;
}

Shard parse_shard(const std::string& text) {
  Shard shard;
  const char* end = text.data() + text.size();
  auto first = std::from_chars(text.data(), end, shard.index);
  bool whole = first.ec == std::errc() && first.ptr != end && *first.ptr == '/';
  if (whole) {
    auto second = std::from_chars(first.ptr + 1, end, shard.count);
    whole = second.ec == std::errc() && second.ptr == end;
  }
  if (!whole || shard.index < 1 || shard.index > shard.count || shard.count > 100000)
    fail("--shard {}: I/N was expected, the first of four being 1/4", excerpt(text));
  return shard;
}

std::vector<size_t> shard_cases(const RunPlan& plan, Shard shard) {
  double total = 0, before = 0;
  for (const Case& c : plan.cases) total += static_cast<double>(weight(c));
  std::vector<size_t> indices;
  for (size_t i = 0; i < plan.cases.size(); ++i) {
    auto own = static_cast<double>(weight(plan.cases[i]));
    double middle = (before + own / 2) / total;
    before += own;
    auto part = std::min(static_cast<int64_t>(middle * static_cast<double>(shard.count)), shard.count - 1);
    if (part == shard.index - 1) indices.push_back(i);
  }
  return indices;
}

void start_run(const fs::path& folder, const RunSettings& settings) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("{}: cannot be made: {}", folder.string(), error.message());
  fs::path file = folder / kSettings;
  const Json wanted = to_json(settings);
  if (!fs::exists(file)) {
    if (fs::exists(folder / "results.jsonl"))
      fail("{}: holds results.jsonl but no {}; give another folder with --out", folder.string(), kSettings);
    return write_file_atomic(file, dump_json(wanted) + "\n");
  }
  Json held = parse_json_file(file);
  if (!held.is_object()) fail("{}: an object was expected; give another folder with --out", file.string());
  std::vector<std::string> other;
  for (const auto& [key, value] : wanted.items())
    if (key != "command" && held.value(key, Json()) != value) other.push_back(key);
  for (const auto& [key, value] : held.items())
    if (!wanted.contains(key)) other.push_back(key);
  if (!other.empty())
    fail(
        "{}: holds a run with other settings ({}); give another folder with --out, or ask as it was asked: "
        "{}",
        folder.string(), fmt::join(other, ", "),
        held.contains("command") && held["command"].is_string()
            ? excerpt(held["command"].get<std::string>(), 400)
            : "see " + file.string());
}

std::set<std::string> finished_cases(const fs::path& folder) {
  std::set<std::string> names;
  for (const CaseResult& c : read_run(folder).cases) names.insert(c.id);
  return names;
}

fs::path results_file(const fs::path& folder, Shard shard) {
  if (shard.count == 1) return folder / "results.jsonl";
  return folder / fmt::format("results.{}-of-{}.jsonl", shard.index, shard.count);
}

std::vector<MetricScore> score_answer(const Task& task, const CaseText& text, const std::string& prediction,
                                      const Segmenter* segmenter, const std::string& source,
                                      std::string& answer) {
  answer = task.postprocess == "first_line" ? std::string(first_line(prediction)) : prediction;
  std::vector<MetricScore> scores;
  try {
    for (const std::string& name : task.metrics) {
      const Metric& metric = find_metric(name);
      auto as = [&](Scoring scoring) {
        return score(metric, answer, text.references, MetricInput{text.fields, scoring, segmenter});
      };
      scores.push_back({name, as(Scoring::kCompat), as(Scoring::kClean)});
    }
  } catch (const Error& e) {
    fail("{}: {}", source, e.what());
  }
  return scores;
}

bool run_cases(const PromptMaker& prompts, const RunPlan& plan, const std::vector<size_t>& indices,
               const Responder& responder, const Segmenter* segmenter,
               const std::function<bool(const std::string&)>& finished, ResultStore& store,
               const Progress& progress) {
  std::vector<const Case*> open;
  Expectation tokens;
  for (size_t i : indices) {
    const Case& c = plan.cases[i];
    if (store.find(c.id) || finished(c.id)) continue;
    open.push_back(&c);
    tokens.expect(c);
  }
  for (const Case* c : open) {
    auto part = [&](int64_t of_case, int64_t all) {
      int64_t here = all > 0 ? tokens.of(*c) * of_case / all : 0;
      return !progress || progress(tokens.done() + here, tokens.total());
    };
    if (!part(0, 1)) return false;
    std::optional<CaseResult> result = run_case(prompts, plan, *c, responder, segmenter, part);
    if (!result) return false;
    tokens.finish(*c, result->prompt_tokens);
    store.add(std::move(*result));
  }
  if (progress && !open.empty()) progress(tokens.total(), tokens.total());
  return true;
}

}  // namespace longspan
