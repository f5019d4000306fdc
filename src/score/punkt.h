// Punkt (Kiss and Strunk, "Unsupervised Multilingual Sentence Boundary Detection", 2006) as NLTK's
// sent_tokenize applies it to English: suites that insert or score by sentence depend on every one of its
// decisions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longspan {

/// The sentences of `text`, without the white space between them; none if the text is empty.
std::vector<std::string> punkt_sentences(std::string_view text);

}  // namespace longspan
