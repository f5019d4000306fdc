// What a model is given to read of the passages found: the best ones that fit, in the order of their
// documents, what overlaps or follows each other joined, each part under a line that says where it is from.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "retrieval/search.h"

namespace longspan::retrieval {

/// A part of a document: one passage, or several that follow each other.
struct Source {
  std::string path;
  int64_t document = 0, begin = 0, end = 0;  // bytes of its text
  int64_t line = 0, last_line = 0, page = 0, chapter = 0;
  double score = 0;  // of its best passage
  int64_t passages = 0;
  std::string text;
};

/// In the order of documents and of their texts.
std::vector<Source> join(std::span<const Hit> hits);

/// "report.pdf, page 3, lines 40-61". The path is relative to the current folder where it lies below it.
std::string place_of(const Source& source);
std::string place_of(const StoredPassage& passage);
std::string shown_path(const std::string& path);

/// Each part behind a line "[number: place]", numbers from 1; blank lines between them.
std::string context_text(std::span<const Source> sources);

/// Tokens of passages that a prompt gets where nobody says, and the window has room for them: reading more
/// takes long on a processor.
constexpr int64_t kDefaultBudget = 16384;

/// The parts made of the best hits whose context_text has at most `budget` tokens by `count`: hits are taken
/// in their order as long as all of them fit. Empty when not even the first does.
std::vector<Source> choose(std::span<const Hit> hits, int64_t budget,
                           const std::function<int64_t(const std::string&)>& count);

}  // namespace longspan::retrieval
