// The table of documents: tests/golden/documents, made by tools/make_document_golden.py with other people's
// writers, and for each file the exact text and remarks, or the exact refusal.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "documents/document.h"

namespace longspan::documents {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(LONGSPAN_GOLDEN) / "documents";

std::string with_path(const std::string& sentence, const fs::path& file) {
  return replaced(sentence, "FILE", file.string());
}

TEST(Table, EveryDocumentIsReadOrRefusedAsWritten) {
  const Json table = parse_json_file(kGolden / "table.json");
  ASSERT_GE(table.size(), 40u);
  for (const Json& row : table) {
    const fs::path file = kGolden / row["file"].get<std::string>();
    SCOPED_TRACE(file.filename());
    Reading reading;
    std::string refusal;
    try {
      reading = read_document(file, "");
    } catch (const Error& error) {
      refusal = error.what();
    }
    if (row.contains("refusal")) {
      EXPECT_EQ(refusal, with_path(row["refusal"].get<std::string>(), file));
      continue;
    }
    EXPECT_EQ(refusal, "");
    EXPECT_EQ(reading.text, row["text"].get<std::string>());
    std::vector<std::string> remarks;
    for (const Json& sentence : row["remarks"])
      remarks.push_back(with_path(sentence.get<std::string>(), file));
    EXPECT_EQ(reading.remarks, remarks);
  }
}

}  // namespace
}  // namespace longspan::documents
