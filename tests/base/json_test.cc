#include "base/json.h"

#include <gtest/gtest.h>

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

TEST(DumpJson, BytesThatAreNotUtf8AreReplaced) { EXPECT_EQ(dump_json(Json("a\xff")), "\"a\xEF\xBF\xBD\""); }

}  // namespace
}  // namespace longspan
