// What lies compressed reads as what was packed; what is damaged or cut off is named with its place.
#include "base/compressed.h"

#include <lzma.h>
#include <zstd.h>

#include "base/error.h"
#include "data/documents.h"
#include "data/tokenizers.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

std::string xz(const std::string& bytes) {
  std::string out(lzma_stream_buffer_bound(bytes.size()), '\0');
  size_t written = 0;
  EXPECT_EQ(
      lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const uint8_t*>(bytes.data()),
                              bytes.size(), reinterpret_cast<uint8_t*>(out.data()), &written, out.size()),
      LZMA_OK);
  out.resize(written);
  return out;
}

std::string zstd(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

/// Some text that compress little, so that several chunks pass both sides of the decoder.
std::string much() {
  std::string text;
  uint32_t state = 1;
  while (text.size() < (700u << 10)) text += std::to_string(state = state * 1664525 + 1013904223) + "\n";
  return text;
}

std::string unpack_error(const std::string& bytes, const std::string& name) {
  try {
    unpack(bytes, name);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Compressed, UnpackGivesBackWhatWasPacked) {
  std::string text = much();
  EXPECT_EQ(unpack(xz(text), "a.txt.xz"), text);
  EXPECT_EQ(unpack(zstd(text), "a.txt.zst"), text);
  EXPECT_EQ(unpack(text, "a.txt"), text);
  EXPECT_EQ(unpack(xz(""), "a.xz"), "");
  EXPECT_EQ(unpack(xz("one") + xz("two"), "a.xz"), "onetwo");
  EXPECT_EQ(unpack(zstd("one") + zstd("two"), "a.zst"), "onetwo");
}

TEST(Compressed, DamageIsNamedWithItsPlace) {
  std::string packed = xz(much());
  EXPECT_EQ(unpack_error(packed.substr(0, 1000), "b.xz"),
            "b.xz: ends at byte 1000 in the middle of xz data; is it complete?");
  EXPECT_EQ(unpack_error("", "b.xz"), "b.xz: ends at byte 0 in the middle of xz data; is it complete?");
  EXPECT_TRUE(unpack_error("no xz at all", "b.xz").starts_with("b.xz: is damaged xz near byte "));
  for (size_t at : {size_t{3}, packed.size() / 2, packed.size() - 3}) {
    std::string broken = packed;
    broken[at] = static_cast<char>(broken[at] ^ 0x55);
    EXPECT_TRUE(unpack_error(broken, "b.xz").starts_with("b.xz: is damaged xz near byte ")) << at;
  }
  EXPECT_TRUE(unpack_error(zstd(much()).substr(0, 1000), "b.zst").starts_with("b.zst: ends at byte 1000 "));
}

class CompressedFiles : public FilesTest {};

TEST_F(CompressedFiles, DocumentsAndLinesReadXz) {
  fs::path file = write("books.train.jsonl.xz", xz("{\"text\": \"one\"}\n{\"text\": \"two\"}\n"));
  std::vector<std::string> texts;
  ReadingReport report = read_documents({file}, OnBadDocument::Fail, [&](Document&& document) {
    texts.push_back(document.text + " " + document.category);
    return true;
  });
  EXPECT_EQ(texts, (std::vector<std::string>{"one books", "two books"}));
  EXPECT_EQ(report.documents, 2);

  std::vector<int64_t> numbers;
  read_lines(file, [&](std::string_view, int64_t number) {
    numbers.push_back(number);
    return number < 1;
  });
  EXPECT_EQ(numbers, std::vector<int64_t>{1});
}

}  // namespace
}  // namespace longspan
