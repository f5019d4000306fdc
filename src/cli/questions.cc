#include "cli/questions.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "documents/document.h"

namespace longspan::cli {

namespace {

bool is_a_question(const std::string& word) {
  return word.find_first_of(" \t\n") != word.npos || word.ends_with('?') || word.ends_with("？");
}

/// A line of --questions.
std::string question_of(const std::string& line, const std::string& where) {
  if (!line.starts_with('{')) return line;
  Json record = parse_json(line, where);
  auto found = record.find("question");
  if (found == record.end() || !found->is_string())
    fail("{}: the object has no text under \"question\"", where);
  return found->get<std::string>();
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

std::vector<std::string> read_questions(const std::string& file, const std::string& encoding) {
  std::vector<std::string> questions;
  std::string text = documents::read_document(std::filesystem::path(file), encoding).text;
  int64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size()), first = text.find_first_not_of(" \t\r", at);
    ++number;
    if (first < end) {
      size_t last = text.find_last_not_of(" \t\r", end - 1);
      questions.push_back(
          question_of(text.substr(first, last + 1 - first), fmt::format("{}, line {}", file, number)));
    }
    at = end + 1;
  }
  if (questions.empty()) fail("{}: holds no question", file);
  return questions;
}

}  // namespace longspan::cli
