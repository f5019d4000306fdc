// What lies compressed reads as what was packed; what is damaged or cut off is named with its place.
#include "base/compressed.h"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/error.h"
#include "data/documents.h"
#include "data/tokenizers.h"
#include "documents/records.h"

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

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string bzip2(const std::string& bytes) {
  auto size = static_cast<unsigned>(bytes.size() + bytes.size() / 50 + 700);
  std::string out(size, '\0');
  EXPECT_EQ(BZ2_bzBuffToBuffCompress(out.data(), &size, const_cast<char*>(bytes.data()),
                                     static_cast<unsigned>(bytes.size()), 9, 0, 0),
            BZ_OK);
  out.resize(size);
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
  EXPECT_EQ(unpack(gzip(text), "a.txt.gz"), text);
  EXPECT_EQ(unpack(bzip2(text), "a.txt.bz2"), text);
  EXPECT_EQ(unpack(text, "a.txt"), text);
  EXPECT_EQ(unpack(xz(""), "a.xz"), "");
  EXPECT_EQ(unpack(xz("one") + xz("two"), "a.xz"), "onetwo");
  EXPECT_EQ(unpack(zstd("one") + zstd("two"), "a.zst"), "onetwo");
  EXPECT_EQ(unpack(gzip("one") + gzip("") + gzip("two") + std::string(512, '\0'), "a.gz"), "onetwo");
  EXPECT_EQ(unpack(bzip2("one") + bzip2("two"), "a.bz2"), "onetwo");
  EXPECT_EQ(unpack(bzip2(""), "a.bz2"), "");
}

TEST(Compressed, TheBytesDecideNotTheName) {
  std::string text = much();
  for (const std::string& packed : {gzip(text), xz(text), zstd(text), bzip2(text)})
    for (const char* name : {"a.txt", "a.GZ", "a.zst", "a"})
      EXPECT_TRUE(unpack(packed, name) == text) << name;
  EXPECT_EQ(unpack("BZh9 is how a text may begin", "a.txt"), "BZh9 is how a text may begin");
  EXPECT_EQ(content_name("books.jsonl.GZ"), "books.jsonl");
  EXPECT_EQ(content_name("books.jsonl"), "books.jsonl");
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
  for (const auto& [bytes, name] : {std::pair(gzip(much()), "gzip"), std::pair(bzip2(much()), "bzip2")}) {
    EXPECT_EQ(unpack_error(bytes.substr(0, 1000), "b"),
              fmt::format("b: ends at byte 1000 in the middle of {} data; is it complete?", name));
    std::string broken = bytes;
    broken[bytes.size() / 2] = static_cast<char>(broken[bytes.size() / 2] ^ 0x55);
    EXPECT_TRUE(unpack_error(broken, "b").starts_with(fmt::format("b: is damaged {} near byte ", name)));
  }
}

class CompressedFiles : public FilesTest {};

TEST_F(CompressedFiles, DocumentsAndLinesReadXz) {
  fs::path file = write("books.train.jsonl.xz", xz("{\"text\": \"one\"}\n{\"text\": \"two\"}\n"));
  std::vector<std::string> texts;
  ReadingReport report = read_documents({file}, {.on_bad = OnBadDocument::Fail}, [&](Document&& document) {
    texts.push_back(document.text + " " + document.category);
    return true;
  });
  EXPECT_EQ(texts, (std::vector<std::string>{"one books", "two books"}));
  EXPECT_EQ(report.documents, 2);

  std::vector<int64_t> numbers;
  documents::read_lines(file, [&](std::string_view, int64_t number) {
    numbers.push_back(number);
    return number < 1;
  });
  EXPECT_EQ(numbers, std::vector<int64_t>{1});
}

}  // namespace
}  // namespace longspan
