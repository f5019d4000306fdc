#include "data/documents.h"

#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

// One document is held in memory: a frame of a few bytes that unfolds to more than this is refused.
constexpr size_t kMostDocumentBytes = size_t{1} << 30;
constexpr size_t kMostFaults = 100, kMostFaultBytes = 300;
constexpr int kWindowLog = 27;  // what `zstd -19 --long=27` needs

using OnBytes = std::function<bool(std::string_view)>;  // false ends the reading

/// A file's bytes in chunks, as they lie.
class Source {
 public:
  explicit Source(const fs::path& path) : path_(path), buffer_(ZSTD_DStreamInSize()) {
    if (fs::is_directory(path)) fail("{}: is a directory, a file was expected", path.string());
    file_.reset(std::fopen(path.c_str(), "rb"));
    if (!file_) fail("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  }
  /// Empty at the end.
  std::string_view next() {
    size_t n = std::fread(buffer_.data(), 1, buffer_.size(), file_.get());
    if (n == 0 && std::ferror(file_.get()))
      fail("{}: reading failed: {}", path_.string(), std::strerror(errno));
    read_ += static_cast<int64_t>(n);
    return {buffer_.data(), n};
  }
  /// Bytes given so far.
  int64_t read() const { return read_; }

 private:
  struct Close {
    void operator()(FILE* f) const { std::fclose(f); }
  };
  fs::path path_;
  std::vector<char> buffer_;
  std::unique_ptr<FILE, Close> file_;
  int64_t read_ = 0;
};

/// Frames follow each other; one that ends early or is damaged is an Error with the place in the file.
void read_zstd(const fs::path& path, Source& source, const OnBytes& body) {
  struct Free {
    void operator()(ZSTD_DCtx* c) const { ZSTD_freeDCtx(c); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context(ZSTD_createDCtx());
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kWindowLog);
  std::vector<char> out(ZSTD_DStreamOutSize());
  size_t expected = 0;  // 0 between frames
  for (std::string_view in = source.next(); !in.empty(); in = source.next()) {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    size_t written = 0;
    // A full output buffer means that more may wait inside the decoder.
    while (input.pos < input.size || written == out.size()) {
      ZSTD_outBuffer output{out.data(), out.size(), 0};
      expected = ZSTD_decompressStream(context.get(), &output, &input);
      if (ZSTD_isError(expected))
        fail("{}: is damaged zstd near byte {}: {}", path.string(),
             source.read() - static_cast<int64_t>(input.size - input.pos), ZSTD_getErrorName(expected));
      written = output.pos;
      if (written > 0 && !body({out.data(), written})) return;
      if (expected == 0 && input.pos == input.size) break;
    }
  }
  if (expected != 0)
    fail("{}: ends at byte {} in the middle of a zstd frame; is it complete?", path.string(), source.read());
}

void read_bytes(const fs::path& path, Source& source, const OnBytes& body) {
  if (path.extension() == ".zst") return read_zstd(path, source, body);
  for (std::string_view in = source.next(); !in.empty(); in = source.next())
    if (!body(in)) return;
}

void append_within_bounds(std::string& held, std::string_view more, const fs::path& file, int64_t line) {
  if (held.size() + more.size() > kMostDocumentBytes)
    fail("{}:{}: is longer than {}, the most that one document may have", file.string(), line,
         human_bytes(static_cast<double>(kMostDocumentBytes)));
  held += more;
}

using OnLine = std::function<bool(std::string_view, int64_t)>;

void read_lines(const fs::path& file, Source& source, const OnLine& body) {
  std::string held;  // the beginning of a line whose end has not come
  int64_t line = 1;
  bool stopped = false;
  read_bytes(file, source, [&](std::string_view bytes) {
    for (size_t end; (end = bytes.find('\n')) != std::string_view::npos; bytes.remove_prefix(end + 1)) {
      std::string_view whole = bytes.substr(0, end);
      if (!held.empty()) {
        append_within_bounds(held, whole, file, line);
        whole = held;
      }
      stopped = !body(whole, line++);
      held.clear();
      if (stopped) return false;
    }
    append_within_bounds(held, bytes, file, line);
    return true;
  });
  if (!stopped && !held.empty()) body(held, line);
}

/// "" when the bytes are text.
std::string fault_of_text(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return "holds a NUL: is it a binary file?";
  for (size_t i = 0; i < text.size();) {
    size_t at = i;
    // U+FFFD may stand in the text itself, in its three bytes.
    if (next_code_point(text, i) == 0xFFFD && text.substr(at, i - at) != "\uFFFD")
      return fmt::format("is not UTF-8 at byte {}", at);
  }
  return "";
}

/// The last extension that says what the content is: that before .zst.
fs::path content_name(const fs::path& file) {
  return file.extension() == ".zst" ? file.stem() : file.filename();
}

std::string up_to_first_point(const fs::path& file) {
  std::string name = file.filename().string();
  return name.substr(0, name.find('.', 1));
}

/// Fills the document from a line of JSON. What is wrong with it, or "".
std::string read_record(std::string_view line, bool text_needed, Document& document) {
  Json record;
  try {
    record = parse_json(line, "");
  } catch (const Error& error) {
    return std::string(error.what()).substr(2);  // without the ": " after no source
  }
  if (!record.is_object()) return "is no JSON object";
  auto take_string = [&](const char* key, std::string& out) {
    auto found = record.find(key);
    if (found == record.end() || !found->is_string()) return false;
    out = std::move(found->get_ref<std::string&>());
    return true;
  };
  if (auto text = record.find("text"); text != record.end() && !text->is_string())
    return "has a field \"text\" that is no string";
  bool has_text = take_string("text", document.text);
  if (!take_string("id", document.id))
    if (auto id = record.find("id"); id != record.end() && id->is_number()) document.id = dump_json(*id);
  if (auto found = record.find("class"); found != record.end() && found->is_string())
    document.category = found->get<std::string>();
  record.erase("text");
  record.erase("id");
  document.fields = std::move(record);
  if (text_needed && (!has_text || document.text.empty())) return "has no \"text\"";
  return fault_of_text(document.text);
}

struct Input {
  fs::path file;
  std::string category;
};

/// Files as they are; folders walked in the order of names, without what is hidden.
std::vector<Input> all_inputs(const std::vector<fs::path>& paths) {
  std::vector<Input> inputs;
  for (const fs::path& path : paths) {
    if (!fs::is_directory(path)) {
      inputs.push_back({path, up_to_first_point(path)});
      continue;
    }
    std::vector<fs::path> found;
    for (auto at = fs::recursive_directory_iterator(path); at != fs::recursive_directory_iterator(); ++at) {
      bool hidden = at->path().filename().string().starts_with('.');
      if (hidden && at->is_directory()) at.disable_recursion_pending();
      if (!hidden && at->is_regular_file()) found.push_back(at->path());
    }
    std::sort(found.begin(), found.end());
    for (const fs::path& file : found) {
      bool lines = content_name(file).extension() == ".jsonl";
      inputs.push_back({file, lines ? up_to_first_point(file) : file.parent_path().filename().string()});
    }
  }
  return inputs;
}

/// Reads the inputs one after the other.
class Reader {
 public:
  Reader(OnBadDocument on_bad, const std::function<bool(Document&&)>& body, bool text_needed)
      : on_bad_(on_bad), body_(body), text_needed_(text_needed) {}

  ReadingReport read(const std::vector<Input>& inputs) {
    for (const Input& input : inputs) {
      // Before hours of work on the files before it.
      if (!fs::exists(input.file)) fail("{}: cannot be opened: there is no such file", input.file.string());
      sizes_.push_back(static_cast<double>(fs::file_size(input.file)));
      total_ += sizes_.back();
    }
    for (size_t i = 0; i < inputs.size() && !stopped_; before_ += sizes_[i++]) {
      if (content_name(inputs[i].file).extension() == ".jsonl")
        read_jsonl(inputs[i]);
      else
        read_text(inputs[i]);
    }
    return std::move(report_);
  }

 private:
  void read_jsonl(const Input& input) {
    Source source(input.file);
    read_lines(input.file, source, [&](std::string_view line, int64_t number) {
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) return true;
      Document document{.category = input.category, .file = input.file, .line = number};
      std::string fault = read_record(line, text_needed_, document);
      return hand_over(std::move(document), fault, source);
    });
  }

  void read_text(const Input& input) {
    Source source(input.file);
    Document document{.category = input.category, .file = input.file};
    read_bytes(input.file, source, [&](std::string_view bytes) {
      append_within_bounds(document.text, bytes, input.file, 1);
      return true;
    });
    if (document.text.starts_with("\uFEFF")) document.text.erase(0, 3);
    std::string fault = fault_of_text(document.text);
    if (text_needed_ && document.text.empty()) fault = "is empty";
    hand_over(std::move(document), fault, source);
  }

  bool hand_over(Document&& document, const std::string& fault, const Source& source) {
    std::string at = document.line > 0 ? fmt::format("{}:{}", document.file.string(), document.line)
                                       : document.file.string();
    if (!fault.empty()) return note_fault(at + ": " + fault);
    if (document.id.empty()) document.id = at;
    document.part = total_ > 0 ? std::min(1.0, (before_ + static_cast<double>(source.read())) / total_) : 1;
    ++report_.documents;
    stopped_ = !body_(std::move(document));
    return !stopped_;
  }

  bool note_fault(std::string fault) {
    // The parser quotes what it met, which may be the whole line.
    if (fault.size() > kMostFaultBytes) {
      fault.resize(kMostFaultBytes);
      fault = fault.substr(0, complete_utf8_prefix(fault)) + " ...";
    }
    if (on_bad_ == OnBadDocument::Fail) fail("{}; mend it, or have bad documents skipped", fault);
    note_bad_document(report_, std::move(fault));
    return true;
  }

  OnBadDocument on_bad_;
  const std::function<bool(Document&&)>& body_;
  bool text_needed_, stopped_ = false;
  ReadingReport report_;
  std::vector<double> sizes_;  // bytes of each input on disk
  double total_ = 0, before_ = 0;
};

}  // namespace

void read_lines(const fs::path& file, const OnLine& body) {
  Source source(file);
  read_lines(file, source, body);
}

void note_bad_document(ReadingReport& report, std::string fault) {
  ++report.bad;
  if (report.faults.size() < kMostFaults) report.faults.push_back(std::move(fault));
}

ReadingReport read_documents(const std::vector<fs::path>& files, OnBadDocument on_bad,
                             const std::function<bool(Document&&)>& body, bool text_needed) {
  return Reader(on_bad, body, text_needed).read(all_inputs(files));
}

}  // namespace longspan
