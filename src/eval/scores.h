// Cases as columns of numbers, and how they become one score: cases to a task (by its metrics, or what it
// combines), tasks to categories, categories to the suite; losses are pooled over all counted tokens.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "eval/results.h"
#include "eval/statistics.h"

namespace longspan {

enum class Combine { First, Mean, Geometric };

/// The cases of one task in two versions: version 0 and 1 are two runs, or of one run the scoring that counts
/// and the other one. Score of a version: sum(column) / sum(weights) of each metric, combined.
struct TaskScores {
  std::string name, category;
  bool loss = false;
  Combine combine = Combine::First;
  std::vector<const CaseResult*> cases;
  std::vector<std::vector<double>> columns[2];  // [version][metric][case]
  std::vector<double> weights[2];               // [version][case]: 1, or the tokens of a loss
};

/// Tasks of one unit: either scores in 0..1 or losses in nats.
using Group = std::vector<TaskScores>;

/// What a loss is divided by: tokens; windows (each weighs the same); what the task's row says of these two;
/// bytes, then it is in bits.
enum class Per { Token, Window, Row, Byte };

/// Tasks of answers and choices, in the order of the settings, those without a case left out.
/// With `other`, version 1 holds its cases of the same ids, and a case that it lacks is left out.
Group answer_group(const RunResults& run, const RunResults* other = nullptr);
/// The same of losses.
Group loss_group(const RunResults& run, Per per, const RunResults* other = nullptr);
/// All tasks as one: how losses of several tasks are averaged.
Group pooled(const Group& group);
/// Window when every loss task of the run weighs its windows equally, else Token.
Per loss_per(const RunResults& run);

/// Tasks with the cases alone for which `keep` holds.
Group restricted(const Group& group, const std::function<bool(const CaseResult&)>& keep);

/// Mean over categories of the mean over their tasks, of the cases as they are.
double score_of(const Group& group, int version = 0);
size_t cases_in(const Group& group);
/// Wilson's interval if every score is 0 or 1 (the number of trials is 1 / sum of squared weights of the
/// cases, Kish 1965), else the bootstrap within each task.
Estimate estimate(const Group& group);
/// Version 1 against version 0.
Difference difference(const Group& group);

/// Metrics of a task as far as this case knows them: those of the row, else of the case.
std::vector<std::string> metrics_of(const TaskSettings& task, const CaseResult& result);
Combine combine_of(const TaskSettings& task);

/// The score of one case: its first metric, or what the task combines; loss: mean nll.
double case_score(const CaseResult& result, const TaskSettings& task, Scoring scoring);

}  // namespace longspan
