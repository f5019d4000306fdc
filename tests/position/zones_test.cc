// The zone rows: the distance that a score turns by, query map minus key map of the zone that attention would
// choose, against the published definition over many pairs.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "position_helpers.h"

namespace longspan {
namespace {

constexpr int64_t kTexts = 1500;  // positions looked at, past every window here

/// The zone of a pair, as the border in kernels.h has it.
const Zone& zone_of(const PositionSpec& s, int64_t m, int64_t n) {
  int64_t r = s.chunk == 0 ? m - n : m / s.chunk - n / s.chunk;
  size_t z = 0;
  while (z + 1 < s.zones.size() && r >= s.zones[z + 1].from) ++z;
  return s.zones[z];
}

double distance(const PositionSpec& s, int64_t m, int64_t n) {
  const Zone& z = zone_of(s, m, n);
  return apply(z.query, static_cast<double>(m)) - apply(z.key, static_cast<double>(n));
}

void expect_distances(const PositionSpec& s, const std::function<double(int64_t m, int64_t n)>& expected) {
  for (int64_t m = 0; m < kTexts; m += 7)
    for (int64_t n = m; n >= 0; n -= n > m - 40 ? 1 : 11)
      ASSERT_NEAR(distance(s, m, n), expected(m, n), 1e-9) << m << " " << n;
}

TEST(Zones, Rerope) {
  for (const HeadShape& shape : kShapes) {
    PositionSpec s = spec_of("rerope:window=100", model(10000, 256), shape);
    expect_distances(s,
                     [](int64_t m, int64_t n) { return static_cast<double>(std::min<int64_t>(m - n, 100)); });
    EXPECT_EQ(s.inv_freq, spec_of("rope", model(), shape).inv_freq);
    EXPECT_EQ(s.log_n, 0);
    EXPECT_FALSE(s.depends_on_length);
  }
  EXPECT_EQ(spec_of("rerope", model(), kShapes[0]).zones[1].from, 512);
  EXPECT_EQ(spec_of("rerope:log_n=1", model(10000, 4096), kShapes[0]).log_n, 4096);
  EXPECT_ERROR(spec_of("rerope:log_n=1,original=1", model(), kShapes[0]), "log_n needs a trained window");
  EXPECT_ERROR(parse_position("rerope:window=10.5", model()), "whole number");
}

TEST(Zones, LeakyReropeIsContinuousAtItsWindow) {
  for (const HeadShape& shape : kShapes)
    for (double k : {2.0, 3.0, 16.0}) {
      PositionSpec s = spec_of(fmt::format("leaky_rerope:window=100,factor={}", k), model(10000, 256), shape);
      expect_distances(s, [&](int64_t m, int64_t n) {
        auto r = static_cast<double>(m - n);
        return r < 100 ? r : 100 + (r - 100) / k;
      });
      EXPECT_NEAR(distance(s, 1100, 1000), 100, 1e-9);  // r = w, the far zone's first
      EXPECT_NEAR(distance(s, 1101, 1000), 100 + 1 / k, 1e-9);
    }
  PositionSpec usual = spec_of("leaky_rerope", model(), kShapes[0]);
  EXPECT_EQ(usual.zones[1].from, 512);
  EXPECT_EQ(usual.zones[1].key.divisor, 16);
}

TEST(Zones, NlpeStyle) {
  PositionConfig small = model(10000, 400);
  for (const HeadShape& shape : kShapes) {
    EXPECT_EQ(spec_of("nlpe", small, shape), spec_of("rerope:window=100", small, shape));
    EXPECT_EQ(spec_of("nlpe:factor=8,window=50", small, shape),
              spec_of("leaky_rerope:factor=8,window=50", small, shape));
    EXPECT_EQ(spec_of("nlpe:log_n=1", small, shape), spec_of("rerope:window=100,log_n=1", small, shape));

    PositionSpec own = spec_of("nlpe:far_factor=4", small, shape);
    EXPECT_EQ(own.inv_freq, spec_of("rope", small, shape).inv_freq);
    EXPECT_EQ(own.zones[1].inv_freq, spec_of("ntk:factor=4", small, shape).inv_freq);
    EXPECT_TRUE(own.zones[0].inv_freq.empty());
    expect_distances(own, [](int64_t m, int64_t n) { return static_cast<double>(m - n); });
    PositionSpec both = spec_of("nlpe:far_factor=4,factor=8", small, shape);
    EXPECT_EQ(both.zones[1].inv_freq, own.zones[1].inv_freq);
    EXPECT_EQ(both.zones[1].query, spec_of("nlpe:factor=8", small, shape).zones[1].query);
  }
  EXPECT_NE(std::string(position_method("nlpe").paper).find("NLPE-style"), std::string::npos);
}

TEST(Zones, SelfExtend) {
  for (const HeadShape& shape : kShapes)
    for (int64_t g : {1, 3, 8}) {
      PositionSpec s = spec_of(fmt::format("self_extend:group={},window=100", g), model(10000, 256), shape);
      expect_distances(s, [&](int64_t m, int64_t n) {
        return static_cast<double>(m - n < 100 ? m - n : m / g - n / g + 100 - 100 / g);
      });
      EXPECT_FALSE(s.depends_on_length);
    }
}

TEST(Zones, SelfExtendTakesTheSmallestGroupThatFits) {
  PositionConfig llama = model(10000, 4096);
  auto group = [&](const char* text, int64_t length) {
    PositionSpec s = spec_of(text, llama, kShapes[0], length);
    return s.zones.size() == 1 ? 1 : s.zones[1].key.divisor;
  };
  EXPECT_EQ(group("self_extend", 4096), 1);
  EXPECT_EQ(group("self_extend", 4097), 2);
  EXPECT_EQ(group("self_extend", 15800), 5);  // the authors' example: 5 (4096 - 1024) + 1024 = 16384
  EXPECT_EQ(group("self_extend", 16384), 5);
  EXPECT_EQ(group("self_extend", 16385), 6);
  EXPECT_EQ(group("self_extend:window=1536,length=32000", 100), 12);
  EXPECT_TRUE(spec_of("self_extend", llama, kShapes[0]).depends_on_length);
  EXPECT_FALSE(spec_of("self_extend:length=9000", llama, kShapes[0]).depends_on_length);
  EXPECT_EQ(spec_of("self_extend", llama, kShapes[0], 9000).zones[1].from, 1024);
  EXPECT_EQ(spec_of("self_extend", model(10000, 64), kShapes[0], 300).zones[1].from, 16);
  EXPECT_ERROR(spec_of("self_extend:window=5000", llama, kShapes[0]), "must be below the trained window");
  for (int64_t length :
       {4096, 5000, 16384, 100000}) {  // no distance of the text is one that training never saw
    PositionSpec s = spec_of("self_extend", llama, kShapes[0], length);
    EXPECT_LE(distance(s, length - 1, 0), 4096);
  }
}

TEST(Zones, DualChunk) {
  constexpr int64_t size = 192, local = 32, c = size - local;
  auto expected = [&](int64_t m, int64_t n) {
    int64_t within = m % c;
    if (m / c == n / c) return static_cast<double>(within - n % c);
    if (m / c == n / c + 1) return static_cast<double>(std::min(within + c, size) - n % c);
    return static_cast<double>(std::min((c - 1) + c, size) - n % c);
  };
  for (const HeadShape& shape : kShapes) {
    PositionSpec s = spec_of("dual_chunk:size=192,local=32", model(10000, 256), shape);
    EXPECT_EQ(s.chunk, c);
    expect_distances(s, expected);
    EXPECT_EQ(s, spec_of("dual_chunk", model(10000, 256), shape));  // 3/4 and 1/8 of the trained window
  }
  PositionSpec s = spec_of("dual_chunk", model(10000, 256), kShapes[0]);
  for (int64_t m = 0; m < kTexts; ++m)
    for (int64_t n = m; n >= 0; --n) {
      EXPECT_LE(distance(s, m, n), 256);
      if (m - n <= local) {
        EXPECT_EQ(distance(s, m, n), m - n);  // near tokens keep their distance
      }
    }
  EXPECT_ERROR(spec_of("dual_chunk:size=10,local=10", model(), kShapes[0]), "must be below size");
  EXPECT_ERROR(spec_of("dual_chunk", model(10000, 4), kShapes[0]), "too short for a default of local");
}

TEST(Zones, String) {
  for (const HeadShape& shape : kShapes) {
    PositionSpec s = spec_of("string:shift=300,local=40", model(10000, 900), shape);
    expect_distances(
        s, [](int64_t m, int64_t n) { return static_cast<double>(m - n < 300 ? m - n : m - n - 300 + 40); });
    EXPECT_EQ(spec_of("string:local=40", model(10000, 900), shape), s);
    for (int64_t m = 300; m < 2000; m += 50) EXPECT_GE(apply(s.zones[1].query, static_cast<double>(m)), 0);
  }
  EXPECT_EQ(spec_of("string", model(10000, 900), kShapes[0]).zones[1].query.offset, 128 - 300);
  EXPECT_EQ(spec_of("string:attention_factor=1.07", model(), kShapes[0]).attention_scale, 1.07);
  EXPECT_ERROR(spec_of("string:shift=10,local=11", model(), kShapes[0]),
               "local (11) must be below shift (10)");
  EXPECT_ERROR(spec_of("string:shift=10,local=10", model(), kShapes[0]),
               "local (10) must be below shift (10)");
  // 128 tokens, the default of local, do not fit below a third of a short window: that would be plain rope.
  EXPECT_ERROR(spec_of("string", model(10000, 300), kShapes[0]), "local (100) must be below shift (100)");
  EXPECT_EQ(spec_of("string", model(10000, 387), kShapes[0]).zones[1].query.offset, 128 - 129);
}

/// A border beyond the trained window leaves distances that training never showed, however far the method
/// claims to reach.
TEST(Zones, NoMethodClaimsDistancesThatTrainingNeverShowed) {
  PositionConfig m = model(10000, 400);
  for (const char* text : {"rerope", "rerope:window=401", "nlpe:window=401", "dual_chunk:size=401,local=8",
                           "string:shift=401,local=8"})
    EXPECT_ERROR(spec_of(text, m, kShapes[0]), "must be at most the trained window (400)");
  for (const char* text :
       {"rerope:window=400", "nlpe:window=400", "dual_chunk:size=400,local=8", "string:shift=400,local=8"}) {
    PositionSpec s = spec_of(text, m, kShapes[0]);
    for (int64_t r = 0; r < 790; ++r) EXPECT_LE(distance(s, 1000, 1000 - r), 400) << text;
  }
}

TEST(Zones, WindowThatAMethodReaches) {
  PositionConfig m = model(10000, 4096);
  auto reach = [&](const char* text) { return extended_context(parse_position(text, m)); };
  EXPECT_EQ(reach("leaky_rerope:factor=16,window=512"), 512 + 16 * (4096 - 512));
  EXPECT_EQ(reach("leaky_rerope:factor=3,window=100"), 100 + 3 * (4096 - 100));
  EXPECT_EQ(reach("self_extend:group=5,window=1024"), 5 * (4096 - 1024) + 5 * 204);
  EXPECT_EQ(reach("self_extend:group=8,window=1024"), 8 * (4096 - 1024) + 1024);
  EXPECT_EQ(reach("self_extend:length=30000"), 30000);
  EXPECT_EQ(reach("string:shift=1000,local=100"), 4096 + 900);
  EXPECT_EQ(reach("nlpe:far_factor=4"), 4 * 4096);
  for (const char* text : {"drope", "alibi", "power"}) EXPECT_EQ(reach(text), 4096) << text;
  for (const char* text : {"rerope", "nlpe", "dual_chunk", "self_extend"})
    EXPECT_EQ(reach(text), 0) << text << " has no end";
  EXPECT_EQ(reach("leaky_rerope:window=5000"), 4096);  // the far zone begins beyond what was trained
  EXPECT_EQ(reach("rerope:length=50000"), 50000);
  EXPECT_EQ(reach("random:factor=1e300"), 1'000'000'000'000);
  // Every distance of a text that long is one that training showed.
  for (const char* text : {"leaky_rerope:factor=3,window=100", "self_extend:group=5,window=1024", "string"}) {
    PositionSpec s = spec_of(text, m, kShapes[0]);
    for (int64_t n = 0; n < reach(text); n += 13)
      EXPECT_LT(distance(s, reach(text) - 1, n), 4096 + 1) << text;
  }
}

TEST(Zones, NumbersThatNoKernelCanTakeAreErrors) {
  const char* part = "check its numbers";
  EXPECT_ERROR(spec_of("leaky_rerope:factor=1e-308", model(), kShapes[0]), part);
  EXPECT_ERROR(spec_of("nlpe:far_factor=1e308", model(), kShapes[0]), part);
  EXPECT_ERROR(spec_of("xpos:scale_base=1e-300", model(), kShapes[0]), part);
  EXPECT_ERROR(extended_context(parse_position("leaky_rerope:factor=1e-308", model())), part);
  spec_of("leaky_rerope:factor=1e308,window=1e12", model(), kShapes[0]);
}

TEST(Zones, RotationsAreSharedWhereEqual) {
  auto keys = [](const char* text) {
    return rotations(spec_of(text, model(), kShapes[0], 9000)).keys.size();
  };
  EXPECT_EQ(keys("rope"), 1u);
  EXPECT_EQ(keys("string"), 1u);      // the same keys serve both zones
  EXPECT_EQ(keys("dual_chunk"), 1u);  // and all three here
  EXPECT_EQ(keys("rerope"), 2u);
  EXPECT_EQ(keys("self_extend"), 2u);
  EXPECT_EQ(rotations(spec_of("dual_chunk", model(), kShapes[0])).queries.size(), 3u);
}

TEST(Zones, EveryRowReadsItsOwnDescription) {
  for (const PositionMethod& method : position_methods()) {
    if (!method.lists.empty()) continue;  // only a model's own config can bring lists
    std::string plain = method.name, full = plain + ":original=2048";
    for (const std::string& key : method.required) {
      plain += std::string(plain == method.name ? ":" : ",") + key + "=4";
      full += "," + key + "=4";
    }
    for (const std::string& text : {plain, full}) {
      SCOPED_TRACE(text);
      PositionConfig config = parse_position(text, model()), other = model(777, 55),
                     again = parse_position(describe(config), other);
      EXPECT_EQ(describe(again), describe(config));
      for (const HeadShape& shape : kShapes)
        for (int64_t length : {0, 9000}) {
          PositionSpec s = position_spec(config, shape, length);
          EXPECT_EQ(s, position_spec(again, shape, length));
          EXPECT_LE(s.zones.size(), kMaxZones);
          for (size_t z = 0; z < s.zones.size(); ++z)
            EXPECT_TRUE(z == 0 ? s.zones[z].from == 0 : s.zones[z].from > s.zones[z - 1].from);
          EXPECT_TRUE(!method.follows_length || s.depends_on_length);
        }
    }
  }
}

TEST(Zones, EveryKeyOfEveryRowDoesSomething) {
  const std::map<std::string, std::string> values = {{"form", "xverse"},
                                                     {"truncate", "false"},
                                                     {"factor", "2"},
                                                     {"beta_fast", "20"},
                                                     {"beta_slow", "3"},
                                                     {"mscale", "0.7"},
                                                     {"mscale_all_dim", "0.5"},
                                                     {"attention_factor", "1.3"},
                                                     {"low_freq_factor", "2"},
                                                     {"high_freq_factor", "9"},
                                                     {"power", "0.3"},
                                                     {"truncate_pos", "900"},
                                                     {"scale_base", "99"},
                                                     {"window", "77"},
                                                     {"log_n", "1"},
                                                     {"far_factor", "3"},
                                                     {"group", "6"},
                                                     {"size", "1000"},
                                                     {"local", "60"},
                                                     {"shift", "1000"},
                                                     {"fraction", "0.3"}};
  for (const PositionMethod& method : position_methods()) {
    if (!method.lists.empty()) continue;
    for (const std::string& key : method.keys) {
      if (key == "form") continue;  // another way to write factor=2
      std::string with = std::string(method.name) + ":" + key + "=" + values.at(key), without = method.name;
      // mscale acts only beside mscale_all_dim; a required factor must stand in both.
      std::string rest =
          key.starts_with("mscale") ? (key == "mscale" ? "mscale_all_dim=0.5" : "mscale=0.7") : "";
      for (const std::string& need : method.required)
        if (need != "base") rest += (rest.empty() ? "" : ",") + need + "=4";
      if (key == "factor" && !method.required.empty())
        rest = "", without += ":factor=4";
      else if (!rest.empty())
        with += "," + rest, without += ":" + rest;
      EXPECT_NE(spec_of(with, model(), kShapes[2], 9000), spec_of(without, model(), kShapes[2], 9000))
          << with;
    }
  }
}

}  // namespace
}  // namespace longspan
