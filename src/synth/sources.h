// What synthetic records are made of: texts read once into memory, their sentences, and stretches of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "synth/synth.h"

namespace longspan {

struct SourceQuestion {
  std::string question, answer;
};

/// A document, an article with its questions, a source file, or an instruction (text) with its answer.
struct SourceText {
  std::string id;
  std::string language;  // en, zh, or something else that is left alone; "" for code
  std::string group;     // code: the collection that the file is part of
  std::string text;
  std::vector<SourceQuestion> questions;
  size_t headings = 0;  // of a document
};

struct SynthSources {
  std::vector<SourceText> documents, questions, code, instructions;

  /// Those that a kind's `needs` names.
  const std::vector<SourceText>& of(const std::string& needs) const;
  int64_t bytes(const std::string& needs, const std::string& language) const;
};

/// Bad documents are skipped. A code document of several files ("# ===== file: NAME =====" before each) is
/// taken apart. Error when the texts of one input together exceed 4 GiB.
SynthSources read_sources(const SynthJob& job);

/// Where the piece of text that begins at `at` ends, white space behind it included: a paragraph, or a
/// sentence of at least `least` bytes; at the latest 4,096 bytes on, between words. at < text.size().
size_t piece_end(std::string_view text, size_t at, size_t least);

struct Sentence {
  size_t begin = 0, end = 0;  // bytes, without white space around
  bool joined = false;        // only white space within the paragraph stands before the next sentence
};
/// Sentences of one line.
std::vector<Sentence> sentences(std::string_view text);

/// Lines that are headings of chapters or sections: "Chapter 3", "# Title", "4.1. Title", "第三回 ...".
std::vector<Sentence> headings(std::string_view text);

/// The text with no white space at either end.
std::string_view stripped(std::string_view text);

}  // namespace longspan
