// Encodings: names, recognition of short texts, decoding in pieces, and what cannot be decoded. The bytes are
// written by iconv, not by the library that reads them.
#include "documents/encoding.h"

#include <gtest/gtest.h>
#include <iconv.h>

#include "base/error.h"

namespace longspan::documents {
namespace {

std::string encoded(const std::string& utf8, const char* encoding) {
  iconv_t converter = iconv_open(encoding, "UTF-8");
  EXPECT_NE(converter, reinterpret_cast<iconv_t>(-1)) << encoding;
  std::string out(4 * utf8.size() + 16, '\0');
  char *from = const_cast<char*>(utf8.data()), *to = out.data();
  size_t left = utf8.size(), room = out.size();
  EXPECT_NE(iconv(converter, &from, &left, &to, &room), static_cast<size_t>(-1)) << encoding;
  iconv_close(converter);
  out.resize(out.size() - room);
  return out;
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Encoding, OldNamesMeanTheirLargestSuperset) {
  for (const char* name : {"gb2312", "GBK", "cp936", "GB18030", "gb-18030"})
    EXPECT_EQ(encoding_name(name), "GB18030");
  for (const char* name : {"latin1", "ISO-8859-1", "cp1252", "windows-1252"})
    EXPECT_EQ(encoding_name(name), "Windows-1252");
  EXPECT_EQ(encoding_name("sjis"), "Shift-JIS");
  EXPECT_EQ(encoding_name("utf_8"), "UTF-8");
  EXPECT_EQ(encoding_name("utf16"), "UTF-16");
  EXPECT_EQ(encoding_name("koi8-u"), "koi8-u");  // ICU knows it
  for (const char* name : {"", "klingon", "no such\nthing"})
    EXPECT_NE(error_of([&] { encoding_name(name); }).find("unknown encoding; give one such as UTF-8"),
              std::string::npos)
        << name;
}

struct Sample {
  const char *encoding, *iconv, *text;
};
const Sample kSamples[] = {
    {"GB18030", "GB18030", "他在渡口等了三天，船夫才肯渡他过河。"},
    {"GB18030", "GBK", "第一章 少年"},
    {"Big5", "BIG5", "國語學習與電腦應用在臺灣十分普遍"},
    {"Shift-JIS", "CP932", "吾輩は猫である。名前はまだ無い。"},
    {"EUC-JP", "EUC-JP", "吾輩は猫である。名前はまだ無い。"},
    {"EUC-KR", "CP949", "나는 오늘 아침에 일찍 일어나서 공원에 갔다."},
    {"Windows-1252", "ISO-8859-1", "café"},
    {"Windows-1252", "CP1252", "He said: “It’s late.”"},
    {"Windows-1251", "CP1251", "Это был добрый молодой человек."},
    {"KOI8-R", "KOI8-R", "Это был добрый молодой человек."},
    {"UTF-16LE", "UTF-16LE", "plain\nASCII"},
    {"UTF-16BE", "UTF-16BE", "第一章 少年\n从山村里走出来"},
    {"UTF-32LE", "UTF-32LE", "第一章 少年"},
    {"UTF-32BE", "UTF-32BE", "😀 smile"},
    {"UTF-8", "UTF-8", "第一章 café 😀"},
    {"UTF-8", "ASCII", "plain"},
};

TEST(Encoding, ShortTextsAreRecognised) {
  for (const Sample& sample : kSamples) {
    SCOPED_TRACE(std::string(sample.encoding) + ": " + sample.text);
    std::string bytes = encoded(sample.text, sample.iconv);
    Guess guess = guess_encoding(bytes);
    ASSERT_EQ(guess.kind, Guess::Kind::kKnown);
    EXPECT_EQ(guess.encoding, sample.encoding);
    size_t fault;
    EXPECT_EQ(decoded(bytes, guess.encoding, false, fault), sample.text);
    EXPECT_EQ(fault, std::string::npos);
  }
}

TEST(Encoding, PiecesDecodeAsTheWhole) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += i % 7 == 0 ? "a" : "第😀ы";
  for (const char* encoding : {"UTF-16LE", "UTF-32BE", "GB18030", "UTF-8"}) {
    std::string bytes = encoded(text, encoding), out;
    Decoder decoder(encoding, "f", false);
    for (size_t i = 0; i < bytes.size(); ++i) decoder.decode({&bytes[i], 1}, out, i + 1 == bytes.size());
    EXPECT_TRUE(out == text) << encoding;
    size_t fault;
    EXPECT_TRUE(decoded(bytes, encoding, false, fault) == text) << encoding;
  }
}

TEST(Encoding, FaultsHaveTheirPlace) {
  auto damaged = [](std::string bytes, size_t at, char by) {
    bytes[at] = by;
    return bytes;
  };
  auto fault_of = [](const std::string& bytes, const char* encoding, bool cut = false) {
    size_t fault;
    decoded(bytes, encoding, cut, fault);
    return fault;
  };
  EXPECT_EQ(fault_of(damaged(encoded("第一章第一章", "GB18030"), 6, '\xff'), "GB18030"), 6u);
  EXPECT_EQ(fault_of(std::string("\x61\x00\x00\xdc\x62\x00", 6), "UTF-16LE"), 2u);  // half of a pair
  EXPECT_EQ(fault_of(std::string("ab\xe7\xac"), "UTF-8"), 2u);                      // an incomplete end
  EXPECT_EQ(fault_of(std::string("ab\xe7\xac"), "UTF-8", true), std::string::npos);
  std::string out;
  Decoder decoder("GB18030", "f.txt", true);
  decoder.decode("abc", out, false);
  EXPECT_EQ(
      error_of([&] { decoder.decode("d\xff!", out, true); }),
      "f.txt: byte 4 cannot be decoded as GB18030, the encoding that --encoding names; give another one");
}

TEST(Encoding, DamageAndBinariesAreNotTakenForAnotherEncoding) {
  std::string cut = encoded("第一章 灯塔，第一章 灯塔", "UTF-8");
  cut.resize(cut.size() - 1);
  Guess guess = guess_encoding(cut);
  EXPECT_EQ(guess.kind, Guess::Kind::kDamaged);
  EXPECT_EQ(guess.encoding, "UTF-8");
  EXPECT_EQ(guess.at, cut.size() - 2);
  EXPECT_EQ(guess_encoding(cut, true).kind, Guess::Kind::kKnown);  // a beginning may end so
  guess = guess_encoding(std::string("\x01\x02\x00\x00\x07\x00\xff\x00\x80\x99\x00", 11));
  EXPECT_EQ(guess.kind, Guess::Kind::kBinary);
  EXPECT_EQ(guess.at, 2u);
  std::string noise;
  uint32_t state = 1;
  for (int i = 0; i < 4000; ++i)
    noise += static_cast<char>(1 + (state = state * 1664525 + 1013904223) / 16843010);
  EXPECT_NE(guess_encoding(noise).kind, Guess::Kind::kKnown);
}

TEST(Encoding, AFarByteBeyondAsciiIsSeen) {
  std::string text = std::string(300000, 'x') + "\n";
  std::string bytes = text + encoded("他在渡口等了三天，船夫才肯渡他过河。", "GB18030");
  EXPECT_EQ(guess_encoding(bytes).encoding, "GB18030");
}

TEST(Encoding, Marks) {
  using namespace std::string_view_literals;
  EXPECT_EQ(byte_order_mark("\xEF\xBB\xBFx"sv).encoding, "UTF-8");
  EXPECT_EQ(byte_order_mark("\xFF\xFEx\0"sv).encoding, "UTF-16LE");
  EXPECT_EQ(byte_order_mark("\xFF\xFE\0\0"sv).encoding, "UTF-32LE");
  EXPECT_EQ(byte_order_mark("\xFE\xFF\0x"sv).encoding, "UTF-16BE");
  EXPECT_EQ(byte_order_mark("\0\0\xFE\xFF"sv).bytes, 4u);
  EXPECT_EQ(byte_order_mark("x"sv).bytes, 0u);
}

TEST(Encoding, LineEnds) {
  std::string text = "a\r\nb\rc\nd\r\r\ne\r";
  normalise_line_ends(text);
  EXPECT_EQ(text, "a\nb\nc\nd\n\ne\n");
}

}  // namespace
}  // namespace longspan::documents
