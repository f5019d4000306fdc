// Cuts a text into passages that an embedder can read: at headings, paragraphs, sentences and lines, in this
// order of preference, with some overlap, so that what stands at a border stands whole in one of the two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "documents/place.h"

namespace longspan::retrieval {

struct Cutting {
  int64_t tokens = 256;  // of a passage, at most
  int64_t overlap = 32;  // of what a passage repeats of the one before, at most; 0: none
};

struct Passage {
  size_t begin = 0, end = 0;        // bytes of the text
  int64_t line = 1, last_line = 1;  // from 1
  documents::Place place = {};      // of its first byte
};

/// Tokens of a part of the text, without special ones.
using CountTokens = std::function<int64_t(std::string_view)>;

/// Passages in their order: the first begins at the first byte that is not white space, and each reaches at
/// least to the beginning of the next, but for white space that would fill a passage alone. A passage begins
/// at a heading where the one before has at least a quarter of its tokens; otherwise it ends at the strongest
/// border of its second half. Blocks of code (``` or ~~~) are cut between lines. What no border divides is
/// cut between characters. A token counts for at most kMostTokenBytes bytes, whatever `count` says.
std::vector<Passage> cut_passages(std::string_view text, const Cutting& cutting, const CountTokens& count);
constexpr int64_t kMostTokenBytes = 32;

}  // namespace longspan::retrieval
