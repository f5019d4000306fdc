// The one reader of settings: what is read, what is refused and with which words, layers and --set.
#include "base/settings.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "base/error.h"

namespace longspan {
namespace {

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

const char kText[] = R"(seed = 5
name = "a"
rate = 0.5
on = true
lengths = [4, 8]
day = 2026-11-28

[optimizer]
clip = 1

[[stage]]
lr = 1e-3
files = ["x", "sub/../y"]
[[stage]]
lr = 2
)";

TEST(Toml, BecomesJsonWithPlaces) {
  TomlFile toml = parse_toml(kText, "r.toml");
  EXPECT_EQ(
      dump_json(toml.values),
      R"({"day":"2026-11-28","lengths":[4,8],"name":"a","on":true,"optimizer":{"clip":1},"rate":0.5,"seed":5,)"
      R"("stage":[{"files":["x","sub/../y"],"lr":0.001},{"lr":2}]})");
  EXPECT_EQ(toml.places.at("rate"), "r.toml:3:1");
  EXPECT_EQ(toml.places.at("lengths.1"), "r.toml:5:15");
  EXPECT_EQ(toml.places.at("optimizer.clip"), "r.toml:9:1");
  EXPECT_EQ(toml.places.at("stage.1.lr"), "r.toml:15:1");
  EXPECT_TRUE(error_of([] { parse_toml("a = 1\na = 2", "x"); }).starts_with("x:2:"));
  std::string twice = std::string(5000, 'k') + " = 1\n";
  EXPECT_LT(error_of([&] { parse_toml(twice + twice, "x"); }).size(), 300u);
}

TEST(Toml, IsWrittenAsItIsRead) {
  const char* text =
      "a = 1\nb = [ 0.5, 2.0 ]\nc = 'x\\y'\non = true\n\n[[stage]]\nlr = 2e-5\n\n[[stage]]\n"
      "length = 4096\n\n[stage.data]\nfiles = [ [ 'p' ], [ 'q' ] ]\n";
  Json values = parse_toml(text, "f").values;
  std::string again = toml_text(values);
  EXPECT_EQ(parse_toml(again, "g").values, values) << again;
  EXPECT_NE(again.find("[[stage]]"), again.npos) << again;
  EXPECT_NE(again.find("2.0"), again.npos) << "a number with a point lost it:\n" << again;
  EXPECT_EQ(toml_text({{"gone", nullptr}, {"kept", 1}}), "kept = 1\n");
}

TEST(Toml, DepthIsBounded) {
  auto repeated = [](const std::string& step, int times) {
    std::string key = step;
    for (int i = 1; i < times; ++i) key += "." + step;
    return key;
  };
  auto refused = [](const std::string& text) { return error_of([&] { parse_toml(text, "x"); }); };
  for (const char* step : {"a", "'a b'", "\"a\\\" b\"", " a "}) {
    EXPECT_EQ(refused(repeated(step, 60) + " = 1"), "no error") << step;
    for (int times : {70, 200000}) {
      EXPECT_EQ(refused(repeated(step, times) + " = 1"), "x: a key has more than 64 steps") << step;
      EXPECT_EQ(refused("[[" + repeated(step, times) + "]]"), "x: a key has more than 64 steps") << step;
    }
  }
  EXPECT_EQ(refused("a = '" + repeated("word", 1000) + "'"), "no error");
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "A sentence of 3.5 words. ... ";
  EXPECT_EQ(refused("a = \"\"\"\n" + text + "\"\"\""), "no error");
  std::string tables = repeated("a", 60) + " = {";
  for (int i = 0; i < 20; ++i) tables += repeated("a", 60) + " = {";
  EXPECT_EQ(refused(tables + std::string(21, '}')), "x: is TOML nested more than 500 levels deep");
  EXPECT_TRUE(refused("a = " + std::string(100000, '[')).starts_with("x:1:")) << "the library bounds lists";
}

TEST(Settings, ReadsEachTypeAndLeavesWhatIsAbsent) {
  TomlFile toml = parse_toml(kText, "r.toml");
  Settings s(toml.values, {.file = toml.file, .places = &toml.places});
  int64_t seed = 0, absent = 7;
  std::string name, day;
  double rate = 0;
  bool on = false;
  std::vector<int64_t> lengths;
  EXPECT_TRUE(s.read("seed", seed, 0) && s.read("name", name, {"a", "b"}) && s.read("rate", rate, 0, 1));
  EXPECT_TRUE(s.read("on", on) && s.read("lengths", lengths, 1, 8) && s.read("day", day));
  EXPECT_FALSE(s.read("absent", absent, 0));
  EXPECT_EQ(seed, 5);
  EXPECT_EQ(name, "a");
  EXPECT_EQ(rate, 0.5);
  EXPECT_TRUE(on);
  EXPECT_EQ(lengths, (std::vector<int64_t>{4, 8}));
  EXPECT_EQ(absent, 7);
  double clip = 0;
  s.table("optimizer", [&](Settings& o) { o.read("clip", clip, 0); });  // a whole number is a number
  EXPECT_EQ(clip, 1);
  std::vector<double> rates;
  std::vector<std::filesystem::path> files;
  s.tables("stage", [&](Settings& stage) {
    stage.read("lr", rates.emplace_back(), 0);
    stage.read("files", files, "/base");
  });
  EXPECT_EQ(rates, (std::vector<double>{1e-3, 2}));
  EXPECT_EQ(files, (std::vector<std::filesystem::path>{"/base/x", "/base/y"}));
  s.done();
}

TEST(Settings, ASingleValueIsAListAndNullIsAbsent) {
  Json json = {{"one", 3}, {"text", "x"}, {"none", nullptr}};
  Settings s(json, {.file = "f"});
  std::vector<int64_t> one;
  std::vector<std::string> text;
  bool none = true;
  EXPECT_TRUE(s.read("one", one, 1) && s.read("text", text));
  EXPECT_FALSE(s.read("none", none));
  EXPECT_EQ(one, std::vector<int64_t>{3});
  EXPECT_EQ(text, std::vector<std::string>{"x"});
  EXPECT_TRUE(none && !s.has("none") && s.any("none").is_null());
  EXPECT_EQ(error_of([&] { s.require({"one", "none"}); }), "f: none is missing");
}

TEST(Settings, WrongValuesAreRefusedWithTheLimitsAndTheValue) {
  Json json = {{"i", 5},
               {"x", 0.5},
               {"s", "t"},
               {"huge", 18446744073709551615u},
               {"inf", std::numeric_limits<double>::infinity()},
               {"list", {1, "b"}},
               {"long", std::string(100000, 'x')}};
  auto refused = [&](const std::function<void(Settings&)>& body) {
    return error_of([&] {
      Settings s(json, {.file = "f", .section = "task t", .path = "make"});
      body(s);
    });
  };
  int64_t i;
  double x;
  std::string text;
  bool on;
  std::vector<int64_t> numbers;
  std::vector<std::string> texts;
  const std::string head = "f: task t: make.";
  EXPECT_EQ(refused([&](Settings& s) { s.read("i", i, 6); }),
            head + "i must be a whole number, at least 6, not 5");
  EXPECT_EQ(refused([&](Settings& s) { s.read("i", i, 1, 4); }),
            head + "i must be a whole number from 1 to 4, not 5");
  EXPECT_EQ(refused([&](Settings& s) { s.read("x", i, INT64_MIN); }),
            head + "x must be a whole number, not 0.5");
  EXPECT_EQ(refused([&](Settings& s) { s.read("huge", i, 0); }),
            head + "huge must be a whole number, at least 0, not 18446744073709551615");
  EXPECT_EQ(refused([&](Settings& s) { s.read("inf", x); }), head + "inf must be a number, not inf");
  EXPECT_EQ(refused([&](Settings& s) { s.read("x", x, 1, 2); }),
            head + "x must be a number from 1 to 2, not 0.5");
  EXPECT_EQ(refused([&](Settings& s) { s.read("i", text); }), head + "i must be a string, not 5");
  EXPECT_EQ(refused([&](Settings& s) { s.read("s", on); }), head + "s must be true or false, not \"t\"");
  EXPECT_EQ(refused([&](Settings& s) {
              s.read("s", text, {"a", "b"});
            }),
            head + "s must be \"a\" or \"b\", not \"t\"");
  EXPECT_EQ(refused([&](Settings& s) {
              s.read("s", text, {"a", "b", "c"});
            }),
            head + "s must be one of \"a\", \"b\", \"c\", not \"t\"");
  EXPECT_EQ(refused([&](Settings& s) { s.read("list", numbers, 0); }),
            head + "list.1 must be a whole number, at least 0, not \"b\"");
  EXPECT_EQ(refused([&](Settings& s) { s.read("list", texts); }), head + "list.0 must be a string, not 1");
  EXPECT_EQ(refused([&](Settings& s) { s.object("i"); }), head + "i must be a table, not 5");
  EXPECT_EQ(refused([&](Settings& s) { s.tables("s", [](Settings&) {}); }),
            head + "s must be a list of tables, written [[make.s]], not \"t\"");
  EXPECT_LT(refused([&](Settings& s) { s.read("long", on); }).size(), 200u);
  EXPECT_EQ(refused([&](Settings& s) { s.inside("slots.q", json).refuse("s", "no"); }),
            "f: task t: make.slots.q.s: no");
}

TEST(Settings, UnknownKeysAreRefusedWithTheNearest) {
  auto unknown = [](const std::string& key) {
    Json json = {{key, 1}};
    return error_of([&] {
      Settings s(json, {.file = "f"});
      double x;
      for (const char* known : {"clip", "beta1", "batch_tokens"}) s.read(known, x);
      s.done();
    });
  };
  const std::string all = "; known keys: clip, beta1, batch_tokens";
  EXPECT_EQ(unknown("clipp"), "f: clipp is unknown (did you mean clip?)" + all);
  EXPECT_EQ(unknown("lcip"), "f: lcip is unknown (did you mean clip?)" + all);
  EXPECT_EQ(unknown("batch"), "f: batch is unknown (did you mean batch_tokens?)" + all);
  EXPECT_EQ(unknown("colour"), "f: colour is unknown" + all);
  EXPECT_EQ(unknown("x"), "f: x is unknown" + all);
  EXPECT_LT(unknown(std::string(100000, 'k')).size(), 200u);
  EXPECT_EQ(unknown("two\nlines"), "f: two\\nlines is unknown" + all);
  EXPECT_EQ(unknown("beta1"), "no error");
}

TEST(Settings, APlaceIsThatOfTheKeyOrOfWhatHoldsIt) {
  TomlFile toml = parse_toml(kText, "r.toml");
  apply_override(toml, parse_override("stage.1.lr=fast"));
  Settings s(toml.values, {.file = toml.file, .places = &toml.places});
  EXPECT_EQ(s.where("stage.0.files.1"), "r.toml:13:15: stage.0.files.1");
  EXPECT_EQ(s.where("optimizer.none"), "r.toml:8:2: optimizer.none");
  EXPECT_EQ(s.where("none"), "r.toml: none");
  EXPECT_EQ(s.where("stage.1.lr"), "--set stage.1.lr=fast: stage.1.lr");
}

TEST(Overrides, ValuesAreTomlOrBareWords) {
  auto value = [](const std::string& text) { return parse_override("k=" + text).value; };
  EXPECT_EQ(value("3"), 3);
  EXPECT_EQ(value("1e-5"), 1e-5);
  EXPECT_EQ(value("[4096, 8192]"), Json({4096, 8192}));
  EXPECT_EQ(value("\"3\""), "3");
  EXPECT_EQ(value("{a = {b = true}}"), Json::parse(R"({"a": {"b": true}})"));
  EXPECT_EQ(value("word"), "word");
  EXPECT_EQ(value("two words"), "two words");
  EXPECT_EQ(value("/a/b=c"), "/a/b=c");
  EXPECT_EQ(value(""), "");
  EXPECT_EQ(value("1\nother = 2"), "1\nother = 2");  // one value, not a way to set other keys
  for (const char* bad : {"lr", "=1", "a..b=1", ".a=1", "a.=1"})
    EXPECT_NE(error_of([&] { parse_override(bad); }).find("expected KEY=VALUE"), std::string::npos) << bad;
}

TEST(Overrides, TheLongestOwnerThatOpensTheKeyIsMeant) {
  std::set<std::string> tasks = {"qa", "qa.2", "lines"};
  auto read = [&](const std::string& text) {
    Override one = parse_override(text, tasks);
    return one.owner + "|" + one.key;
  };
  EXPECT_EQ(read("new_tokens=1"), "|new_tokens");
  EXPECT_EQ(read("qa.new_tokens=1"), "qa|new_tokens");
  EXPECT_EQ(read("qa.2.make.x=1"), "qa.2|make.x");
  EXPECT_EQ(read("qas.x=1"), "|qas.x");
  EXPECT_NE(error_of([&] { parse_override("x", tasks); }).find("expected [TASK.]KEY=VALUE"),
            std::string::npos);
}

TEST(Overrides, ReplaceMakeAndLayOver) {
  TomlFile toml = parse_toml(kText, "r.toml");
  auto set = [&](const std::string& text) { apply_override(toml, parse_override(text)); };
  set("stage.1.lr=3");
  set("lengths.0=16");
  set("plan.recompute=false");
  set("optimizer={beta1 = 0.8}");
  set("lengths.1={x = 1}");
  set("stage.0.files=z");
  EXPECT_EQ(toml.values["stage"][1]["lr"], 3);
  EXPECT_EQ(toml.values["lengths"], Json::parse(R"([16, {"x": 1}])"));
  EXPECT_EQ(toml.values["plan"]["recompute"], false);
  EXPECT_EQ(toml.values["optimizer"], Json::parse(R"({"clip": 1, "beta1": 0.8})"));
  EXPECT_EQ(toml.values["stage"][0]["files"], "z");
  EXPECT_EQ(toml.places.at("optimizer.clip"), "r.toml:9:1");
  EXPECT_EQ(toml.places.at("optimizer.beta1"), "--set optimizer={beta1 = 0.8}");
  EXPECT_FALSE(toml.places.contains("stage.0.files.1"));
  EXPECT_EQ(error_of([&] { set("stage.3.lr=1"); }), "--set stage.3.lr=1: there is no stage.3");
  EXPECT_EQ(error_of([&] { set("stage.x.lr=1"); }), "--set stage.x.lr=1: there is no stage.x");
  EXPECT_EQ(error_of([&] { set("seed.x=1"); }), "--set seed.x=1: seed is not a table that could hold x");
}

TEST(Layers, TablesLieOverTablesAndPlacesFollow) {
  TomlFile file = parse_toml("[low]\na = 1\nb = { c = 1, d = [1, 2] }\n[high]\nb = { d = 3 }\n", "s.toml");
  TomlFile row{"s.toml"};
  lay_over(row, file.values["low"], file.places, "low");
  lay_over(row, file.values["high"], file.places, "high");
  EXPECT_EQ(row.values, Json::parse(R"({"a": 1, "b": {"c": 1, "d": 3}})"));
  EXPECT_EQ(row.places.at("b.c"), "s.toml:3:7");
  EXPECT_EQ(row.places.at("b.d"), "s.toml:5:7");
}

}  // namespace
}  // namespace longspan
