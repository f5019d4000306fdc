// Reads text in the forms that people have: .txt, .md and source files (one document each) and .jsonl (one
// document per line), plain or compressed (.zst, .xz). Documents are streamed: no file is held in memory. A
// bad line is reported by file and number, and skipped or fatal, by choice.
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
  /// Field "class"; otherwise the file's name up to its first dot, or, for a text file found by walking a
  /// folder, the name of the folder that contains it.
  std::string category;
  Json fields = {};  // all other fields of the line (lang, qas, instruction, ...); null for plain text
  std::filesystem::path file;
  int64_t line = 0;  // 1 is the first; 0: the file is the document
  double part = 0;   // share of the bytes of all files read when this document was complete: for progress
};

enum class OnBadDocument { Skip, Fail };

struct ReadingReport {
  int64_t documents = 0;
  int64_t bad = 0;
  std::vector<std::string> faults;  // of the first 100 bad documents: "FILE:LINE: what is wrong"
};

/// Counts a bad document, and keeps the sentence if it is one of the first.
void note_bad_document(ReadingReport& report, std::string fault);

/// Calls body for every document of the files (folders are walked in the order of names, without hidden
/// files). A document without text is bad unless `text_needed` is false (records of question answering or
/// instructions); so is one that is not UTF-8 or contains a NUL. Reading stops when body returns false.
/// Error: a file is missing or unreadable, damaged zstd or xz (with the offset), a document beyond 1 GiB;
/// with Fail, any bad document.
ReadingReport read_documents(const std::vector<std::filesystem::path>& files, OnBadDocument on_bad,
                             const std::function<bool(Document&&)>& body, bool text_needed = true);

/// Lines of a file that may be compressed: body(line, number from 1), until it returns false.
void read_lines(const std::filesystem::path& file,
                const std::function<bool(std::string_view, int64_t)>& body);

}  // namespace longspan
