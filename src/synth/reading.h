// Questions that real sentences answer. An article's questions are tied to the sentence that answers them, so
// that it can be hidden elsewhere. Of novels, sentences become questions by small changes that keep them
// good English: the subject becomes "Who", also through the pronoun of the next sentence; a quotation is
// asked for its speaker. What is not certain is left out: better few questions than wrong ones. English only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "synth/sources.h"

namespace longspan {

/// The passages of an article that answer one of its questions: a sentence that can stand alone, or one that
/// begins with a pronoun or the like together with those before it, three sentences at most. They hold the
/// answer once, in the last sentence, and share two content words with the question.
std::vector<NaturalFact> natural_facts(const SourceText& article);

enum class ReadingKind { Subject, Negation, Pronoun, Speaker };
constexpr int kReadingKinds = 4;
struct ReadingQuestion {
  ReadingKind kind = ReadingKind::Subject;
  std::string question, answer, sentence;  // the answer bare and as a sentence
  size_t at = 0;                           // byte of the text where what answers it begins
};
/// In the order of the text; no question twice, and none whose sentence occurs twice.
std::vector<ReadingQuestion> reading_questions(std::string_view text);

}  // namespace longspan
