// The reader beyond the table of documents: --encoding, several files and folders, files of records, hostile
// input.
#include "documents/document.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zip.h>

#include <fstream>

#include "base/compressed.h"
#include "base/error.h"
#include "base/file.h"
#include "documents/folder.h"
#include "documents/html.h"
#include "documents/records.h"

namespace longspan::documents {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(LONGSPAN_GOLDEN) / "documents";

class Reader : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ =
        fs::temp_directory_path() / ("longspan-documents-" + std::to_string(::getpid()) + "-" + info->name());
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  fs::path write(const std::string& name, const std::string& bytes) {
    fs::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name, std::ios::binary) << bytes;
    return dir_ / name;
  }
  static std::string error_of(const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  static std::string refusal(const std::string& bytes, const std::string& name,
                             const std::string& encoding = "") {
    return error_of([&] { read_document(bytes, name, encoding); });
  }

  fs::path dir_;
};

std::string zip_of(const std::vector<std::pair<std::string, std::string>>& files) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* memory = zip_source_buffer_create(nullptr, 0, 0, &error);
  zip_source_keep(memory);
  zip_t* archive = zip_open_from_source(memory, ZIP_TRUNCATE, &error);
  for (const auto& [name, bytes] : files) {
    zip_int64_t at =
        zip_file_add(archive, name.c_str(), zip_source_buffer(archive, bytes.data(), bytes.size(), 0), 0);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(at), ZIP_CM_DEFLATE, 1);
  }
  EXPECT_EQ(zip_close(archive), 0);
  zip_source_open(memory);
  zip_stat_t stat;
  zip_source_stat(memory, &stat);
  std::string out(stat.size, '\0');
  zip_source_read(memory, out.data(), out.size());
  zip_source_close(memory);
  zip_source_free(memory);
  return out;
}

TEST_F(Reader, TheUserNamesTheEncoding) {
  const std::string gbk = "\xb5\xda\xd2\xbb\xd5\xc2\r\n";
  Reading reading = read_document(gbk, "a.txt", "gbk");
  EXPECT_EQ(reading.text, "第一章\n");
  EXPECT_TRUE(reading.remarks.empty());
  EXPECT_EQ(read_document("caf\xe9", "a.txt", "latin2").text, "café");
  EXPECT_EQ(refusal(gbk, "a.txt", "UTF-8"),
            "a.txt: byte 0 cannot be decoded as UTF-8, the encoding that --encoding names; give another one");
  EXPECT_NE(refusal("x", "a.txt", "klingon").find("unknown encoding"), std::string::npos);
  const std::string wide(
      "\xff\xfe"
      "a\0\r\0\n\0",
      8);
  EXPECT_EQ(read_document(wide, "a.txt", "utf-16").text, "a\n");
  EXPECT_EQ(read_document(wide.substr(2), "a.txt", "UTF-16").text, "a\n");
  EXPECT_EQ(read_document(wide.substr(2), "a.txt", "UTF-16LE").text, "a\n");
  // What the user says wins over a page's own words.
  EXPECT_EQ(read_document("<html><meta charset=utf-8><p>\xb5\xc6", "a.html", "gbk").text, "灯\n");
}

TEST_F(Reader, ReplacementCharactersOfTheTextItselfStay) {
  EXPECT_EQ(read_document("a\uFFFDb", "a.txt", "").text, "a\uFFFDb");
}

TEST_F(Reader, SeveralFilesHaveALineEach) {
  fs::path one = write("one.txt", "first\r\n"), two = write("two.md", "second"),
           same = write("b/one.txt", "third\n");
  EXPECT_EQ(read_documents({one}, "").text, "first\n");
  EXPECT_EQ(read_documents({two, one}, "").text, "[file: two.md]\n\nsecond\n\n[file: one.txt]\n\nfirst\n");
  EXPECT_EQ(read_documents({one, same}, "").text,
            "[file: " + one.string() + "]\n\nfirst\n\n[file: " + same.string() + "]\n\nthird\n");
  EXPECT_EQ(error_of([&] {
              read_documents({one, write("e.txt", "\xEF\xBB\xBF")}, "");
            }),
            (dir_ / "e.txt").string() + ": is empty; a text was expected");
  EXPECT_EQ(error_of([&] { read_documents({dir_ / "none"}, ""); }),
            (dir_ / "none").string() + ": cannot be opened: No such file or directory");
}

TEST_F(Reader, AFolderNamesWhatItLeaves) {
  write("notes/b.txt", "two");
  write("notes/a.md", "one");
  write("notes/sub/c.py", "three");
  write("notes/README.md", "about");
  write("notes/x.bin", "x");
  write("notes/.hidden/d.txt", "no");
  Reading reading = read_documents({dir_ / "notes"}, "");
  EXPECT_EQ(reading.text, "[file: a.md]\n\none\n\n[file: b.txt]\n\ntwo\n\n[file: c.py]\n\nthree");
  EXPECT_EQ(reading.remarks,
            std::vector<std::string>{(dir_ / "notes").string() +
                                     ": 3 files are read (a.md, b.txt, sub/c.py), 2 files are "
                                     "left: README.md, x.bin; name a file to have it read"});
  write("data/train.json", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  write("data/more.NDJSON", "{\"text\": \"three\"}\n");
  write("data/info.json", "{\n  \"name\": \"data\"\n}\n");
  write("data/README.md", "about");
  write("data/notes.txt", "about");
  Folder folder = list_folder(dir_ / "data");
  EXPECT_EQ(folder.files, (std::vector<fs::path>{dir_ / "data/more.NDJSON", dir_ / "data/train.json"}));
  EXPECT_EQ(folder.left, (std::vector<fs::path>{dir_ / "data/README.md", dir_ / "data/info.json",
                                                dir_ / "data/notes.txt"}));
  write("nothing/x.bin", "x");
  EXPECT_NE(error_of([&] {
              read_documents({dir_ / "nothing"}, "");
            }).find("0 files are read, 1 file is left: x.bin"),
            std::string::npos);
  fs::remove(dir_ / "nothing/x.bin");
  EXPECT_NE(error_of([&] { read_documents({dir_ / "nothing"}, ""); }).find("is a folder without files"),
            std::string::npos);
}

struct Seen {
  std::vector<std::string> lines, remarks, refused;
  std::string text;
  JsonForm form = JsonForm::kNone;
};
Seen records_of(const fs::path& file, const std::string& encoding = "") {
  Seen seen;
  read_records(file, encoding,
               {.line =
                    [&](std::string_view line, int64_t number, int64_t) {
                      seen.lines.push_back(std::to_string(number) + std::string(line));
                      return true;
                    },
                .text =
                    [&](Reading&& reading, JsonForm form, int64_t) {
                      seen.text = reading.text;
                      seen.form = form;
                    },
                .refused = [&](const std::string& sentence) { seen.refused.push_back(sentence); },
                .remark = [&](std::string sentence) { seen.remarks.push_back(std::move(sentence)); }});
  return seen;
}

TEST_F(Reader, LinesOfJsonAreKnownByNameOrBeginning) {
  const std::string lines = "{\"text\": \"一\"}\n{\"text\": \"二\"}\n";
  const std::vector<std::string> want = {"1{\"text\": \"一\"}", "2{\"text\": \"二\"}"};
  for (const char* name :
       {"a.jsonl", "a.JSONL", "a.ndjson", "a.jsonlines", "a.json", "a.JSON", "train", "a.txt"})
    EXPECT_EQ(records_of(write(name, lines)).lines, want) << name;
  EXPECT_EQ(records_of(write("mark.json", "\xEF\xBB\xBF" + lines)).lines, want);
  const std::string gb = "{\"text\": \"\xb5\xc6\xcb\xfe\xd4\xda\xba\xa3\xb1\xdf\"}\n";
  Seen seen = records_of(write("gb.jsonl", gb + gb));
  EXPECT_EQ(seen.lines,
            (std::vector<std::string>{"1{\"text\": \"灯塔在海边\"}", "2{\"text\": \"灯塔在海边\"}"}));
  EXPECT_EQ(seen.remarks, std::vector<std::string>{(dir_ / "gb.jsonl").string() +
                                                   ": is read as GB18030; --encoding NAME if that is wrong"});
  std::string wide = "\xff\xfe";
  for (char c : std::string("{\"text\": \"x\"}\r\n{\"text\": \"y\"}\r\n")) wide += std::string(1, c) + '\0';
  EXPECT_EQ(records_of(write("wide.json", wide)).lines,
            (std::vector<std::string>{"1{\"text\": \"x\"}\r", "2{\"text\": \"y\"}\r"}));
  EXPECT_EQ(records_of(write("named.jsonl", "{\"text\": \"caf\xe9\"}\n"), "latin1").lines,
            std::vector<std::string>{"1{\"text\": \"café\"}"});
  // One bad byte in a record is that record's fault.
  EXPECT_EQ(records_of(write("bad.jsonl", "{\"text\": \"caf\xe9\"}\n" + lines)).lines.at(1),
            "2{\"text\": \"一\"}");
}

TEST_F(Reader, OtherFormsOfJsonAndOtherFilesComeWhole) {
  EXPECT_EQ(records_of(write("list.json", "[{\"text\": \"x\"}]")).form, JsonForm::kList);
  EXPECT_EQ(records_of(write("object.json", "{\n \"text\": \"x\"\n}\n")).form, JsonForm::kObject);
  Seen text = records_of(write("code.js", "{ let x = 1; }\nx\r\n"));
  EXPECT_EQ(text.form, JsonForm::kNone);
  EXPECT_EQ(text.text, "{ let x = 1; }\nx\n");
  EXPECT_EQ(records_of(write("list.txt", "[1] a footnote")).form, JsonForm::kNone);
  EXPECT_EQ(records_of(kGolden / "picture.png").refused,
            std::vector<std::string>{(kGolden / "picture.png").string() +
                                     ": is a PNG image; run OCR over it first (tesseract, ocrmypdf)"});
  EXPECT_TRUE(records_of(kGolden / "letter.docx").text.starts_with("# The Keeper\n"));
}

TEST_F(Reader, HtmlThatIsHostileOrDamaged) {
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "<b><i>";
  EXPECT_EQ(error_of([&] { html_text("<html>" + deep + "x", "f"); }),
            "f: nests elements more than 1024 deep");
  EXPECT_EQ(html_text("<p>one<p>two<table><td>a<td>b", "f"), "one\n\ntwo\n\na\tb\n");
  EXPECT_EQ(html_text("</p></table></li>x</h1></pre>", "f"), "x\n");
  EXPECT_EQ(html_text("<h1></h1><p>words</p><ul><li></li></ul><p>more", "f"), "words\n\nmore\n");
  EXPECT_EQ(html_text("<title>T</title><h1>T</h1>", "f"), "# T\n");
  EXPECT_EQ(html_text("<ruby>坊<rt>ぼ</rt></ruby>っちゃん &amp;&lt;&#x706f;&unknown;", "f"),
            "坊っちゃん &<灯&unknown;\n");
  EXPECT_EQ(html_text("", "f"), "");
}

TEST_F(Reader, ArchivesThatAreHostileOrDamaged) {
  const std::string xml = "<w:document xmlns:w=\"w\"><w:p><w:r><w:t>x</w:t></w:r></w:p>";
  EXPECT_EQ(read_document(zip_of({{"word/document.xml", xml + "</w:document>"}}), "a.docx", "").text, "x\n");
  EXPECT_NE(refusal(zip_of({{"word/document.xml", xml}}), "a.docx").find("a.docx: is damaged XML at line 1"),
            std::string::npos);
  std::string laughs = "<!DOCTYPE d [<!ENTITY a \"ha\">";
  for (char c = 'b'; c < 'm'; ++c)
    laughs += std::string("<!ENTITY ") + c + " \"" + [&] {
      std::string ten;
      for (int i = 0; i < 10; ++i) ten += std::string("&") + static_cast<char>(c - 1) + ";";
      return ten;
    }() + "\">";
  laughs += "]><d><w:p xmlns:w=\"w\"><w:r><w:t>&l;</w:t></w:r></w:p></d>";
  std::string read;
  error_of([&] { read = read_document(zip_of({{"word/document.xml", laughs}}), "a.docx", "").text; });
  EXPECT_LT(read.size(), 100u);
  std::string deep;
  for (int i = 0; i < 3000; ++i) deep += "<w:p xmlns:w=\"w\">";
  EXPECT_NE(refusal(zip_of({{"word/document.xml", deep}}), "a.docx"), "");
  std::string whole = zip_of({{"word/document.xml", xml}});
  EXPECT_EQ(refusal(whole.substr(0, whole.size() - 30), "a.docx"),
            "a.docx: is a damaged ZIP archive (Not a zip archive); is it complete?");
  EXPECT_EQ(refusal(zip_of({{"META-INF/container.xml", "<c><rootfile full-path=\"p.opf\"/></c>"}}), "a.epub"),
            "a.epub: its part \"p.opf\" is missing; is the file complete?");
}

TEST_F(Reader, ABombIsRefusedBeforeItUnfolds) {
  std::string zeros(size_t{257} << 20, ' ');
  std::string bomb = zip_of({{"word/document.xml", zeros}});
  ASSERT_LT(bomb.size(), size_t{4} << 20);
  zeros = {};
  EXPECT_EQ(refusal(bomb, "a.docx"),
            "a.docx: its part \"word/document.xml\" unpacks to more than 256.0 MiB, the most that is read");
}

}  // namespace
}  // namespace longspan::documents
