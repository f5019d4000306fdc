#include "data/documents.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "documents/encoding.h"
#include "documents/folder.h"
#include "documents/records.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMostFaults = 100, kMostFaultCharacters = 280;

/// "" when the text of a record is text.
std::string fault_of_text(std::string_view text) {
  if (size_t nul = text.find('\0'); nul != text.npos)
    return fmt::format("looks binary (NUL at byte {})", grouped(static_cast<int64_t>(nul)));
  if (size_t at = documents::utf8_fault(text); at != text.npos)
    return fmt::format("is not UTF-8 at byte {}; name the encoding with --encoding",
                       grouped(static_cast<int64_t>(at)));
  return "";
}

std::string up_to_first_point(const fs::path& file) {
  std::string name = file.filename().string();
  return name.substr(0, name.find('.', 1));
}

/// Parses a line or a file. Returns what is wrong with it, or "".
std::string parse(std::string_view text, Json& out) {
  try {
    out = parse_json(text, "");
  } catch (const Error& error) {
    return std::string(error.what()).substr(2);  // without the ": " that follows the empty source
  }
  return "";
}

/// Fills the document from a record. Returns what is wrong with the record, or "".
std::string read_record(Json record, bool text_needed, Document& document) {
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
  bool from_folder;
};

std::vector<Input> all_inputs(const std::vector<fs::path>& paths, std::vector<std::string>& remarks) {
  std::vector<Input> inputs;
  for (const fs::path& path : paths) {
    if (!fs::is_directory(path)) {
      inputs.push_back({path, false});
      continue;
    }
    documents::Folder folder = documents::list_folder(path);
    remarks.push_back(folder.remark);
    for (fs::path& file : folder.files) inputs.push_back({std::move(file), true});
  }
  return inputs;
}

/// Reads the inputs one after the other.
class Reader {
 public:
  Reader(const ReadingOptions& options, const std::function<bool(Document&&)>& body)
      : options_(options), body_(body) {}

  ReadingReport read(const std::vector<fs::path>& files) {
    std::vector<Input> inputs = all_inputs(files, report_.remarks);
    for (const Input& input : inputs) {
      // Now, not after hours of work on the files before it.
      if (!fs::exists(input.file)) fail("{}: cannot be opened: there is no such file", input.file.string());
      // A pipe has no size: it counts for nothing in the part that was read.
      sizes_.push_back(fs::is_regular_file(input.file) ? static_cast<double>(fs::file_size(input.file)) : 0);
      total_ += sizes_.back();
    }
    for (size_t i = 0; i < inputs.size() && !stopped_; before_ += sizes_[i++]) read_file(inputs[i]);
    return std::move(report_);
  }

 private:
  void read_file(const Input& input) {
    documents::RecordHandlers handlers{
        .line = [&](std::string_view line, int64_t number,
                    int64_t read) { return read_line(input, line, number, read); },
        .text = [&](documents::Reading&& reading, documents::JsonForm form,
                    int64_t read) { read_text(input, std::move(reading), form, read); },
        .refused = [&](const std::string& sentence) { note_fault(sentence); },
        .remark = [&](std::string sentence) { add_remark(std::move(sentence)); }};
    documents::read_records(input.file, options_.encoding, handlers);
  }

  bool read_line(const Input& input, std::string_view line, int64_t number, int64_t read) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return true;
    Json record;
    std::string fault = parse(line, record);
    return take_record(input, std::move(record), number, fault, read);
  }

  /// `fault`: what is wrong with it already; "" if nothing is.
  bool take_record(const Input& input, Json record, int64_t number, std::string fault, int64_t read) {
    Document document{.category = up_to_first_point(input.file), .file = input.file, .line = number};
    if (fault.empty()) fault = read_record(std::move(record), options_.text_needed, document);
    return hand_over(std::move(document), fault, read);
  }

  /// One JSON list of records; their numbers in it stand for lines.
  void read_list(const Input& input, std::string_view text, int64_t read) {
    Json list;
    if (std::string fault = parse(text, list); !fault.empty()) {
      note_fault(fmt::format("{}: {}", input.file.string(), fault));
      return;
    }
    for (size_t i = 0; i < list.size() && !stopped_; ++i)
      take_record(input, std::move(list[i]), static_cast<int64_t>(i) + 1, "", read);
  }

  void read_text(const Input& input, documents::Reading&& reading, documents::JsonForm form, int64_t read) {
    for (std::string& sentence : reading.remarks) add_remark(std::move(sentence));
    const fs::path& file = input.file;
    if (form == documents::JsonForm::kList) return read_list(input, reading.text, read);
    Document document{
        .text = std::move(reading.text),
        .category = input.from_folder ? file.parent_path().filename().string() : up_to_first_point(file),
        .file = file};
    std::string fault;
    if (form == documents::JsonForm::kObject)
      fault = "is one JSON object over several lines; an object on each line was expected (jq -c .)";
    if (fault.empty() && options_.text_needed && document.text.empty()) fault = "is empty";
    hand_over(std::move(document), fault, read);
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
    if (options_.on_bad == OnBadDocument::Fail) fail("{}", fault);
    note_bad_document(report_, std::move(fault));
    return true;
  }

  void add_remark(std::string sentence) {
    if (report_.remarks.size() < kMostFaults)
      report_.remarks.push_back(excerpt(sentence, kMostFaultCharacters));
  }

  const ReadingOptions& options_;
  const std::function<bool(Document&&)>& body_;
  bool stopped_ = false;
  ReadingReport report_;
  std::vector<double> sizes_;  // bytes of each input on disk
  double total_ = 0, before_ = 0;
};

}  // namespace

void note_bad_document(ReadingReport& report, std::string fault) {
  ++report.bad;
  if (report.faults.size() < kMostFaults) report.faults.push_back(std::move(fault));
}

void add_report(ReadingReport& report, ReadingReport&& other) {
  report.documents += other.documents;
  report.bad += other.bad - static_cast<int64_t>(other.faults.size());
  for (std::string& fault : other.faults) note_bad_document(report, std::move(fault));
  for (std::string& sentence : other.remarks)
    if (report.remarks.size() < kMostFaults) report.remarks.push_back(std::move(sentence));
}

ReadingReport read_documents(const std::vector<fs::path>& files, const ReadingOptions& options,
                             const std::function<bool(Document&&)>& body) {
  return Reader(options, body).read(files);
}

}  // namespace longspan
