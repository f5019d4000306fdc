// Numbers of tokens with k and M.
#include "base/token_count.h"

#include <gtest/gtest.h>

namespace longspan {
namespace {

TEST(TokenCount, PlainNumbersAndBinaryThousands) {
  EXPECT_EQ(parse_token_count("0"), 0);
  EXPECT_EQ(parse_token_count("32768"), 32768);
  EXPECT_EQ(parse_token_count("32k"), 32768);
  EXPECT_EQ(parse_token_count("8K"), 8192);
  EXPECT_EQ(parse_token_count("1M"), 1048576);
  EXPECT_EQ(parse_token_count("2m"), 2097152);
}

TEST(TokenCount, EverythingElseIsNone) {
  for (const char* text : {"", "k", "-1", "+1", " 1", "1 ", "1.5k", "32kb", "k32", "1e3", "0x10", "1,024",
                           "99999999999999999999", "9223372036854775807M"})
    EXPECT_EQ(parse_token_count(text), std::nullopt) << text;
}

}  // namespace
}  // namespace longspan
