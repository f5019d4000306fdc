#include "documents/document.h"

#include <algorithm>

#include "base/compressed.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "documents/encoding.h"
#include "documents/epub.h"
#include "documents/folder.h"
#include "documents/html.h"
#include "documents/limits.h"
#include "documents/office.h"
#include "documents/pdf.h"
#include "documents/zip_file.h"

namespace longspan::documents {

namespace {

namespace fs = std::filesystem;

/// The encoding of a text and the bytes of its mark. "" in `name`: UTF-8, which needs no decoder.
struct Chosen {
  std::string name;
  size_t mark = 0;
  std::string remark;
};

/// UTF-16 and UTF-32 without their byte order, which only the text itself can tell.
std::string with_byte_order(const std::string& name, std::string_view bytes, bool cut) {
  if (name != "UTF-16" && name != "UTF-32") return name;
  Guess guess = guess_encoding(bytes, cut);
  return guess.kind == Guess::Kind::kKnown && guess.encoding.starts_with(name) ? guess.encoding : name + "LE";
}

std::string read_as(const std::string& source, const std::string& encoding, const char* why) {
  return fmt::format("{}: is read as {}{}; --encoding NAME if that is wrong", source, encoding, why);
}

Chosen choose_encoding(std::string_view bytes, const std::string& source, const std::string& named) {
  Mark mark = byte_order_mark(bytes);
  std::string_view text = bytes.substr(mark.bytes);
  if (!named.empty()) {
    std::string name = encoding_name(named);
    if (mark.encoding.starts_with(name)) return {mark.encoding, mark.bytes, ""};
    return {with_byte_order(name, bytes, false), 0, ""};
  }
  if (mark.encoding == "UTF-8" && utf8_fault(text) == text.npos && text.find('\0') == text.npos)
    return {"", mark.bytes, ""};
  if (!mark.encoding.empty() && mark.encoding != "UTF-8")
    return {mark.encoding, mark.bytes, read_as(source, mark.encoding, ", as its byte order mark says")};
  Guess guess = guess_encoding(text);
  if (guess.kind == Guess::Kind::kKnown && guess.encoding == "UTF-8") return {"", mark.bytes, ""};
  std::string declared = declared_encoding(text);
  if (!declared.empty() && guess.kind != Guess::Kind::kBinary) try {
      size_t fault;
      std::string name = encoding_name(declared);
      decoded(text, name, false, fault);
      if (fault == std::string::npos) return {name, mark.bytes, read_as(source, name, ", as it declares")};
    } catch (const Error&) {  // a name that nobody knows
    }
  if (guess.kind != Guess::Kind::kKnown) {
    guess.at += mark.bytes;
    fail("{}: {}", source, guess_fault(guess, bytes));
  }
  return {guess.encoding, mark.bytes, read_as(source, guess.encoding, "")};
}

void refuse_nul(std::string_view text, const std::string& source) {
  if (size_t nul = text.find('\0'); nul != text.npos)
    fail("{}: {}", source, guess_fault({Guess::Kind::kBinary, "", nul}, text));
}

/// Bytes that are text or HTML.
Reading read_text(std::string bytes, const std::string& source, const std::string& encoding) {
  Chosen chosen = choose_encoding(bytes, source, encoding);
  Reading reading;
  if (!chosen.remark.empty()) reading.remarks.push_back(chosen.remark);
  if (chosen.name.empty()) {
    reading.text = std::move(bytes);
    reading.text.erase(0, chosen.mark);
  } else {
    Decoder(chosen.name, source, !encoding.empty())
        .decode(std::string_view(bytes).substr(chosen.mark), reading.text, true);
    refuse_nul(reading.text, source);
  }
  if (is_html(reading.text, source)) reading.text = html_text(reading.text, source);
  normalise_line_ends(reading.text);
  return reading;
}

Reading read_zip(std::string_view bytes, const std::string& source) {
  ZipFile archive(bytes, source);
  std::string type = archive.has("mimetype") ? archive.read("mimetype") : "";
  type.resize(std::min(type.size(), type.find_last_not_of(" \r\n") + 1));
  Reading reading;
  if (archive.has("word/document.xml"))
    reading.text = docx_text(archive, source);
  else if (type == "application/epub+zip" || archive.has("META-INF/container.xml"))
    reading.text = epub_text(archive, source);
  else if (type == "application/vnd.oasis.opendocument.text")
    reading.text = odt_text(archive, source);
  else if (archive.has("xl/workbook.xml") || type == "application/vnd.oasis.opendocument.spreadsheet")
    fail("{}: is a spreadsheet; save its sheets as .csv first", source);
  else if (archive.has("ppt/presentation.xml") || type == "application/vnd.oasis.opendocument.presentation")
    fail("{}: is a presentation; save it as PDF first", source);
  else
    fail("{}: is a ZIP archive; unpack it, and give its files or the folder", source);
  normalise_line_ends(reading.text);
  return reading;
}

/// Bytes that are not compressed.
Reading read_unpacked(std::string bytes, const std::string& source, const std::string& encoding) {
  Sort sort = sort_of(bytes, source);
  switch (sort.kind) {
    case Kind::kForeign:
      fail("{}: is {}; {}", source, sort.what, sort.way_out);
    case Kind::kPdf: {
      Reading reading;
      reading.text = pdf_text(bytes, source, reading.remarks);
      return reading;
    }
    case Kind::kZip:
      return read_zip(bytes, source);
    case Kind::kText:
      break;
  }
  return read_text(std::move(bytes), source, encoding);
}

const char* const kStandardInput = "standard input";

std::string name_of(const fs::path& file) { return file == "-" ? kStandardInput : file.string(); }

void append_within_bounds(std::string& held, std::string_view more, const fs::path& file, int64_t line) {
  if (held.size() + more.size() > kMostTextBytes)
    fail("{}:{}: is longer than {}, the most that one document may have", file.string(), line,
         human_bytes(static_cast<double>(kMostTextBytes)));
  held += more;
}

/// Cuts text that comes in pieces into lines.
class LineCutter {
 public:
  LineCutter(const fs::path& file, const std::function<bool(std::string_view, int64_t, int64_t)>& body)
      : file_(file), body_(body) {}

  /// False when the body wants no more.
  bool add(std::string_view text, int64_t read) {
    read_ = read;
    for (size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1)) {
      std::string_view whole = text.substr(0, end);
      if (!held_.empty()) {
        append_within_bounds(held_, whole, file_, number_);
        whole = held_;
      }
      stopped_ = !body_(whole, number_++, read);
      held_.clear();
      if (stopped_) return false;
    }
    append_within_bounds(held_, text, file_, number_);
    return true;
  }
  void finish() {
    if (!stopped_ && !held_.empty()) body_(held_, number_, read_);
  }

 private:
  const fs::path& file_;
  const std::function<bool(std::string_view, int64_t, int64_t)>& body_;
  std::string held_;  // the beginning of a line whose end has not been read yet
  int64_t number_ = 1, read_ = 0;
  bool stopped_ = false;
};

constexpr size_t kHeadBytes = size_t{64} << 10;

/// How the lines of a file are encoded, by its head. Only what cannot be taken for damaged UTF-8 counts: a
/// record with a stray byte is a bad record, not a reason to read all of them in another way.
Chosen encoding_of_lines(std::string_view head, bool whole, const std::string& source,
                         const std::string& named) {
  Mark mark = byte_order_mark(head);
  std::string_view text = head.substr(mark.bytes);
  if (!named.empty()) {
    std::string name = encoding_name(named);
    bool marked = mark.encoding.starts_with(name);
    name = marked ? mark.encoding : with_byte_order(name, head, !whole);
    return {name == "UTF-8" ? "" : name, marked ? mark.bytes : 0, ""};
  }
  if (!mark.encoding.empty())
    return {mark.encoding == "UTF-8" ? "" : mark.encoding, mark.bytes,
            mark.encoding == "UTF-8" ? "" : read_as(source, mark.encoding, ", as its byte order mark says")};
  Guess guess = guess_encoding(text, !whole);
  static const std::vector<std::string> certain = {"UTF-16LE", "UTF-16BE",  "UTF-32LE", "UTF-32BE", "GB18030",
                                                   "Big5",     "Shift-JIS", "EUC-JP",   "EUC-KR"};
  if (guess.kind != Guess::Kind::kKnown ||
      std::find(certain.begin(), certain.end(), guess.encoding) == certain.end())
    return {"", 0, ""};
  return {guess.encoding, 0, read_as(source, guess.encoding, "")};
}

/// Reads a file in one pass: its head is kept until it is known what the file is.
class RecordStream {
 public:
  RecordStream(const fs::path& file, const std::string& encoding, const RecordHandlers& handlers,
               bool lines_only)
      : file_(file),
        encoding_(encoding),
        handlers_(handlers),
        lines_only_(lines_only),
        cutter_(file, handlers.line) {}

  void read() {
    read_bytes(file_, [&](std::string_view bytes, int64_t read) {
      read_ = read;
      if (decided_) return take(bytes);
      append_within_bounds(held_, bytes, file_, 1);
      return held_.size() < kHeadBytes || decide(false);
    });
    if (!decided_ && !decide(true)) return;
    if (!is_lines_) {
      Reading reading;
      try {
        reading = read_unpacked(std::move(held_), file_.string(), encoding_);
      } catch (const Error& error) {
        return handlers_.refused(error.what());
      }
      return handlers_.text(std::move(reading), form_, read_);
    }
    if (decoder_ && !stopped_) {
      std::string text;
      decoder_->decode("", text, true);
      cutter_.add(text, read_);
    }
    cutter_.finish();
  }

 private:
  bool decide(bool whole) {
    decided_ = true;
    if (!lines_only_ && sort_of(held_, file_).kind != Kind::kText) return true;
    Chosen chosen = encoding_of_lines(held_, whole, file_.string(), encoding_);
    if (!chosen.name.empty())
      decoder_ = std::make_unique<Decoder>(chosen.name, file_.string(), !encoding_.empty());
    std::string head = std::move(held_), text;
    held_.clear();
    std::string_view rest = std::string_view(head).substr(chosen.mark);
    if (decoder_) {
      decoder_->decode(rest, text, whole);
      rest = text;
    }
    form_ = lines_only_ ? JsonForm::kLines : json_form(rest, whole, file_);
    is_lines_ = form_ == JsonForm::kLines;
    if (!is_lines_) {
      held_ = std::move(head);
      return true;
    }
    if (!chosen.remark.empty() && handlers_.remark) handlers_.remark(chosen.remark);
    return !(stopped_ = !cutter_.add(rest, read_));
  }

  bool take(std::string_view bytes) {
    if (!is_lines_) {
      append_within_bounds(held_, bytes, file_, 1);
      return true;
    }
    std::string text;
    if (decoder_) {
      decoder_->decode(bytes, text, false);
      bytes = text;
    }
    return !(stopped_ = !cutter_.add(bytes, read_));
  }

  const fs::path& file_;
  const std::string& encoding_;
  const RecordHandlers& handlers_;
  bool lines_only_, decided_ = false, is_lines_ = false, stopped_ = false;
  JsonForm form_ = JsonForm::kNone;
  std::string held_;
  std::unique_ptr<Decoder> decoder_;
  LineCutter cutter_;
  int64_t read_ = 0;
};

/// The name that the line before a file's text shows: without folders where that is clear.
std::string shown_name(const fs::path& file, const std::vector<fs::path>& all) {
  auto same = std::count_if(all.begin(), all.end(),
                            [&](const fs::path& other) { return other.filename() == file.filename(); });
  return file == "-" ? kStandardInput : same > 1 ? file.string() : file.filename().string();
}

}  // namespace

Reading read_document(std::string bytes, const std::string& source, const std::string& encoding) {
  const fs::path name = source;
  if (is_packed(bytes) || content_name(name) != name.filename()) bytes = unpack(bytes, source);
  return read_unpacked(std::move(bytes), source, encoding);
}

Reading read_document(const fs::path& file, const std::string& encoding) {
  return read_document(read_text_file(file), name_of(file), encoding);
}

Reading read_documents(const std::vector<fs::path>& files, const std::string& encoding) {
  Reading all;
  std::vector<fs::path> single;
  for (const fs::path& file : files) {
    if (!fs::is_directory(file)) {
      single.push_back(file);
      continue;
    }
    Folder folder = list_folder(file);
    if (folder.files.empty()) fail("{}", folder.remark);
    all.remarks.push_back(folder.remark);
    single.insert(single.end(), folder.files.begin(), folder.files.end());
  }
  for (const fs::path& file : single) {
    Reading one = read_document(file, encoding);
    if (one.text.empty()) fail("{}: is empty; a text was expected", name_of(file));
    all.remarks.insert(all.remarks.end(), one.remarks.begin(), one.remarks.end());
    if (single.size() == 1) {
      all.text = std::move(one.text);
      break;
    }
    if (!all.text.empty()) all.text += all.text.ends_with('\n') ? "\n" : "\n\n";
    all.text += fmt::format("[file: {}]\n\n{}", excerpt(shown_name(file, single), 200), one.text);
  }
  return all;
}

void read_records(const fs::path& file, const std::string& encoding, const RecordHandlers& handlers) {
  RecordStream(file, encoding, handlers, false).read();
}

void read_lines(const fs::path& file, const std::function<bool(std::string_view, int64_t)>& body) {
  RecordHandlers handlers{
      .line = [&](std::string_view line, int64_t number, int64_t) { return body(line, number); },
      .text = {},
      .refused = {},
      .remark = {}};
  RecordStream(file, "", handlers, true).read();
}

bool lies_plain(const fs::path& file) {
  InputFile input(file, InputFile::Pipes::Refused);
  std::string head(kHeadBytes, '\0');
  head.resize(input.read(head.data(), head.size()));
  Chosen chosen = encoding_of_lines(head, head.size() < kHeadBytes, file.string(), "");
  return !is_packed(head) && content_name(file) == file.filename() && chosen.name.empty() && chosen.mark == 0;
}

}  // namespace longspan::documents
