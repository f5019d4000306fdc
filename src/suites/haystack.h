// Haystacks: long texts in which something is hidden. They are cut only at the ends of sentences, before the
// white space that follows, so that the text before a cut has the same token ids whatever comes after it:
// prompts from one haystack share prefixes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/documents.h"
#include "suites/cases.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

/// Documents of the built-in "haystack/NAME", or else of the user's file or folder, in any form that corpora
/// have. Error when there is no text.
std::vector<std::string> haystack_documents(const std::string& name, const TextReading& how = {});

/// read_documents() of the user's files; the first bad document is an Error.
void read_user_documents(const std::vector<std::filesystem::path>& files, const TextReading& how,
                         const std::function<bool(Document&&)>& body);

struct Haystack {
  std::string text;             // the documents, repeated until it is long enough
  std::vector<size_t> ends;     // bytes at which a sentence ends, ascending; the first is 0
  std::vector<int64_t> tokens;  // [ends] of the text up to there
  int64_t times = 1;            // how often the documents were started

  /// Index of the last end with at most so many tokens.
  size_t end_at(int64_t most_tokens) const;
};

/// At least `tokens` tokens long. Each sentence is counted separately, after a full stop, so that the count
/// of the whole may differ by a few tokens.
Haystack make_haystack(const std::vector<std::string>& documents, const Tokenizer& tokenizer, int64_t tokens);

}  // namespace longspan
