// What a training run looked like: curves and last figures on one page.
#pragma once

#include <filesystem>
#include <string>

#include "train/metrics.h"

namespace longspan {

/// Writes OUTPUT/report.html, and its pictures below OUTPUT/report. Error when there is no step; otherwise as
/// draw.
void write_training_report(const std::filesystem::path& output, const MetricsHistory& history,
                           const std::string& name, const std::string& source);

}  // namespace longspan
