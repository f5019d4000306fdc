// What a training run looked like: curves, last figures, recipe and command on one page.
#pragma once

#include <string>

#include "train/metrics.h"
#include "train/recipe.h"

namespace longspan {

/// Writes OUTPUT/report.html of the recipe, and its charts below OUTPUT/report; without gnuplot the page
/// lacks them and says so. `command`: what made the run. Error when there is no step.
void write_training_report(const Recipe& recipe, const MetricsHistory& history, const std::string& command);

}  // namespace longspan
