// The published trainings: the program's own file, and what a file of that form must not hold.
#include "position/published_trainings.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "position_helpers.h"

namespace longspan {
namespace {

TEST(PublishedTrainings, TheProgramsOwnAreWhole) {
  ASSERT_EQ(published_trainings().size(), 10u);
  for (const PublishedTraining& t : published_trainings()) {
    EXPECT_FALSE(t.name.empty() || t.outcome.empty());
    EXPECT_LT(t.from, t.to) << t.name;
    EXPECT_LT(t.parameters, 1e11) << t.name;
    EXPECT_LT(t.tokens, 1e12) << t.name;
  }
  EXPECT_EQ(published_trainings()[3].name, "Index-1.9B-32K, base 320000");
  EXPECT_EQ(published_trainings()[3].parameters, 2.173e9);
}

TEST(PublishedTrainings, TheNearestInSizeOfThoseThatReachedFarEnough) {
  EXPECT_EQ(nearest_training(135e6, 32768).name, "SmolLM2-135M trial, yarn 32, first stage");
  EXPECT_EQ(nearest_training(135e6, 40000).name, "SmolLM2-135M trial, yarn 32, three stages");
  EXPECT_EQ(nearest_training(135e6, 500000).name, "ProLong-8B, base 1.28e8");
  EXPECT_EQ(nearest_training(65e9, 32768).name, "Llama 2 Long 70B, base 500000");
  EXPECT_EQ(nearest_training(2e9, 10'000'000).name,
            "Index-1.9B-32K, base 320000");  // nobody reached that far
}

TEST(PublishedTrainings, AreReadStrictly) {
  const std::string good =
      "[[training]]\nname = \"a\"\nparameters = 1e9\nfrom = 1\nto = 2\ntokens = 5e6\noutcome = \"b\"\n";
  EXPECT_EQ(parse_published_trainings(good, "t.toml").size(), 1u);
  EXPECT_ERROR(parse_published_trainings(good + "extra = 1\n", "t.toml"), "extra");
  EXPECT_ERROR(parse_published_trainings("[[training]]\nname = \"a\"\n", "t.toml"), "parameters");
  EXPECT_ERROR(parse_published_trainings("[[recipe]]\n" + good, "t.toml"), "recipe");
  std::string many = good;
  many.replace(many.find("1e9"), 3, "\"many\"");
  EXPECT_ERROR(parse_published_trainings(many, "t.toml"), "parameters");
}

}  // namespace
}  // namespace longspan
