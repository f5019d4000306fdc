#include "documents/kind.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/compressed.h"
#include "base/error.h"
#include "base/json.h"

namespace longspan::documents {

namespace {

using namespace std::string_view_literals;
namespace fs = std::filesystem;

constexpr const char* kOcr = "run OCR over it first (tesseract, ocrmypdf)";
constexpr const char* kUnpack = "unpack it, and give its files or the folder";
constexpr const char* kSpeech = "a transcript of it is needed";
constexpr const char* kProgram = "a text was expected";
constexpr const char* kModel = "a model belongs in the place of MODEL";
constexpr const char* kToLines = "convert it to JSON lines or text first";
constexpr const char* kToEpub = "convert it to EPUB first (calibre's ebook-convert)";
constexpr const char* kToPdf = "convert it to PDF first (ddjvu -format=pdf, ps2pdf)";

// THE table of what is not read, by the bytes at an offset.
struct Row {
  size_t at;
  std::string_view bytes;
  const char* what;
  const char* way_out;
  bool with_nul = false;  // the bytes could begin a text: a NUL must follow soon
};
const Row kForeign[] = {
    {0, "\x89PNG\r\n\x1a\n"sv, "a PNG image", kOcr},
    {0, "\xff\xd8\xff"sv, "a JPEG image", kOcr},
    {0, "GIF87a"sv, "a GIF image", kOcr},
    {0, "GIF89a"sv, "a GIF image", kOcr},
    {0, "II*\0"sv, "a TIFF image", kOcr},
    {0, "MM\0*"sv, "a TIFF image", kOcr},
    {8, "WEBP"sv, "a WebP image", kOcr, true},
    {0, "BM"sv, "a BMP image", kOcr, true},
    {4, "ftypheic"sv, "a HEIC image", kOcr},
    {4, "ftypavif"sv, "an AVIF image", kOcr},
    {0, "\0\0\1\0"sv, "an icon", kOcr},
    {0, "AT&TFORM"sv, "a DjVu document", kToPdf},
    {0, "%!PS"sv, "a PostScript document", kToPdf},
    {0, "{\\rtf"sv, "an RTF document", "save it as .docx or .txt first (libreoffice --convert-to docx)"},
    {0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv,
     "an Office file of before 2007 (.doc, .xls, .ppt), or one with a password",
     "save it as .docx or .pdf without a password first"},
    {60, "BOOKMOBI"sv, "a Kindle book (MOBI)", kToEpub},
    {0, "ITSF"sv, "a Windows help file (CHM)", kToEpub, true},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7-Zip archive", kUnpack},
    {0, "Rar!\x1a\x07"sv, "a RAR archive", kUnpack},
    {257, "ustar"sv, "a tar archive", kUnpack},
    {0, "!<arch>\n"sv, "an archive (ar, .deb)", kUnpack},
    {0, "MSCF"sv, "a cabinet archive", kUnpack, true},
    {0, "LZIP"sv, "an lzip file", "decompress it first (lzip -d)", true},
    {0, "\x04\x22\x4d\x18"sv, "an LZ4 file", "decompress it first (lz4 -d)"},
    {0, "\x1f\x9d"sv, "a file of compress (.Z)", "decompress it first (uncompress)"},
    {0, "\x1f\x8b"sv, "compressed more than once", "decompress it first (gunzip)"},
    {0, "\x28\xb5\x2f\xfd"sv, "compressed more than once", "decompress it first (unzstd)"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "compressed more than once", "decompress it first (unxz)"},
    {0,
     "\x7f"
     "ELF"sv,
     "an executable program or library", kProgram},
    {0, "MZ"sv, "an executable program or library", kProgram, true},
    {0, "\xca\xfe\xba\xbe"sv, "an executable program or library", kProgram},
    {0, "\xcf\xfa\xed\xfe"sv, "an executable program or library", kProgram},
    {0, "\xce\xfa\xed\xfe"sv, "an executable program or library", kProgram},
    {0, "\0asm"sv, "an executable program or library", kProgram},
    {0, "ID3"sv, "a sound file", kSpeech, true},
    {0, "OggS\0"sv, "a sound or video file", kSpeech},
    {0, "fLaC"sv, "a sound file", kSpeech, true},
    {8, "WAVE"sv, "a sound file", kSpeech, true},
    {8, "AVI "sv, "a video file", kSpeech, true},
    {4, "ftyp"sv, "a video file", kSpeech, true},
    {0, "\x1a\x45\xdf\xa3"sv, "a video file", kSpeech},
    {0, "GGUF"sv, "a model in GGUF", kModel, true},
    {8, "{\"__metadata__\""sv, "a model in safetensors", kModel, true},
    {0, "SQLite format 3\0"sv, "an SQLite database", kToLines},
    {0, "PAR1"sv, "a Parquet file", kToLines, true},
    {0, "ARROW1"sv, "an Arrow file", kToLines, true},
    {0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file", kToLines},
    {0, "\x93NUMPY"sv, "a NumPy array", kToLines},
    {0, "\0\1\0\0"sv, "a font", kProgram},
    {0, "OTTO\0"sv, "a font", kProgram},
    {0, "wOF2"sv, "a font", kProgram, true},
};

// Files of characters that are not the text they hold, by the ending of their names.
struct Wrapped {
  std::string_view ending;
  const char* what;
  const char* way_out;
};
const Wrapped kWrapped[] = {
    {".ipynb", "a Jupyter notebook", "convert it to Markdown first (jupyter nbconvert --to markdown)"},
    {".mht", "a web page saved with its pictures (MHTML)", "save it as HTML first"},
    {".mhtml", "a web page saved with its pictures (MHTML)", "save it as HTML first"},
};

constexpr size_t kSoon = 256;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view without_space(std::string_view text) {
  size_t at = text.find_first_not_of(" \t\r\n");
  return at == text.npos ? std::string_view() : text.substr(at);
}

std::string ending_of(const fs::path& name) { return lower_extension(content_name(name)); }

/// Whether a message (RFC 5322) says in its head that what follows is encoded or has several parts (MIME).
bool is_encoded_message(std::string_view begin) {
  constexpr size_t kLongest = size_t{64} << 10;
  size_t end = std::min({begin.find("\n\n"), begin.find("\n\r\n"), kLongest});
  std::string head = lower(begin.substr(0, end));
  for (const char* field : {"content-transfer-encoding: base64",
                            "content-transfer-encoding: quoted-printable", "content-type: multipart/"})
    if (size_t at = head.find(field); at != head.npos && (at == 0 || head[at - 1] == '\n')) return true;
  return false;
}

}  // namespace

Sort sort_of(std::string_view begin, const fs::path& name) {
  if (begin.starts_with("%PDF-")) return {.kind = Kind::kPdf};
  if (ending_of(name) == ".pdf" && begin.substr(0, 1024).find("%PDF-") != begin.npos)
    return {.kind = Kind::kPdf};
  if (begin.starts_with("PK\3\4"sv) || begin.starts_with("PK\5\6"sv)) return {.kind = Kind::kZip};
  bool nul = begin.substr(0, kSoon).find('\0') != begin.npos;
  for (const Row& row : kForeign)
    if (begin.size() > row.at && begin.substr(row.at).starts_with(row.bytes) && (nul || !row.with_nul))
      return {Kind::kForeign, row.what, row.way_out};
  const std::string ending = ending_of(name);
  for (const Wrapped& row : kWrapped)
    if (ending == row.ending) return {Kind::kForeign, row.what, row.way_out};
  if (ending == ".eml" && is_encoded_message(begin))
    return {Kind::kForeign, "an encoded message", "save its text from a mail program first"};
  return {};
}

bool is_html(std::string_view text, const fs::path& name) {
  constexpr size_t kHead = 4096;
  std::string head = lower(text.substr(0, kHead));
  std::string_view rest = without_space(head);
  for (std::string_view end; !rest.empty(); rest = without_space(rest.substr(rest.find(end) + end.size()))) {
    if (rest.starts_with("<?xml"))
      end = "?>";
    else if (rest.starts_with("<!--"))
      end = "-->";
    else
      break;
    if (rest.find(end) == rest.npos) break;
  }
  if (rest.starts_with("<!doctype html") || rest.starts_with("<html")) return true;
  std::string ending = ending_of(name);
  if (ending != ".html" && ending != ".htm" && ending != ".xhtml") return false;
  for (size_t at = head.find('<'); at != head.npos; at = head.find('<', at + 1))
    if (at + 1 < head.size() &&
        (std::isalpha(static_cast<unsigned char>(head[at + 1])) || head[at + 1] == '!'))
      return true;
  return false;
}

JsonForm json_form(std::string_view begin, bool whole, const fs::path& name) {
  const std::string ending = ending_of(name);
  if (ending == ".jsonl" || ending == ".ndjson" || ending == ".jsonlines") return JsonForm::kLines;
  const bool json = ending == ".json";
  begin = without_space(begin);
  if (json && begin.starts_with('[')) return JsonForm::kList;
  if (!begin.starts_with('{')) return JsonForm::kNone;
  size_t end = begin.find('\n');
  if (end == begin.npos && !whole) {  // a first line that is longer than what is looked at
    std::string_view inside = without_space(begin.substr(1));
    return inside.starts_with('"') ? JsonForm::kLines : JsonForm::kNone;
  }
  try {
    Json first = parse_json(begin.substr(0, end), "");
    if (first.is_object() && !first.empty()) return JsonForm::kLines;
  } catch (const Error&) {
  }
  return json ? JsonForm::kObject : JsonForm::kNone;
}

bool is_document_name(const fs::path& name) {
  static const std::set<std::string> endings = {
      // texts and documents
      ".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".tex", ".html", ".htm", ".xhtml", ".pdf",
      ".epub", ".docx", ".odt", ".srt", ".vtt", ".log", ".csv", ".tsv", ".eml", ".jsonl", ".ndjson",
      ".jsonlines",
      // source code
      ".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".cu", ".cuh", ".py", ".java", ".js", ".mjs", ".ts",
      ".tsx", ".jsx", ".go", ".rs", ".rb", ".php", ".sh", ".bash", ".pl", ".pm", ".lua", ".scala", ".kt",
      ".swift", ".m", ".r", ".jl", ".sql", ".cs", ".fs", ".hs", ".ml", ".mli", ".el", ".lisp", ".scm", ".clj",
      ".erl", ".ex", ".f", ".f90", ".pas", ".ada", ".asm", ".s", ".v", ".vhdl", ".vim", ".css", ".proto"};
  static const std::set<std::string> about = {"readme",  "license",   "licence",  "copying",     "notice",
                                              "authors", "changelog", "citation", "contributing"};
  fs::path content = content_name(name);
  return endings.contains(lower_extension(content)) && !about.contains(lower(content.stem().string()));
}

}  // namespace longspan::documents
