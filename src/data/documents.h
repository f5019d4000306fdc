// Reads corpora in the forms that people have: JSON lines (one document per line) are streamed, a .json file
// of one list is read as a whole, every other file that documents/document.h can read is one document. A bad
// line is reported by file and number, and skipped or fatal, by choice.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"

namespace longspan {

struct Document {
  std::string text = {};  // field "text"
  std::string id = {};    // field "id"; FILE:LINE if there is none
  /// Field "class"; otherwise the file's name up to its first dot, or, for a file of a folder that is one
  /// document, the name of the folder that contains it.
  std::string category;
  Json fields = {};  // all other fields of the line (lang, qas, instruction, ...); null for plain text
  std::filesystem::path file;
  int64_t line = 0;  // or number in its list; 1 is the first; 0: the file is the document
  double part = 0;   // share of the bytes of all files read when this document was complete: for progress
};

enum class OnBadDocument { Skip, Fail };

struct ReadingReport {
  int64_t documents = 0;
  int64_t bad = 0;
  std::vector<std::string> faults;  // of the first 100 bad documents: "FILE:LINE: what is wrong"
  /// The first 100 sentences about what was read: encodings that are not UTF-8, and what a folder holds that
  /// is not read.
  std::vector<std::string> remarks;
};

/// Counts of another reading, and its sentences as far as there is room for them.
void add_report(ReadingReport& report, ReadingReport&& other);

/// Counts a bad document, and keeps the sentence if it is one of the first.
void note_bad_document(ReadingReport& report, std::string fault);

struct ReadingOptions {
  OnBadDocument on_bad = OnBadDocument::Skip;
  /// Whether a document without text is bad; records of question answering and instructions have none.
  bool text_needed = true;
  std::string encoding = {};  // of all files; "": recognised
};

/// Calls body for every document of the files; in a folder, of those that documents/folder.h takes for
/// documents. A file that holds no text (documents/kind.h) or cannot be decoded is a bad document, and so is
/// a record that is not UTF-8 or contains a NUL. Reading stops when body returns false. Error: a file is
/// missing or unreadable, damaged compression (with the offset), a document beyond 1 GiB; with Fail, any bad
/// document.
ReadingReport read_documents(const std::vector<std::filesystem::path>& files, const ReadingOptions& options,
                             const std::function<bool(Document&&)>& body);

}  // namespace longspan
