// Snapshots: what comes back is what went in; damage of any byte is seen; old ones go, and stay when a new
// one fails.
#include "train/snapshot.h"

#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "train/fixture.h"

namespace longspan {
namespace {

class SnapshotTest : public TrainTest {
 protected:
  struct Trainee {
    TrainingModel model;
    Moments moments;
  };
  Trainee trainee(int64_t rank = 2) {
    Trainee t{make_training_model(checkpoint_, read_config(checkpoint_), host_device(kernels()), Compute::F32,
                                  {.lora_rank = rank, .projections = {"q_proj"}, .norms = true}, 1),
              {}};
    t.moments = make_moments(t.model);
    return t;
  }
  static void fill(Trainee& t, float base) {
    for (size_t i = 0; i < t.model.parameters.size(); ++i)
      for (const Tensor& tensor : {t.model.parameters[i].value, t.moments.first[i], t.moments.second[i]})
        for (int64_t n = 0; n < tensor.rows() * tensor.cols(); ++n)
          static_cast<float*>(tensor.data)[n] = base += 0.25f;
  }
  static std::vector<float> values(const Trainee& t) {
    std::vector<float> all;
    for (size_t i = 0; i < t.model.parameters.size(); ++i)
      for (const Tensor& tensor : {t.model.parameters[i].value, t.moments.first[i], t.moments.second[i]}) {
        const auto* v = static_cast<const float*>(tensor.data);
        all.insert(all.end(), v, v + tensor.rows() * tensor.cols());
      }
    return all;
  }

  Checkpoint checkpoint_ = open_checkpoint(golden_model());
};

TEST_F(SnapshotTest, ComesBackBitByBit) {
  Trainee t = trainee();
  fill(t, 1);
  RunState state{12, 1, 3, 24, 6, 1000, 0xfedcba9876543210u, {{"loss", {1.5, 0.1}}}};
  write_snapshot(dir_, state, t.model, t.moments, 2);
  std::vector<float> kept = values(t);
  fill(t, 500);
  RunState back = read_snapshot(snapshots(dir_).at(0), t.model, t.moments);
  EXPECT_EQ(values(t), kept);
  EXPECT_EQ(back.step, 12);
  EXPECT_EQ(back.stage, 1);
  EXPECT_EQ(back.stage_step, 3);
  EXPECT_EQ(back.rows, 24);
  EXPECT_EQ(back.short_rows, 6);
  EXPECT_EQ(back.tokens, 1000);
  EXPECT_EQ(back.recipe_digest, 0xfedcba9876543210u);
  EXPECT_EQ(back.history, state.history);
}

TEST_F(SnapshotTest, OnlyTheNewestStay) {
  Trainee t = trainee();
  for (int64_t step : {5, 10, 100}) write_snapshot(dir_, {.step = step}, t.model, t.moments, 2);
  std::vector<fs::path> found = snapshots(dir_);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].filename(), "step-00000100.snapshot");
  EXPECT_EQ(found[1].filename(), "step-00000010.snapshot");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), {}), 2);
}

TEST_F(SnapshotTest, DamageIsSeenWhereverItIs) {
  Trainee t = trainee();
  fill(t, 1);
  write_snapshot(dir_, {.step = 1}, t.model, t.moments, 1);
  fs::path file = snapshots(dir_)[0];
  std::string whole = read_file(file);
  std::vector<float> kept = values(t);
  for (size_t at = 0; at < whole.size(); at += whole.size() / 23) {
    std::string damaged = whole;
    damaged[at] ^= 0x10;
    std::ofstream(file, std::ios::binary) << damaged;
    EXPECT_THROW(read_snapshot(file, t.model, t.moments), Error) << at;
    std::ofstream(file, std::ios::binary) << whole.substr(0, at);
    EXPECT_THROW(read_snapshot(file, t.model, t.moments), Error) << at;
  }
  EXPECT_EQ(values(t), kept);  // nothing was taken from damaged ones
}

TEST_F(SnapshotTest, OtherParametersAreRefused) {
  Trainee t = trainee(), other = trainee(3);
  write_snapshot(dir_, {.step = 1}, t.model, t.moments, 1);
  EXPECT_NE(error_of([&] {
              read_snapshot(snapshots(dir_)[0], other.model, other.moments);
            }).find("other parameters"),
            std::string::npos);
}

TEST_F(SnapshotTest, CountsBelowZeroAreRefused) {
  Trainee t = trainee();
  fill(t, 1);
  write_snapshot(dir_, {.step = 1, .stage = -1}, t.model, t.moments, 1);
  fill(t, 2);
  std::vector<float> kept = values(t);
  EXPECT_NE(error_of([&] {
              read_snapshot(snapshots(dir_)[0], t.model, t.moments);
            }).find("stage = -1, which is not a count"),
            std::string::npos);
  EXPECT_EQ(values(t), kept);
}

TEST_F(SnapshotTest, AFullDiskLeavesTheOlderOnes) {
  Trainee t = trainee();
  write_snapshot(dir_, {.step = 1}, t.model, t.moments, 1);
  std::string kept = read_file(snapshots(dir_)[0]);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  rlimit small = old;
  small.rlim_cur = 1000;
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::string error = error_of([&] { write_snapshot(dir_, {.step = 2}, t.model, t.moments, 1); });
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(error.find("cannot be written"), std::string::npos) << error;
  ASSERT_EQ(snapshots(dir_).size(), 1u);
  EXPECT_EQ(read_file(snapshots(dir_)[0]), kept);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), {}), 1);
}

TEST_F(SnapshotTest, AveragesAreOfValues) {
  Trainee t = trainee();
  fill(t, 1);
  std::vector<float> first = values(t);
  write_snapshot(dir_, {.step = 1}, t.model, t.moments, 2);
  fill(t, 3);
  std::vector<float> second = values(t);
  write_snapshot(dir_, {.step = 2}, t.model, t.moments, 2);
  fill(t, 100);
  average_snapshots(snapshots(dir_), t.model);
  const auto* value = static_cast<const float*>(t.model.parameters[0].value.data);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(value[i], (first[i] + second[i]) / 2);
}

}  // namespace
}  // namespace longspan
