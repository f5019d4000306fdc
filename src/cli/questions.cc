#include "cli/questions.h"

#include <algorithm>

namespace longspan::cli {

namespace {

bool is_a_question(const std::string& word) {
  return word.find_first_of(" \t\n") != word.npos || word.ends_with('?') || word.ends_with("？");
}

}  // namespace

std::vector<std::string> typed_questions(const std::vector<std::string>& words,
                                         const std::vector<std::string>& given) {
  std::vector<std::string> questions;
  if (std::all_of(words.begin(), words.end(), is_a_question)) {
    questions = words;
  } else {
    for (const std::string& word : words)
      if (questions.empty())
        questions.push_back(word);
      else
        questions.back() += " " + word;
  }
  questions.insert(questions.end(), given.begin(), given.end());
  return questions;
}

}  // namespace longspan::cli
