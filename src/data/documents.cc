#include "data/documents.h"

#include <algorithm>

#include "base/compressed.h"
#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

// One document is held in memory, so a small compressed frame that expands to more than this is refused.
constexpr size_t kMostDocumentBytes = size_t{1} << 30;
constexpr size_t kMostFaults = 100, kMostFaultCharacters = 280;

void append_within_bounds(std::string& held, std::string_view more, const fs::path& file, int64_t line) {
  if (held.size() + more.size() > kMostDocumentBytes)
    fail("{}:{}: is longer than {}, the most that one document may have", file.string(), line,
         human_bytes(static_cast<double>(kMostDocumentBytes)));
  held += more;
}

using OnLine = std::function<bool(std::string_view line, int64_t number, int64_t read)>;

void each_line(const fs::path& file, const OnLine& body) {
  std::string held;  // the beginning of a line whose end has not been read yet
  int64_t line = 1, of_file = 0;
  bool stopped = false;
  read_bytes(file, [&](std::string_view bytes, int64_t read) {
    of_file = read;
    for (size_t end; (end = bytes.find('\n')) != std::string_view::npos; bytes.remove_prefix(end + 1)) {
      std::string_view whole = bytes.substr(0, end);
      if (!held.empty()) {
        append_within_bounds(held, whole, file, line);
        whole = held;
      }
      stopped = !body(whole, line++, read);
      held.clear();
      if (stopped) return false;
    }
    append_within_bounds(held, bytes, file, line);
    return true;
  });
  if (!stopped && !held.empty()) body(held, line, of_file);
}

/// "" when the bytes are text.
std::string fault_of_text(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return "holds a NUL: is it a binary file?";
  for (size_t i = 0; i < text.size();) {
    size_t at = i;
    // The text itself may contain U+FFFD, spelled as its three bytes.
    if (next_code_point(text, i) == 0xFFFD && text.substr(at, i - at) != "\uFFFD")
      return fmt::format("is not UTF-8 at byte {}", at);
  }
  return "";
}

std::string up_to_first_point(const fs::path& file) {
  std::string name = file.filename().string();
  return name.substr(0, name.find('.', 1));
}

/// Fills the document from a line of JSON. Returns what is wrong with the line, or "".
std::string read_record(std::string_view line, bool text_needed, Document& document) {
  Json record;
  try {
    record = parse_json(line, "");
  } catch (const Error& error) {
    return std::string(error.what()).substr(2);  // without the ": " that follows the empty source
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

/// Files as given; folders are walked in the order of names, skipping what is hidden.
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
      // Now, not after hours of work on the files before it.
      if (!fs::exists(input.file)) fail("{}: cannot be opened: there is no such file", input.file.string());
      // A pipe has no size: it counts for nothing in the part that was read.
      sizes_.push_back(fs::is_regular_file(input.file) ? static_cast<double>(fs::file_size(input.file)) : 0);
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
    each_line(input.file, [&](std::string_view line, int64_t number, int64_t read) {
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) return true;
      Document document{.category = input.category, .file = input.file, .line = number};
      std::string fault = read_record(line, text_needed_, document);
      return hand_over(std::move(document), fault, read);
    });
  }

  void read_text(const Input& input) {
    Document document{.category = input.category, .file = input.file};
    int64_t of_file = 0;
    read_bytes(input.file, [&](std::string_view bytes, int64_t read) {
      of_file = read;
      append_within_bounds(document.text, bytes, input.file, 1);
      return true;
    });
    if (document.text.starts_with("\uFEFF")) document.text.erase(0, 3);
    std::string fault = fault_of_text(document.text);
    if (text_needed_ && document.text.empty()) fault = "is empty";
    hand_over(std::move(document), fault, of_file);
  }

  bool hand_over(Document&& document, const std::string& fault, int64_t read) {
    std::string at = document.line > 0 ? fmt::format("{}:{}", document.file.string(), document.line)
                                       : document.file.string();
    if (!fault.empty()) return note_fault(at + ": " + fault);
    if (document.id.empty()) document.id = at;
    document.part = total_ > 0 ? std::min(1.0, (before_ + static_cast<double>(read)) / total_) : 1;
    ++report_.documents;
    stopped_ = !body_(std::move(document));
    return !stopped_;
  }

  bool note_fault(std::string fault) {
    fault = excerpt(fault, kMostFaultCharacters);
    if (on_bad_ == OnBadDocument::Fail) fail("{}; fix it, or choose to skip bad documents", fault);
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

void read_lines(const fs::path& file, const std::function<bool(std::string_view, int64_t)>& body) {
  each_line(file, [&](std::string_view line, int64_t number, int64_t) { return body(line, number); });
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
