// A stop string may be the spelling of a special token, as Aquila's are.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "generate/sequence.h"
#include "model/family.h"

namespace longspan {
namespace {

TEST(StopStrings, ThatAreSpecialTokensEndTheAnswer) {
  auto directory =
      std::filesystem::temp_directory_path() / ("longspan_stop_string_" + std::to_string(::getpid()));
  make_family(directory, "aquila", true);
  Engine engine(directory, {});
  std::vector<int32_t> prompt{1, 2, 3};
  auto run = [&](const std::vector<std::string>& stop) {
    Sequence sequence(engine, 64);
    sequence.feed(prompt);
    SamplingOptions sampling;
    sampling.stop = stop;
    return generate(sequence, engine, 48, sampling);
  };
  Generation free = run({});
  EXPECT_EQ(free.reason, StopReason::Length);
  auto first =
      std::find_if(free.ids.begin(), free.ids.end(), [](int32_t id) { return id >= kFamilyCharacters; });
  ASSERT_NE(first, free.ids.end());
  Generation stopped = run({"never", family_token(*first, {})});
  EXPECT_EQ(stopped.reason, StopReason::StopString);
  EXPECT_EQ(stopped.ids, std::vector<int32_t>(free.ids.begin(), first));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace longspan
