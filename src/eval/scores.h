// Cases as columns of numbers, and how they become one score: cases to tasks (by the first metric, or a
// combination), tasks to categories, categories to the suite; losses are pooled over all counted tokens.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "eval/results.h"
#include "eval/statistics.h"

namespace longspan {

enum class Combine { First, Mean, Geometric };

/// The cases of one task in two versions: two runs, or one run in the scoring that counts and in the other.
/// Score of a version: sum(column) / sum(weights) of each metric, combined.
struct TaskScores {
  std::string name, category;
  bool loss = false;
  Combine combine = Combine::First;
  std::vector<const CaseResult*> cases;
  std::vector<std::vector<double>> columns[2];  // [version][metric][case]
  std::vector<double> weights[2];               // [version][case]: 1, or the tokens of a loss
};

/// Tasks with the same unit: scores in 0..1, or losses in nats.
using Group = std::vector<TaskScores>;

/// What a loss is divided by: tokens; windows (each with the same weight); whichever of these the task's row
/// says; or bytes, then the loss is in bits.
enum class Per { Token, Window, Row, Byte };

/// Tasks of answers and choices in the order of the settings, without empty ones. With `other`, version 1
/// holds its cases with the same ids, and cases that it does not have are left out.
Group answer_group(const RunResults& run, const RunResults* other = nullptr);
/// The same of losses.
Group loss_group(const RunResults& run, Per per, const RunResults* other = nullptr);
/// All tasks as one: the way losses of several tasks are averaged.
Group pooled(const Group& group);
/// Window when every loss task of the run gives its windows equal weight, else Token.
Per loss_per(const RunResults& run);

/// Only the cases for which `keep` is true; tasks left without cases are dropped.
Group restricted(const Group& group, const std::function<bool(const CaseResult&)>& keep);

/// Mean over categories of the mean over their tasks, without resampling.
double score_of(const Group& group, int version = 0);
size_t cases_in(const Group& group);
/// Wilson's interval if every score is 0 or 1 (with 1 / (sum of squared case weights) trials, Kish 1965),
/// else the bootstrap within each task. Where a task has fewer than 10 cases a bootstrap is too narrow (of
/// two equal cases it has no width at all): scores get Wilson's interval, which holds for any score in 0..1
/// because none varies more than hits and misses do; losses get Student's t with the variance pooled over the
/// tasks.
Estimate estimate(const Group& group);
/// Version 1 against version 0: the bootstrap of pairs; where a task has fewer than 10 cases Newcombe's
/// interval of hits and misses, else Student's t. low = high where nothing can be said.
Difference difference(const Group& group);

/// Metrics of the task, or those that the case has when the task names none.
std::vector<std::string> metrics_of(const TaskSettings& task, const CaseResult& result);
Combine combine_of(const TaskSettings& task);

/// The score of one case: its first metric, or the combination that the task asks for; loss: mean nll.
double case_score(const CaseResult& result, const TaskSettings& task, Scoring scoring);

}  // namespace longspan
