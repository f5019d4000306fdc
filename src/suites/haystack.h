// Haystacks: long texts in which something is hidden. They are cut only where sentences end and before the
// white space there, so that what stands before a cut has the same token ids whatever follows it: prompts of
// one haystack share their beginnings.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace longspan {

/// Documents of "haystack/NAME" of the program's own, or else of a file or folder of the user's (.txt, .md,
/// .jsonl, packed or not). Error when there is no text.
std::vector<std::string> haystack_documents(const std::string& name);

struct Haystack {
  std::string text;             // the documents, again and again until it is long enough
  std::vector<size_t> ends;     // bytes at which a sentence ends, ascending; the first is 0
  std::vector<int64_t> tokens;  // [ends] that the text has up to there
  int64_t times = 1;            // that the documents were begun

  /// Index of the last end with at most so many tokens.
  size_t end_at(int64_t most_tokens) const;
};

/// At least `tokens` tokens long. Each sentence is counted by itself behind a full stop, so that the whole
/// may differ by a few tokens.
Haystack make_haystack(const std::vector<std::string>& documents, const Tokenizer& tokenizer, int64_t tokens);

}  // namespace longspan
