// Running a suite: cases are planned, run one after another, and stored as they end. The result of a case
// depends on the case alone: the cache is reused only up to a whole number of chunks, so that every forward
// pass reads the same tokens whatever came before, and a run that was killed or split gives the same bits.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/progress.h"
#include "eval/likelihood.h"
#include "eval/result_store.h"
#include "eval/results.h"
#include "model/config.h"
#include "score/metrics.h"
#include "suites/cases.h"
#include "suites/prompt.h"

namespace longspan {

class Engine;

/// The answer to one prompt.
struct Reply {
  std::string text;
  std::string stop;  // "length", "end", "stop"
  int64_t new_tokens = 0;
  int64_t read_tokens = 0;  // of the prompt, not found in a cache; -1: unknown
  double seconds = 0;
};

/// What answers. A function is empty where that is impossible (a server gives no likelihoods), and returns
/// nothing when progress asked to stop. `window`: tokens that the text may reach: methods that depend
/// on the length go by it.
struct Responder {
  std::function<std::optional<Reply>(const Task&, const Prompt&, int64_t window, const Progress&)> answer;
  std::function<std::optional<ChoiceScores>(const Prompt&, const CaseText&, const Progress&)> choice;
  std::function<std::optional<WindowLoss>(const CaseText&, const Progress&)> loss;
};

/// The engine answers greedily, and keeps what it has read for the next prompt. `position` replaces its own.
Responder local_responder(const Engine& engine);
Responder local_responder(const Engine& engine, const PositionConfig& position);

struct RunPlan {
  Suite suite;
  std::vector<Case> cases;           // in reading order
  std::vector<std::string> missing;  // tasks without data
  int64_t window = 0;                // tokens that a case may take; 0: no bound
  RunSettings settings;              // written by start_run
};

/// What happens to generated cases longer than the window when others fit: lengths that the user chose are an
/// error, those of a suite's row are left out with a remark.
enum class TooLong { Refuse, LeaveOut };

/// Checks everything possible before anything is computed: metrics, and prompts from files that do not fit.
/// `settings`: what the caller knows (scoring, model, position, command, ...); what suite and context
/// determine is filled in. `config`: of the model that reads the prompts.
RunPlan plan_run(const ModelConfig& config, Suite suite, const MakeContext& context, RunSettings settings,
                 TooLong too_long = TooLong::Refuse);

struct Shard {
  int64_t index = 1, count = 1;  // 1 <= index <= count
};
/// "2/8". Error when it is not that.
Shard parse_shard(const std::string& text);

/// The cases of a shard: neighbours, so that they share prefixes; shards have about the same total length.
std::vector<size_t> shard_cases(const RunPlan& plan, Shard shard);

/// Creates the folder and settings.json. Error when the folder holds a run with other settings; it names
/// them.
void start_run(const std::filesystem::path& folder, const RunSettings& settings);
/// Ids of the cases in any results*.jsonl of the folder.
std::set<std::string> finished_cases(const std::filesystem::path& folder);
/// The prompt of an Answer or Choice case as the run builds it. Errors begin with the source of the case.
Prompt case_prompt(const PromptMaker& prompts, const RunPlan& plan, const Case& c, const CaseText& text);
/// results.jsonl, or results.I-of-N.jsonl.
std::filesystem::path results_file(const std::filesystem::path& folder, Shard shard);

/// Scores of an answer for every metric of the task; `answer` receives the text that was scored. Errors begin
/// with `source`.
std::vector<MetricScore> score_answer(const Task& task, const CaseText& text, const std::string& prediction,
                                      const Segmenter* segmenter, const std::string& source,
                                      std::string& answer);

/// Runs the cases of `indices` that are neither in `store` nor `finished` (by id). Progress counts tokens;
/// those of cases whose length is not known yet are estimated. False when it asked to stop.
bool run_cases(const PromptMaker& prompts, const RunPlan& plan, const std::vector<size_t>& indices,
               const Responder& responder, const Segmenter* segmenter,
               const std::function<bool(const std::string&)>& finished, ResultStore& store,
               const Progress& progress);

}  // namespace longspan
