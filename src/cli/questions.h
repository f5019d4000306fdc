// Questions as people type them.
#pragma once

#include <string>
#include <vector>

namespace longspan::cli {

/// `words` is what stands behind MODEL on the command line, `given` comes from -Q. Words that are questions
/// each (every one holds a blank, as only quotes give, or ends in a question mark) stay apart; other words
/// are one question that was typed without quotes: `ask smollm2 -f x Who wrote it`.
std::vector<std::string> typed_questions(const std::vector<std::string>& words,
                                         const std::vector<std::string>& given);

/// The questions of a file (--questions; "-" is standard input), one a line: the question itself, or a JSON
/// object with "question". Error when there is none, or when an object has none.
std::vector<std::string> read_questions(const std::string& file, const std::string& encoding);

}  // namespace longspan::cli
