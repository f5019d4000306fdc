// Reading of text as people have it: .txt, .md and source files (one document each), .jsonl (one document a
// line), either with .zst or .xz behind it. Documents stream by: no file is held in memory. A bad line is
// named by file and number and skipped or fatal, by choice.
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
  std::string id = {};    // field "id"; FILE:LINE where there is none
  /// Field "class"; else the file's name up to its first point, or, for a text file found by walking a
  /// folder, the name of the folder that it lies in.
  std::string category;
  Json fields = {};  // the line's fields but text and id (lang, qas, instruction, ...); null for plain text
  std::filesystem::path file;
  int64_t line = 0;  // 1 is the first; 0: the file is the document
  double part = 0;   // of the bytes of all files that were read when this document was whole: for progress
};

enum class OnBadDocument { Skip, Fail };

struct ReadingReport {
  int64_t documents = 0;
  int64_t bad = 0;
  std::vector<std::string> faults;  // of the first 100 bad ones, "FILE:LINE: what is wrong"
};

/// Counts a bad document, and keeps the sentence if it is one of the first.
void note_bad_document(ReadingReport& report, std::string fault);

/// Calls body for every document of the files (folders are walked in the order of names, without hidden
/// files). A document without text is bad unless `text_needed` is false (records of question answering or
/// instructions), and so is one that is not UTF-8 or holds a NUL. False from body ends the reading. Error:
/// file missing or unreadable, damaged zstd or xz (with the offset), a document beyond 1 GiB; a bad document
/// when Fail.
ReadingReport read_documents(const std::vector<std::filesystem::path>& files, OnBadDocument on_bad,
                             const std::function<bool(Document&&)>& body, bool text_needed = true);

/// Lines of a file that may be compressed. body(line, number from 1); false ends.
void read_lines(const std::filesystem::path& file,
                const std::function<bool(std::string_view, int64_t)>& body);

}  // namespace longspan
