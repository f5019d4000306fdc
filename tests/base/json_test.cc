#include "base/json.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "base/error.h"

namespace longspan {
namespace {

std::string error_of(std::string_view text) {
  try {
    parse_json(text, "x.json");
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(ParseJson, KeepsTheOrderOfKeys) {
  Json j = parse_json(R"({"z": 1, "a": [true, null, -2, 1.5, "s"], "m": {"k": {}}})", "x.json");
  EXPECT_EQ(dump_json(j), R"({"z":1,"a":[true,null,-2,1.5,"s"],"m":{"k":{}}})");
  EXPECT_EQ(parse_json("7", "x"), 7);
  EXPECT_EQ(parse_json("18446744073709551615", "x"), UINT64_MAX);
}

TEST(ParseJson, ErrorsNameTheSource) {
  for (const char* bad : {"", "{", "[1,]", "{\"a\" 1}", "nul", "{} {}", "\"\xff\"", "\"\\ud800\""}) {
    EXPECT_EQ(error_of(bad).rfind("x.json: is not valid JSON", 0), 0u) << bad << ": " << error_of(bad);
  }
  EXPECT_THROW(parse_json_file("/nonexistent/x.json"), Error);
}

TEST(ParseJson, AKeyThatStandsTwiceIsNamed) {
  EXPECT_NE(error_of(R"({"rope": 1, "b": 2, "rope": 3})").find("x.json: the key \"rope\" stands twice"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"o": [{"k": 1}, {"k": 1, "k": 2}]})").find("\"k\""), std::string::npos);
  EXPECT_EQ(error_of(R"({"k": {"k": 1}, "l": [{"k": 1}, {"k": 2}]})"), "no error");  // different objects
}

TEST(ParseJson, LargeVocabulariesAreFast) {
  std::string text = "{\"\": 0";
  for (int i = 1; i < 150000; ++i) text += ", \"token" + std::to_string(i) + "\": " + std::to_string(i);
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(parse_json(text + "}", "x").size(), 150000u);
  EXPECT_LT(std::chrono::steady_clock::now() - start,
            std::chrono::seconds(3));  // 0.05 s; quadratic it took 17 s
}

TEST(ParseJson, DepthIsLimited) {
  EXPECT_NE(error_of(std::string(1000000, '[')).find("nested more than 500"), std::string::npos);
  EXPECT_EQ(error_of(std::string(400, '[') + std::string(400, ']')), "no error");
}

TEST(DumpJson, BytesThatAreNotUtf8AreReplaced) { EXPECT_EQ(dump_json(Json("a\xff")), "\"a\xEF\xBF\xBD\""); }

}  // namespace
}  // namespace longspan
