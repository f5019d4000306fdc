// What a training run looked like, from its metrics.jsonl: curves and last figures on one page.
#pragma once

#include <filesystem>
#include <string>

namespace longspan {

/// OUTPUT/report.html from OUTPUT/metrics.jsonl; the pictures lie below OUTPUT/report. Error when there is no
/// step in it, or as draw says.
void write_training_report(const std::filesystem::path& output, const std::string& name,
                           const std::string& source);

}  // namespace longspan
