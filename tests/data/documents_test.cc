// Reading: every kind of file, with and without zstd, what a document is called, and what makes one bad.
#include "data/documents.h"

#include <zstd.h>

#include "base/error.h"
#include "data/tokenizers.h"
#include "documents/records.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

std::string compressed(const std::string& bytes, int level = 3, int window = 0) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  if (window > 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window);
  }
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress2(context, out.data(), out.size(), bytes.data(), bytes.size()));
  ZSTD_freeCCtx(context);
  return out;
}

class Documents : public FilesTest {
 protected:
  std::vector<Document> read(const std::vector<fs::path>& files, OnBadDocument on_bad = OnBadDocument::Skip,
                             bool text_needed = true) {
    std::vector<Document> documents;
    report_ = read_documents(files, {.on_bad = on_bad, .text_needed = text_needed}, [&](Document&& d) {
      documents.push_back(std::move(d));
      return true;
    });
    return documents;
  }
  std::string error(const std::vector<fs::path>& files, OnBadDocument on_bad = OnBadDocument::Skip) {
    try {
      read(files, on_bad);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
  ReadingReport report_;
};

TEST_F(Documents, LinesOfJson) {
  fs::path file = write("books.train.jsonl",
                        "{\"id\": \"a\", \"text\": \"one\", \"lang\": \"zh\", \"n\": 3}\r\n\n"
                        "{\"text\": \"tw\\u00f6\", \"id\": 7, \"class\": \"poems\"}\n"
                        "{\"text\": \"three\"}");
  auto documents = read({file});
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(documents[0].text, "one");
  EXPECT_EQ(documents[0].id, "a");
  EXPECT_EQ(documents[0].category, "books");
  EXPECT_EQ(documents[0].fields, Json({{"lang", "zh"}, {"n", 3}}));
  EXPECT_EQ(documents[0].line, 1);
  EXPECT_EQ(documents[1].text, "twö");
  EXPECT_EQ(documents[1].id, "7");
  EXPECT_EQ(documents[1].category, "poems");
  EXPECT_EQ(documents[2].id, file.string() + ":4");
  EXPECT_EQ(documents[2].line, 4);
  EXPECT_EQ(documents[2].part, 1);
  EXPECT_EQ(report_.documents, 3);
  EXPECT_EQ(report_.bad, 0);
}

TEST_F(Documents, TextFilesAreWholeDocumentsAndFoldersAreWalkedByName) {
  write("tree/b/two.py", "print()\n");
  write("tree/a.md", "\xEF\xBB\xBF# one");
  write("tree/b/c/three.txt", "three\n\nlines\n");
  write("tree/.git/config", "hidden");
  write("tree/README.md", "about");
  auto documents =
      read({dir_ / "tree", write("d.jsonl", "{\"text\": \"four\"}\n"), write("alone.txt", "five")});
  std::vector<std::string> texts, categories;
  for (const Document& d : documents) texts.push_back(d.text), categories.push_back(d.category);
  EXPECT_EQ(texts, (std::vector<std::string>{"# one", "three\n\nlines\n", "print()\n", "four", "five"}));
  EXPECT_EQ(categories, (std::vector<std::string>{"tree", "c", "b", "d", "alone"}));
  EXPECT_EQ(documents[2].id, (dir_ / "tree/b/two.py").string());
  EXPECT_EQ(documents[2].line, 0);
  EXPECT_TRUE(documents[2].fields.is_null());
  ASSERT_EQ(report_.remarks.size(), 1u);
  EXPECT_NE(
      report_.remarks[0].find("3 files are read (a.md, b/c/three.txt, b/two.py), 1 file is left: README.md"),
      std::string::npos)
      << report_.remarks[0];
}

TEST_F(Documents, TheOtherFilesOfADataSetAreNamedNotRead) {
  const std::string lines = "{\"text\": \"one\"}\n{\"text\": \"two\"}\n";
  write("set/data/train.json", lines);
  write("set/valid.NDJSON", lines);
  write("set/README.md", "about");
  write("set/notes.txt", "about");
  auto documents = read({dir_ / "set"});
  ASSERT_EQ(documents.size(), 4u);
  EXPECT_EQ(documents[0].category, "train");
  EXPECT_EQ(documents[3].text, "two");
  EXPECT_NE(report_.remarks.at(0).find("2 files are left: README.md, notes.txt"), std::string::npos)
      << report_.remarks.at(0);
}

TEST_F(Documents, DocumentsOfEveryKind) {
  const fs::path golden = fs::path(LONGSPAN_GOLDEN) / "documents";
  auto documents =
      read({golden / "letter.docx", golden / "gb18030.txt", golden / "picture.png", golden / "locked.pdf",
            write("list.json", "[{\"text\": \"x\"}]"), write("one.json", "{\n\"text\": \"x\"\n}\n")});
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_TRUE(documents[0].text.starts_with("# The Keeper\n"));
  EXPECT_TRUE(documents[1].text.starts_with("第一章 灯塔\n"));
  EXPECT_EQ(report_.remarks,
            std::vector<std::string>{(golden / "gb18030.txt").string() +
                                     ": is read as GB18030; --encoding NAME if that is wrong"});
  EXPECT_EQ(documents[2].text, "x");
  ASSERT_EQ(report_.faults.size(), 3u);
  EXPECT_TRUE(report_.faults[0].ends_with(
      "picture.png: is a PNG image; run OCR over it first (tesseract, ocrmypdf)"));
  EXPECT_NE(report_.faults[1].find("locked.pdf: is a PDF that needs a password"), std::string::npos);
  EXPECT_NE(report_.faults[2].find("one.json: is one JSON object over several lines"), std::string::npos);
}

TEST_F(Documents, OneListHoldsItsRecords) {
  auto documents =
      read({write("list.json", "[\n  {\"text\": \"one\", \"id\": 7},\n  3,\n  {\"text\": \"two\"}\n]\n"),
            write("cut.json", "[{\"text\": \"x\"}, ")});
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents[0].id, "7");
  EXPECT_EQ(documents[1].text, "two");
  EXPECT_EQ(documents[1].line, 3);
  ASSERT_EQ(report_.faults.size(), 2u);
  EXPECT_NE(report_.faults[0].find("list.json:2: is no JSON object"), std::string::npos);
  EXPECT_NE(report_.faults[1].find("cut.json: "), std::string::npos);
}

TEST_F(Documents, CompressedFilesReadTheSame) {
  std::string lines, text;
  for (int i = 0; i < 40000; ++i) lines += fmt::format("{{\"text\": \"line {} {}\"}}\n", i, i * 7919 % 1000);
  while (text.size() < 3000000) text += fmt::format("{} words and ", text.size());
  size_t half = lines.find('\n', lines.size() / 2) - 3;  // two frames, the border within a line
  auto plain = read({write("p.jsonl", lines)});
  auto packed = read(
      {write("z.jsonl.zst", compressed(lines.substr(0, half)) + compressed(lines.substr(half), 19, 27))});
  ASSERT_EQ(packed.size(), plain.size());
  for (size_t i = 0; i < plain.size(); ++i) ASSERT_EQ(packed[i].text, plain[i].text);
  EXPECT_EQ(packed.back().line, 40000);
  auto book = read({write("book.txt.zst", compressed(text, 1))});
  ASSERT_EQ(book.size(), 1u);
  EXPECT_TRUE(book[0].text == text);
  EXPECT_EQ(book[0].category, "book");
}

TEST_F(Documents, DamagedCompressionIsAnErrorWithItsPlace) {
  std::string whole = compressed(std::string(100000, 'x') + "end");
  fs::path cut = write("cut.jsonl.zst", whole.substr(0, whole.size() - 4));
  EXPECT_NE(error({cut}).find(fmt::format("ends at byte {}", whole.size() - 4)), std::string::npos)
      << error({cut});
  fs::path noise = write("noise.txt.zst", whole + "no frame at all");
  EXPECT_NE(error({noise}).find("is damaged zstd near byte"), std::string::npos) << error({noise});
  EXPECT_NE(
      error({write("wide.txt.zst", compressed(std::string(1000, 'x'), 3, 27).replace(0, 4, "(\xB5/\xFC"))}),
      "");
  EXPECT_NE(error({dir_ / "absent.txt"}).find("absent.txt: cannot be opened"), std::string::npos);
}

TEST_F(Documents, BadOnesAreNamedAndSkippedOrFatal) {
  fs::path file = write("f.jsonl",
                        "{\"text\": \"good\"}\n"
                        "{\"text\": \"cut\n"
                        "[1, 2]\n"
                        "{\"title\": \"no text\"}\n"
                        "{\"text\": 5}\n"
                        "{\"text\": \"\"}\n"
                        "{\"text\": \"a\\u0000b\"}\n"
                        "{\"text\": \"\xff\"}\n"
                        "{\"text\": \"x\", \"text\": \"y\"}\n"
                        "{\"text\": \"last\"}\n");
  fs::path binary = write("b.txt", std::string("a\0b", 3)), latin = write("l.txt", "caf\xE9"),
           cut = write("c.txt", "caf\xC3\xA9 \xE7\xAC"), empty = write("e.txt", "");
  auto documents = read({file, binary, latin, cut, empty});
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(documents[2].text, "café");
  EXPECT_EQ(documents[1].line, 10);
  EXPECT_EQ(report_.bad, 11);
  ASSERT_EQ(report_.faults.size(), 11u);
  for (int line = 2; line <= 9; ++line)
    EXPECT_TRUE(report_.faults[static_cast<size_t>(line) - 2].starts_with(
        fmt::format("{}:{}: ", file.string(), line)))
        << report_.faults[static_cast<size_t>(line) - 2];
  EXPECT_NE(report_.faults[0].find("is not valid JSON"), std::string::npos);
  EXPECT_EQ(report_.faults[8], binary.string() + ": looks binary (NUL at byte 1); convert it to text first");
  EXPECT_TRUE(report_.faults[9].starts_with(cut.string() + ": is UTF-8, but not at byte 6 (0xe7); "))
      << report_.faults[9];
  EXPECT_TRUE(error({file}, OnBadDocument::Fail).starts_with(file.string() + ":2: "))
      << error({file}, OnBadDocument::Fail);
  EXPECT_EQ(read({file}, OnBadDocument::Skip, false).size(), 4u);  // lines 4 and 6 need no text
}

TEST_F(Documents, FaultsAreShortAndFew) {
  std::string lines;
  for (int i = 0; i < 150; ++i) lines += "{\"text\": \"" + std::string(5000, 'x') + "\n";
  read({write("f.jsonl", lines)});
  EXPECT_EQ(report_.bad, 150);
  EXPECT_EQ(report_.faults.size(), 100u);
  for (const std::string& fault : report_.faults) EXPECT_LT(fault.size(), 320u);
}

TEST_F(Documents, TheBodyCanStop) {
  std::string lines;
  for (int i = 0; i < 9; ++i) lines += "{\"text\": \"x\"}\n";
  fs::path file = write("f.jsonl", lines), other = write("g.jsonl", lines);
  int seen = 0;
  ReadingReport report = read_documents({file, other}, {}, [&](Document&&) { return ++seen < 4; });
  EXPECT_EQ(seen, 4);
  EXPECT_EQ(report.documents, 4);
  std::vector<std::string> got;
  documents::read_lines(write("t.txt", "a\n\nb"), [&](std::string_view line, int64_t number) {
    got.push_back(fmt::format("{}{}", line, number));
    return true;
  });
  EXPECT_EQ(got, (std::vector<std::string>{"a1", "2", "b3"}));
}

}  // namespace
}  // namespace longspan
