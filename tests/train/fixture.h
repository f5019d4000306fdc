// A tiny golden model with synthetic rows: what the tests of training share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "base/threads.h"
#include "train/trainer.h"

namespace longspan {

namespace fs = std::filesystem;

constexpr int64_t kVocabulary = 64;

inline fs::path golden_model(const std::string& name = "gqa") {
  return fs::path(LONGSPAN_GOLDEN) / "model" / name;
}

/// Row k: `documents` documents of `each` tokens; a token is mostly a function of the one before it, so that
/// there is something to learn.
inline TrainingRow synthetic_row(int64_t k, int64_t documents, int64_t each) {
  TrainingRow row;
  for (int64_t d = 0; d < documents; ++d) {
    Random random(static_cast<uint64_t>(1000 * k + d));
    auto start = static_cast<int64_t>(row.ids.size());
    auto token = static_cast<int32_t>(random.below(kVocabulary));
    for (int64_t t = 0; t < each; ++t) {
      row.ids.push_back(token);
      row.positions.push_back(static_cast<double>(t));
      row.starts.push_back(start);
      token = random.uniform() < 0.8 ? (7 * token + 3) % static_cast<int32_t>(kVocabulary)
                                     : static_cast<int32_t>(random.below(kVocabulary));
      row.targets.push_back(t + 1 < each ? token : -1);
      row.weights.push_back(t + 1 < each ? 1.0f : 0.0f);
    }
    row.documents.push_back(fmt::format("document {}.{}", k, d));
  }
  return row;
}

/// `repeat`: rows 0 and 1, over and over.
inline RowSource synthetic_source(int64_t documents = 2, int64_t each = 16, bool repeat = false) {
  return {"synthetic", 1000, [=](int64_t k) { return synthetic_row(repeat ? k % 2 : k, documents, each); }};
}

/// A folder of its own for each test, gone afterwards.
class TrainTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = fs::temp_directory_path() /
           fmt::format("longspan-train-{}-{}-{}", info->test_suite_name(), info->name(), ::getpid());
    fs::create_directories(dir_);
    set_threads(2);
  }
  void TearDown() override { fs::remove_all(dir_); }

  fs::path write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name) << text;
    return dir_ / name;
  }

  /// Ten steps of rows of 32 tokens, two a step.
  Recipe recipe(const std::string& output = "run") {
    Recipe r;
    r.name = "test", r.file = "test.toml", r.output = dir_ / output, r.digest = 7;
    r.compute = Compute::F32;
    r.trained.all = r.trained.embeddings = true;
    r.snapshot_steps = 3, r.snapshot_minutes = 0, r.snapshots_kept = 3;
    r.plan.head_chunk = 16;
    Stage stage;
    stage.name = "only", stage.row_tokens = 32, stage.batch_tokens = 64, stage.steps = 10;
    stage.schedule = {.lr = 1e-2, .warmup = 2, .steps = 10};
    r.stages = {stage};
    return r;
  }
  TrainingData data(const Recipe& r) {
    TrainingData d;
    for (size_t i = 0; i < r.stages.size(); ++i)
      d.stages.push_back({synthetic_source(2, 16, rows_repeat_), synthetic_source(1, 12)});
    for (int64_t k = 0; k < 2; ++k) d.validation.push_back(synthetic_row(500 + k, 1, 48).ids);
    return d;
  }

  /// Losses of the steps that it ran; `stop_after` steps of this process it is asked to stop.
  std::vector<double> run(const Recipe& r, bool resume = false, int64_t stop_after = 1000,
                          const std::string& model = "gqa") {
    Checkpoint checkpoint = open_checkpoint(golden_model(model));
    std::vector<double> losses;
    TrainerEvents events;
    events.step = [&](const StepReport& s) { losses.push_back(s.loss), reports_.push_back(s); };
    events.validation = [&](const ValidationReport& v) { validations_.push_back(v); };
    events.note = [&](const std::string& sentence) { notes_ += sentence + "\n"; };
    events.stop = [&] { return static_cast<int64_t>(losses.size()) >= stop_after; };
    train(r, checkpoint, data(r), resume, events);
    return losses;
  }

  fs::path dir_;
  bool rows_repeat_ = false;
  std::string notes_;
  std::vector<StepReport> reports_;
  std::vector<ValidationReport> validations_;
};

inline std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace longspan
