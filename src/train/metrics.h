// The records of a run: metrics.jsonl, and event files for TensorBoard (TFRecord framing with masked CRC32C
// around protobuf Event messages, whose three fields are written by hand).
#pragma once

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "train/trainer.h"

namespace longspan {

/// step, steps, stage, loss, grad_norm, lr, tokens_per_s, mfu, ...; absent values are omitted.
Json step_json(const StepReport& report);
/// {"step": n, "validation": {"4096": loss, ...}}
Json validation_json(const ValidationReport& report);

/// The records of a run, in order.
struct MetricsHistory {
  std::vector<StepReport> steps;
  std::vector<ValidationReport> validation;
};
/// Reads metrics.jsonl. Error names a line that is neither a step nor a validation.
MetricsHistory read_metrics(const std::filesystem::path& file);

/// CRC32C (Castagnoli, reflected 0x82f63b78) and TFRecord's mask of it.
uint32_t crc32c(std::string_view bytes);
uint32_t masked_crc32c(std::string_view bytes);
/// One TFRecord holding an Event: seconds since 1970, step, scalars by tag.
std::string tensorboard_event(double seconds, int64_t step,
                              const std::vector<std::pair<std::string, double>>& scalars);

/// Appends to OUTPUT/metrics.jsonl and to a new event file below OUTPUT/tensorboard. Lines of steps after
/// `step`, which a resumed run does again, are dropped first. Error when writing fails.
class Metrics {
 public:
  Metrics(const std::filesystem::path& output, int64_t step);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  void add(const StepReport& report);
  void add(const ValidationReport& report);

 private:
  void write(FILE* file, const std::string& bytes, const std::filesystem::path& path);

  std::filesystem::path lines_path_, events_path_;
  FILE *lines_ = nullptr, *events_ = nullptr;
};

}  // namespace longspan
