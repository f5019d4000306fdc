// Factors that follow the length of the text.
#include "position/stretch.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace longspan {
namespace {

PositionConfig model_of(int64_t window) {
  PositionConfig model;
  model.trained_context = window;
  return model;
}

TEST(Stretch, WhichSpecsNeedALength) {
  for (const char* spec : {"yarn", "linear:factor=auto", "ntk:factor=2*auto,base=500000", "dynamic_ntk",
                           "dynamic_ntk:form=hf", "yarn:beta_fast=16"})
    EXPECT_TRUE(needs_length(spec)) << spec;
  for (const char* spec : {"", "none", "rope", "yarn:factor=4", "dynamic_ntk:form=xverse", "abf:base=1e6"})
    EXPECT_FALSE(needs_length(spec)) << spec;
  EXPECT_THROW(needs_length("nonsense"), Error);
}

TEST(Stretch, LengthsInThousandsCount) {
  EXPECT_EQ(stretch_method("linear:original=1k", model_of(2048), 8192).position.values.at("factor"), 8);
  EXPECT_EQ(parse_position("rope:original=8k", model_of(2048)).trained_context, 8192);
  EXPECT_EQ(parse_position("dynamic_ntk:factor=2,length=32K", model_of(2048)).values.at("length"), 32768);
}

/// The window under the factor that was found is never a token short, whatever the length.
TEST(Stretch, TheWindowCoversTheLength) {
  for (int64_t window : {2048, 8192, 32768, 131072})
    for (int64_t length = window + 1; length < 9 * window; length += window / 7 + 1)
      ASSERT_EQ(extended_context(stretch_method("yarn", model_of(window), length).position), length)
          << window;
}

TEST(Stretch, NoFactorShrinksTheWindow) {
  EXPECT_EQ(stretch_method("yarn", model_of(8192), 4096).spec, "yarn:factor=1");
  try {
    parse_position("yarn:factor=0.7", model_of(8192));
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("factor must be at least 1, not 0.7"), std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace longspan
