// The hand-written scanners against PCRE2 running the same patterns.
#include "tokenizer/golden.h"
#include "tokenizer/regex.h"
#include "tokenizer/scanners.h"

namespace longspan {
namespace {

std::vector<std::string> patterns() {
  auto tail = [](const std::string& digits) {
    return "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" + digits +
           "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  };
  return {kGpt2Pattern, tail("\\p{N}{1,3}"), tail("\\p{N}"), "\\s+$"};
}

void expect_same(Scanner scanner, const Regex& regex, const std::string& text) {
  size_t from = 0, begin = 0, end = 0, expected_begin = 0, expected_end = 0;
  while (from <= text.size()) {
    bool expected = regex.search(text, from, expected_begin, expected_end);
    ASSERT_EQ(scanner(text, from, begin, end), expected) << dump_json(text) << " from " << from;
    if (!expected) return;
    ASSERT_EQ(begin, expected_begin) << dump_json(text) << " from " << from;
    ASSERT_EQ(end, expected_end) << dump_json(text) << " from " << from;
    from = end;
  }
}

TEST(TokenizerScanners, EqualPcre2OnEveryString) {
  auto texts = golden::strings();
  for (auto& pattern : patterns()) {
    Scanner scanner = scanner_for(pattern);
    ASSERT_NE(scanner, nullptr) << pattern;
    Regex regex(pattern, "test");
    for (auto& text : texts) expect_same(scanner, regex, valid_utf8(text));
  }
}

TEST(TokenizerScanners, EqualPcre2OnEveryCodePoint) {
  for (auto& pattern : patterns()) {
    Scanner scanner = scanner_for(pattern);
    Regex regex(pattern, "test");
    for (char32_t c = 0; c < 0x110000; c += 64) {
      std::string text;
      for (char32_t k = c; k < c + 64; ++k) {
        if (k >= 0xD800 && k < 0xE000) continue;
        text += k % 3 == 0 ? " " : k % 3 == 1 ? "a" : "1";
        append_utf8(text, k);
      }
      expect_same(scanner, regex, text);
    }
  }
}

TEST(TokenizerScanners, RunsOfWhitespaceTakeLinearTime) {
  std::string text(1'000'000, ' ');
  text += "x";
  size_t begin = 0, end = 0;
  EXPECT_FALSE(scanner_for("\\s+$")(text, 0, begin, end));
  EXPECT_TRUE(scanner_for(kGpt2Pattern)(text, 0, begin, end));
  EXPECT_EQ(end, 999'999u);
}

TEST(TokenizerRegex, RefusesWhatItCannotTranslate) {
  for (const char* pattern : {"[a[bc]]", "[a&&b]", "(?m:.)", "a{,3}", "(*SKIP)", "\\X", "\\", "[a", "\\p",
                              "\\p{Nonsense}", "(", "[\\W]"}) {
    SCOPED_TRACE(pattern);
    EXPECT_THROW(Regex(pattern, "test"), std::runtime_error);
  }
}

TEST(TokenizerRegex, SpaceIsWhiteSpaceAndNotTheMongolianSeparator) {
  Regex space("\\s", "test");
  size_t begin = 0, end = 0;
  EXPECT_FALSE(space.search("\u180E", 0, begin, end));
  EXPECT_TRUE(space.search("\u0085", 0, begin, end));
  EXPECT_TRUE(space.search("\u3000", 0, begin, end));
}

}  // namespace
}  // namespace longspan
