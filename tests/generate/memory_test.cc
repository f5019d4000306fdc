// The memory plan against what the system says is resident, on the real model.
#include "model/memory.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "generate/sequence.h"

namespace longspan {
namespace {

int64_t resident_bytes() {
  std::ifstream in("/proc/self/status");
  for (std::string key; in >> key;)
    if (int64_t kib = 0; key == "VmRSS:" && in >> kib) return kib * 1024;
  return 0;
}

// In a process of its own (ctest runs each test so): what other tests allocated would be counted too.
TEST(MemoryPlanSlow, IsWithinFivePercentOfWhatIsResident) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer's own memory would be counted";
#endif
  auto path = cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "needs the model: build/longspan fetch smollm2";
  EngineOptions options;
  constexpr int64_t kContext = 2048;
  MemoryPlan plan;
  {
    Checkpoint checkpoint = open_checkpoint(path);
    plan = plan_memory(checkpoint, read_config(checkpoint), kernels(), kernels().preferred,
                       options.cache_types, options.chunk, kContext);
  }
  Engine engine(path, options);
  Sequence sequence(engine, kContext);
  std::vector<int32_t> ids(kContext - 8);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * 37 % 40000 + 100);
  sequence.feed(ids);
  generate(sequence, engine, 8, {});
  EXPECT_NEAR(static_cast<double>(resident_bytes()), static_cast<double>(plan.total()),
              0.05 * static_cast<double>(plan.total()));
}

}  // namespace
}  // namespace longspan
