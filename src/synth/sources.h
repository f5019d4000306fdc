// The raw material of synthetic records: texts, read into memory once, and how they divide into pieces,
// sentences and headings.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "synth/synth.h"

namespace longspan {

struct SourceQuestion {
  std::string question, answer;
};

/// A document, an article with its questions, a source file, or an instruction (`text`) with its answer.
struct SourceText {
  std::string id;
  std::string language;  // "en" or "zh"; texts in other languages are not used; "" for code
  std::string group;     // code: the collection that the file belongs to
  std::string text;
  std::vector<SourceQuestion> questions;
  size_t headings = 0;  // of a document
};

/// A sentence that answers a question, and the passage that ends with it and is hidden (reading.h).
struct NaturalFact {
  std::string passage, sentence, question, answer;
};

struct SynthSources {
  std::vector<SourceText> documents, questions, code, instructions;
  std::vector<NaturalFact> natural;  // of the questions' articles, where the job asks for them
  ReadingReport reading;

  /// The texts that `needs` of a kind names.
  const std::vector<SourceText>& of(const std::string& needs) const;
  int64_t bytes(const std::string& needs, const std::string& language) const;
};

/// Bad documents are skipped. A code document that consists of several files, each introduced by the line
/// "# ===== file: NAME =====", is split into them. Error when the texts of one input exceed 4 GiB in total.
SynthSources read_sources(const SynthJob& job);

/// Where the piece of text that begins at `at` ends, including the white space after it. A piece is a
/// paragraph, or sentences of at least `least` bytes; it ends after 4,096 bytes at the latest, between words.
/// Requires at < text.size().
size_t piece_end(std::string_view text, size_t at, size_t least);

struct Sentence {
  size_t begin = 0, end = 0;  // bytes, without surrounding white space
  bool joined = false;        // the next sentence follows in the same paragraph
};
/// The sentences that lie on one line each.
std::vector<Sentence> sentences(std::string_view text);

/// Lines that are headings of chapters or sections: "Chapter 3", "# Title", "4.1. Title", "第三回 ...".
std::vector<Sentence> headings(std::string_view text);

/// The text without white space at either end.
std::string_view stripped(std::string_view text);

}  // namespace longspan
