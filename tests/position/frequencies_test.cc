// The frequency rows that transformers does not know, each against its formula written out again, and the
// numbers that the authors published. The others are in position_test.cc.
#include <cmath>
#include <numbers>

#include "position_helpers.h"

namespace longspan {
namespace {

TEST(Frequencies, NoneIsTheModelsOwnMethod) {
  PositionConfig yarn = parse_position("yarn:factor=4", model(100000, 8192));
  yarn.declared_context = 32768;
  PositionConfig none = parse_position("none", yarn);
  EXPECT_EQ(describe(none), describe(yarn));
  EXPECT_EQ(none.declared_context, 32768);
  PositionConfig longrope = model(10000, 64);
  longrope.method = "longrope";
  longrope.lists = {{"short_factor", std::vector<double>(8, 1)}, {"long_factor", std::vector<double>(8, 5)}};
  EXPECT_EQ(parse_position("none:length=100", longrope).lists, longrope.lists);
  EXPECT_EQ(parse_position("none:length=100", longrope).values.at("length"), 100);
  EXPECT_ERROR(parse_position("none:base=5", yarn), "its keys: original, length");

  PositionConfig config = model();
  config.method = "none";
  for (const HeadShape& shape : kShapes)
    EXPECT_EQ(position_spec(config, shape, 9000), spec_of("rope", model(), shape));
}

TEST(Frequencies, XverseFormIsHuggingFacesWithFactor2) {
  PositionConfig xverse = model(500000, 32768);
  EXPECT_EQ(describe(parse_position("dynamic_ntk:form=xverse", xverse)),
            "dynamic_ntk:base=500000,factor=2,form=xverse,original=32768");
  EXPECT_ERROR(parse_position("dynamic_ntk:form=xverse,factor=4", xverse), "form=xverse is factor 2");
  EXPECT_ERROR(parse_position("dynamic_ntk:form=hf", xverse), "needs factor");
  EXPECT_ERROR(parse_position("dynamic_ntk:form=spiral", xverse), "must be a number, not \"spiral\"");
  for (const HeadShape& shape : kShapes)
    for (int64_t length : {1, 32768, 32769, 40000, 65536, 131072, 262144, 1000000}) {
      PositionSpec hf = spec_of("dynamic_ntk:factor=2", xverse, shape, length),
                   own = spec_of("dynamic_ntk:form=xverse", xverse, shape, length);
      EXPECT_TRUE(own.depends_on_length);
      auto s = static_cast<double>(length), r = static_cast<double>(shape.rotary_dim);
      double alpha = length > 32768 ? s / (32768 / 2.0) - 1 : 1;
      for (size_t i = 0; i < hf.inv_freq.size(); ++i) {
        EXPECT_NEAR(own.inv_freq[i] / theta(500000 * std::pow(alpha, r / (r - 2)), i, shape), 1, 1e-10);
        EXPECT_NEAR(own.inv_freq[i] / hf.inv_freq[i], 1, 1e-10);
      }
    }
}

TEST(Frequencies, PowerFollowsGiraffe) {
  for (const HeadShape& shape : kShapes) {
    PositionSpec plain = spec_of("power", model(), shape),
                 scaled = spec_of("power:power=0.1,factor=4", model(), shape),
                 raised = spec_of("power:factor=0.5", model(), shape);
    for (size_t i = 0; i < plain.inv_freq.size(); ++i) {
      double rest = 1 - 2 * static_cast<double>(i) / static_cast<double>(shape.rotary_dim);
      EXPECT_NEAR(plain.inv_freq[i] / (theta(10000, i, shape) * std::sqrt(rest)), 1, 1e-12);
      EXPECT_NEAR(scaled.inv_freq[i] / (theta(10000, i, shape) / 4 * std::pow(rest, 0.1)), 1, 1e-12);
    }
    EXPECT_EQ(raised.inv_freq, plain.inv_freq);  // the authors scale only by factors above 1
  }
}

TEST(Frequencies, TruncatedKeepsFlattensAndStops) {
  struct Row {
    int64_t window;
    size_t last_kept, last_slow;
    double rho;
  };
  HeadShape shape{128, 128};
  for (const Row& row :
       {Row{2048, 40, 54, 1.917e-4}, Row{4096, 45, 59, 0.9587e-4}}) {  // published, base 10000
    PositionSpec s = spec_of("truncated", model(10000, row.window), shape);
    for (size_t i = 0; i < 64; ++i) {
      SCOPED_TRACE(i);
      if (i <= row.last_kept)
        EXPECT_NEAR(s.inv_freq[i] / theta(10000, i, shape), 1, 1e-12);
      else if (i <= row.last_slow)
        EXPECT_NEAR(s.inv_freq[i] / row.rho, 1, 1e-3);
      else
        EXPECT_EQ(s.inv_freq[i], 0);
    }
  }
}

TEST(Frequencies, TruncatedComesAfterFactorAndPower) {
  for (const HeadShape& shape : kShapes) {
    PositionSpec s = spec_of("truncated:factor=4,power=0.5,truncate_pos=1000", model(), shape);
    for (size_t i = 0; i < s.inv_freq.size(); ++i) {
      double f = theta(10000, i, shape) / 4 *
                 std::sqrt(1 - 2 * static_cast<double>(i) / static_cast<double>(shape.rotary_dim));
      double turns = f * 1000 / (2 * std::numbers::pi);  // within truncate_pos tokens
      double expected = turns >= 1 ? f : turns >= 0.125 ? 2 * std::numbers::pi / 16000 : 0;
      EXPECT_NEAR(s.inv_freq[i], expected, 1e-12 * f);
    }
  }
}

TEST(Frequencies, RandomIsLinearInUse) {
  for (const HeadShape& shape : kShapes) {
    EXPECT_EQ(spec_of("random", model(), shape), spec_of("rope", model(), shape));
    EXPECT_EQ(spec_of("random:factor=4", model(), shape), spec_of("linear:factor=4", model(), shape));
  }
}

TEST(Frequencies, XposFadesSlowPairsMost) {
  for (const HeadShape& shape : kShapes) {
    double r = static_cast<double>(shape.rotary_dim);
    PositionSpec s = spec_of("xpos", model(), shape), slow = spec_of("xpos:scale_base=8192", model(), shape);
    EXPECT_EQ(s.inv_freq, spec_of("rope", model(), shape).inv_freq);
    ASSERT_EQ(s.decay.size(), s.inv_freq.size());
    for (size_t i = 0; i < s.decay.size(); ++i) {
      double zeta = (2 * static_cast<double>(i) / r + 0.4) / 1.4;  // gamma of the paper
      // A query at 700 and a key at 60 as the paper scales them, each on its own.
      EXPECT_NEAR(
          std::exp(s.decay[i] * (700 - 60)) / (std::pow(zeta, 700 / 512.0) * std::pow(zeta, -60 / 512.0)), 1,
          1e-10);
      EXPECT_NEAR(slow.decay[i] * 16, s.decay[i], 1e-12);
      EXPECT_LE(s.decay[i], 0);
      EXPECT_GE(std::exp(s.decay[i] * 262144), 0);  // finite at 256K
      EXPECT_GT(s.decay[i], i > 0 ? s.decay[i - 1] : -1);
    }
  }
}

TEST(Frequencies, PartialAndNoRotation) {
  for (const HeadShape& shape : kShapes) {
    PositionSpec half = spec_of("p_rope:fraction=0.5", model(), shape),
                 usual = spec_of("p_rope", model(), shape), drope = spec_of("drope", model(), shape);
    auto pairs = static_cast<size_t>(shape.rotary_dim / 2);
    for (size_t i = 0; i < pairs; ++i) {
      EXPECT_EQ(half.inv_freq[i], i < pairs / 2 ? spec_of("rope", model(), shape).inv_freq[i] : 0);
      EXPECT_EQ(usual.inv_freq[i] > 0, i < pairs * 3 / 4);
      EXPECT_EQ(drope.inv_freq[i], 0);
    }
    EXPECT_EQ(spec_of("p_rope:fraction=1", model(), shape), spec_of("rope", model(), shape));
    EXPECT_TRUE(drope.slopes.empty());
  }
  EXPECT_ERROR(parse_position("p_rope:fraction=1.5", model()), "fraction must be at most 1");
}

TEST(Frequencies, AlibiSlopes) {
  PositionSpec eight = spec_of("alibi", model(), {64, 64, 8});
  EXPECT_EQ(eight.slopes, (std::vector<double>{1 / 2.0, 1 / 4.0, 1 / 8.0, 1 / 16.0, 1 / 32.0, 1 / 64.0,
                                               1 / 128.0, 1 / 256.0}));
  EXPECT_EQ(eight.inv_freq, std::vector<double>(32, 0.0));
  std::vector<double> twelve = spec_of("alibi", model(), {64, 64, 12}).slopes;
  ASSERT_EQ(twelve.size(), 12u);
  for (size_t h = 0; h < 8; ++h) EXPECT_EQ(twelve[h], eight.slopes[h]);
  for (size_t h = 8; h < 12; ++h)  // 2^-0.5, 2^-1.5, ...: every second slope of 16 heads
    EXPECT_NEAR(twelve[h], std::exp2(-0.5 - static_cast<double>(h - 8)), 1e-15);
  for (const HeadShape& shape : kShapes)
    EXPECT_EQ(static_cast<int64_t>(spec_of("alibi", model(), shape).slopes.size()), shape.heads);
}

TEST(Frequencies, CurrentLengthIsAnUndeclaredOne) {
  for (const HeadShape& shape : kShapes) {
    PositionConfig config = parse_position("dynamic_ntk:factor=4,length=current", model());
    EXPECT_EQ(config.values.at("length"), kCurrentLength);
    EXPECT_EQ(describe(config), "dynamic_ntk:base=10000,factor=4,length=current,original=4096");
    for (int64_t length : {0, 100, 5000, 20000})
      EXPECT_EQ(position_spec(config, shape, length),
                spec_of("dynamic_ntk:factor=4", model(), shape, length));
    EXPECT_EQ(extended_context(config), 4 * 4096);
  }
  EXPECT_ERROR(parse_position("yarn:factor=4,length=current", model()), "yarn does not depend on the length");
  EXPECT_ERROR(parse_position("self_extend:length=current", model()), "does not depend on the length");
  EXPECT_ERROR(parse_position("none:length=current", model()), "rope does not depend on the length");
  EXPECT_ERROR(parse_position("dynamic_ntk:factor=2,length=0", model()), "above 0");
}

}  // namespace
}  // namespace longspan
