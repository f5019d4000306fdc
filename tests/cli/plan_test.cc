// plan: its fields, that its figures are the formulas it names, and what it advises.
#include "cli/program.h"

namespace longspan {
namespace {

using PlanProgram = ProgramTest;

TEST_F(PlanProgram, FieldsAndFigures) {
  Outcome r = run({"plan", tiny_model(64), "--to", "128", "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  Json plan = r.json();
  for (const char* field :
       {"method", "base", "memory_bytes", "laws", "untrained", "trained", "training", "memory"})
    EXPECT_TRUE(plan.contains(field)) << field;
  EXPECT_EQ(plan["window"]["trained"], 64);
  EXPECT_EQ(plan["window"]["factor"], 2.0);
  // Twice the window: a raised base with training, Self-Extend without.
  EXPECT_TRUE(plan["method"].get<std::string>().starts_with("abf:base=")) << plan["method"];
  EXPECT_EQ(plan["base"], plan["laws"]["recommended"]);
  EXPECT_GE(plan["base"].get<double>(), plan["laws"]["base_for_limit"].get<double>());
  EXPECT_TRUE(plan["untrained"]["method"].get<std::string>().starts_with("self_extend:"));
  // GPU hours are FLOPs over the speed that was assumed.
  const Json& training = plan["training"];
  double seconds =
      training["tokens"].get<double>() * training["flops_per_token"].get<double>() / (989e12 * 0.3);
  EXPECT_NEAR(training["gpu_hours"].get<double>() / (seconds / 3600), 1, 1e-9);
  ASSERT_EQ(plan["memory"].size(), 6u);  // two methods, three cache types
  for (const Json& row : plan["memory"]) EXPECT_GT(row["total_bytes"], row["kv_bytes"]);
  EXPECT_EQ(plan["memory"][0]["kv_bytes"], plan["memory"][1]["kv_bytes"].get<int64_t>() * 2);  // F32, F16
  EXPECT_EQ(plan["memory"][3]["key_copies"], 2);
  EXPECT_EQ(plan["memory"][3]["kv_bytes"].get<int64_t>() * 2,
            plan["memory"][0]["kv_bytes"].get<int64_t>() * 3);
  EXPECT_EQ(plan["memory_bytes"], plan["memory"][1]["total_bytes"]);
}

TEST_F(PlanProgram, AdviceFollowsTheFactor) {
  std::string model = tiny_model(64);
  Json far = run({"plan", model, "--to", "1000", "--json"}).json();
  EXPECT_TRUE(far["trained"]["method"].get<std::string>().starts_with("yarn:factor=15.7")) << far["trained"];
  // No method holds so far without training.
  EXPECT_TRUE(far["untrained"]["method"].is_null()) << far["untrained"];
  EXPECT_EQ(far["memory"].size(), 3u);
  Json within = run({"plan", model, "--to", "60", "--json"}).json();
  EXPECT_TRUE(within["method"].get<std::string>().starts_with("rope:"));
  Json chosen = run({"plan", model, "--to", "256", "--position", "linear:factor=4", "--json"}).json();
  EXPECT_TRUE(chosen["method"].get<std::string>().starts_with("linear:"));
  EXPECT_EQ(chosen["memory"].size(), 3u);
  Json slow = run({"plan", model, "--to", "256", "--gpu-tflops", "98.9", "--json"}).json();
  EXPECT_NEAR(slow["training"]["gpu_hours"].get<double>() / chosen["training"]["gpu_hours"].get<double>(), 10,
              1e-6);
}

/// Gemma 3: 3 layers, of which the last sees everything and two a window of 12 tokens.
TEST_F(PlanProgram, APatternOfWindowsIsCountedLayerByLayer) {
  fs::path model = fs::path(LONGSPAN_GOLDEN) / "model" / "gemma3";
  Outcome r = run({"plan", model.string(), "--to", "100", "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  // A layer: q 32 x 32, k and v 16 x 32, o 32 x 32, gate, up and down 32 x 32, four norms of 32, two of 16; a
  // norm; the tied head 64 x 32.
  double parameters = 3 * (2 * 1024 + 2 * 512 + 3 * 1024 + 4 * 32 + 2 * 16) + 32 + 64 * 32;
  double pairs = 100 * 101 / 2 + 2 * (12 * 13 / 2 + 88 * 12);
  EXPECT_DOUBLE_EQ(r.json()["training"]["flops_per_token"].get<double>(),
                   6 * parameters + 12 * 2 * 16 * pairs / 100);
}

TEST_F(PlanProgram, TextForPeople) {
  Outcome r = run({"plan", tiny_model(64), "--to", "256"});
  ASSERT_EQ(r.status, 0) << r.err;
  for (const char* part :
       {"arXiv 2310.05209", "arXiv 2405.14591", "XVERSE", "without training", "ProLong", "keys and values"})
    EXPECT_NE(r.out.find(part), std::string::npos) << part;
  EXPECT_EQ(run({"plan", tiny_model(64)}).status, 2);
  EXPECT_EQ(run({"plan", tiny_model(64), "--to", "256", "--position", "spiral"}).status, 1);
}

}  // namespace
}  // namespace longspan
