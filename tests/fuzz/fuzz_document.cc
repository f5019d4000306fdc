// read_document on any bytes: the first byte chooses the name that the document has, the rest is the
// document. What comes out is UTF-8 without NULs and without carriage returns.
#include "base/error.h"
#include "documents/document.h"
#include "documents/encoding.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  if (size == 0) return 0;
  static const char* const names[] = {"a.txt", "a.html", "a.docx", "a.epub",
                                      "a.odt", "a.pdf",  "a.json", "a.gz"};
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    documents::Reading reading =
        documents::read_document(bytes, names[data[0] % 8], data[0] & 0x80 ? "GB18030" : "");
    if (documents::utf8_fault(reading.text) != std::string::npos) std::abort();
    if (reading.text.find_first_of(std::string_view("\r\0", 2)) != std::string::npos) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
