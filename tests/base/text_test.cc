// UTF-8 against what Python's bytes.decode(errors="replace") gives, and the small formats.
#include "base/text.h"

#include <gtest/gtest.h>

#include <vector>

namespace longspan {
namespace {

std::vector<char32_t> decode(std::string_view text) {
  std::vector<char32_t> out;
  for (size_t i = 0; i < text.size();) out.push_back(next_code_point(text, i));
  return out;
}
using Points = std::vector<char32_t>;

TEST(Utf8, EveryCodePointGoesThereAndBack) {
  for (char32_t cp = 0; cp <= 0x10FFFF; ++cp) {
    if (cp >= 0xD800 && cp <= 0xDFFF) continue;
    std::string s;
    append_utf8(s, cp);
    ASSERT_EQ(s.size(), cp < 0x80 ? 1u : cp < 0x800 ? 2u : cp < 0x10000 ? 3u : 4u);
    size_t i = 0;
    ASSERT_EQ(next_code_point(s, i), cp);
    ASSERT_EQ(i, s.size());
    ASSERT_EQ(valid_utf8(s), s);
  }
}

TEST(Utf8, IllFormedIsReplacedAsPythonDoes) {
  constexpr char32_t R = 0xFFFD;
  EXPECT_EQ(decode("\x80"), (Points{R}));
  EXPECT_EQ(decode("\xc0\xaf"), (Points{R, R}));                // overlong
  EXPECT_EQ(decode("\xc3("), (Points{R, '('}));                 // lead byte alone
  EXPECT_EQ(decode("\xe0\x80\xaf"), (Points{R, R, R}));         // overlong of three bytes
  EXPECT_EQ(decode("\xed\xa0\x80"), (Points{R, R, R}));         // surrogate
  EXPECT_EQ(decode("\xf4\x90\x80\x80"), (Points{R, R, R, R}));  // beyond U+10FFFF
  EXPECT_EQ(decode("\xf0\x9f\x98"), (Points{R}));               // cut emoji: one maximal subpart
  EXPECT_EQ(decode("\xe2\x82x"), (Points{R, 'x'}));             // cut sign, then text
  EXPECT_EQ(decode("a\xff\xfe"
                   "b"),
            (Points{'a', R, R, 'b'}));
  EXPECT_EQ(valid_utf8("a\xff"), "a\xEF\xBF\xBD");
}

TEST(Utf8, PrefixThatAStreamMayPrint) {
  EXPECT_EQ(complete_utf8_prefix(""), 0u);
  EXPECT_EQ(complete_utf8_prefix("abc"), 3u);
  std::string emoji = "x\xf0\x9f\x98\x80";
  EXPECT_EQ(complete_utf8_prefix(emoji), 5u);
  for (size_t n = 2; n < 5; ++n)
    EXPECT_EQ(complete_utf8_prefix(std::string_view(emoji).substr(0, n)), 1u) << n;
  EXPECT_EQ(complete_utf8_prefix("\xc3\xa9"), 2u);
  EXPECT_EQ(complete_utf8_prefix("a\xc3"), 1u);
  EXPECT_EQ(complete_utf8_prefix("\x80\x80\x80\x80"), 4u);  // no lead byte near: nothing to wait for
}

TEST(Excerpt, PrintableTextStaysAsItIs) {
  EXPECT_EQ(excerpt(""), "");
  EXPECT_EQ(excerpt("LlamaForCausalLM"), "LlamaForCausalLM");
  EXPECT_EQ(excerpt("a \"b\" \\p{L} 第三回 😀"), "a \"b\" \\p{L} 第三回 😀");
  EXPECT_EQ(in_quotes(""), "\"\"");
  EXPECT_EQ(in_quotes("yarn:factor=4"), "\"yarn:factor=4\"");
  EXPECT_EQ(in_quotes("a \"b\" \\p"), R"("a \"b\" \\p")");
}

TEST(Excerpt, IsOneLineWithoutControls) {
  EXPECT_EQ(excerpt("a\nb\r\tc\x1b[2J\x7f"), R"(a\nb\r\tc\x1b[2J\x7f)");
  EXPECT_EQ(excerpt(std::string_view("a\0b", 3)), R"(a\x00b)");
  EXPECT_EQ(excerpt("\xc2\x85\xe2\x80\xa8\xe2\x80\xae"), R"(\u{0085}\u{2028}\u{202e})");
  EXPECT_EQ(excerpt("a\xff\xe2\x82z"), R"(a\xff\xe2\x82z)");
  EXPECT_EQ(excerpt("\xef\xbf\xbd"), "\xef\xbf\xbd");  // U+FFFD itself is a character like any other
}

TEST(Excerpt, LongTextIsCutBetweenCharactersAndTellsItsLength) {
  EXPECT_EQ(excerpt(std::string(80, 'a')), std::string(80, 'a'));
  EXPECT_EQ(excerpt(std::string(81, 'a')), std::string(80, 'a') + "… (81 bytes)");
  EXPECT_EQ(in_quotes(std::string(100000, 'a')), "\"" + std::string(80, 'a') + "…\" (100,000 bytes)");
  EXPECT_EQ(excerpt("äöü", 2), "äö… (6 bytes)");
  EXPECT_EQ(excerpt("äöü", 3), "äöü");
  // What an escape takes counts as printed: hostile bytes cannot make a message four times as long.
  EXPECT_EQ(excerpt(std::string(1000, '\x01'), 10), R"(\x01\x01… (1,000 bytes))");
  EXPECT_EQ(in_quotes("\"\"\"\"", 4), R"("\"\"…" (4 bytes))");
}

TEST(Human, BytesAndSeconds) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(98362432), "93.8 MiB");
  EXPECT_EQ(human_bytes(1.2 * (1u << 30)), "1.2 GiB");
  EXPECT_EQ(human_seconds(0.8), "0.8s");
  EXPECT_EQ(human_seconds(59.4), "59s");
  EXPECT_EQ(human_seconds(59.6), "1m 00s");
  EXPECT_EQ(human_seconds(123), "2m 03s");
  EXPECT_EQ(human_seconds(3725), "1h 02m");
}

TEST(Text, ReplacedDoesNotLookAtWhatItPutIn) {
  EXPECT_EQ(replaced("a-b-c", "-", "--"), "a--b--c");
  EXPECT_EQ(replaced("aaa", "aa", "b"), "ba");
  EXPECT_EQ(replaced("", "x", "y"), "");
}

}  // namespace
}  // namespace longspan
