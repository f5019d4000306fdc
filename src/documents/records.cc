#include "documents/records.h"

#include "base/compressed.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "documents/decode.h"
#include "documents/encoding.h"
#include "documents/limits.h"

namespace longspan::documents {

namespace {

namespace fs = std::filesystem;

constexpr size_t kHeadBytes = size_t{64} << 10;

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
    if ((!decided_ && !decide(true)) || refused_) return;
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
    if (Sort sort = sort_of(held_, file_); !lines_only_ && sort.kind != Kind::kText) {
      refused_ = sort.kind == Kind::kForeign;  // however long it is
      if (refused_) handlers_.refused(refusal_of(sort, file_.string()));
      return !refused_;
    }
    Chosen chosen = encoding_of_lines(held_, whole, file_.string(), encoding_);
    std::string_view bytes = std::string_view(held_).substr(chosen.mark);
    size_t ignored;
    form_ = lines_only_ ? JsonForm::kLines
                        : json_form(chosen.name.empty() ? std::string(bytes)
                                                        : decoded(bytes, chosen.name, !whole, ignored),
                                    whole, file_);
    is_lines_ = form_ == JsonForm::kLines;
    if (!is_lines_) return true;
    if (!chosen.name.empty())
      decoder_ = std::make_unique<Decoder>(chosen.name, file_.string(), !encoding_.empty(), chosen.mark);
    if (!chosen.remark.empty() && handlers_.remark) handlers_.remark(chosen.remark);
    std::string head = std::move(held_);
    return take(std::string_view(head).substr(chosen.mark));
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
  bool lines_only_, decided_ = false, is_lines_ = false, refused_ = false, stopped_ = false;
  JsonForm form_ = JsonForm::kNone;
  std::string held_;
  std::unique_ptr<Decoder> decoder_;
  LineCutter cutter_;
  int64_t read_ = 0;
};

}  // namespace

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
