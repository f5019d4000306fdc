// Packs documents into rows of a fixed length: best-fit decreasing (Ding 2024, arXiv 2404.10830: a document
// is cut only when it is longer than a row), with attention and positions reset at document boundaries. Also
// the ways to use one document: whole pieces, the half-overlapping windows of Giraffe (arXiv 2308.10882),
// rows with skipped positions (PoSE, arXiv 2309.10400) and randomised positions.
#pragma once

#include <span>
#include <vector>

#include "base/random.h"
#include "data/row.h"

namespace longspan {

/// A piece of a document: document `index` of some list, tokens [begin, end).
struct Piece {
  int64_t index = 0, begin = 0, end = 0;
  int64_t tokens() const { return end - begin; }
};

/// Cuts documents longer than `row` into pieces of at most `row` tokens.
std::vector<Piece> cut(std::span<const int64_t> lengths, int64_t row);
/// Windows of `row` tokens, each beginning `row / 2` tokens after the previous one; the last may be shorter.
std::vector<Piece> overlapping_windows(std::span<const int64_t> lengths, int64_t row);

struct Packing {
  std::vector<std::vector<Piece>> rows;
  double efficiency = 0;      // tokens / (rows * row length)
  int64_t cut_documents = 0;  // documents that lie in more than one piece
};
/// Best fit: longest pieces first, each into the fullest row that still has room for it. O(n log n).
Packing pack(std::vector<Piece> pieces, int64_t row);

/// The row of pieces: `ids` of each piece in order; targets are the next token of the same piece, weight 1;
/// the last token of a piece predicts nothing. Positions count 0, 1, ... within each piece.
TrainingRow make_row(std::span<const std::vector<int32_t>> pieces, std::span<const std::string> documents);

/// PoSE: cuts the row's positions at 1 to max_chunks - 1 random places and
/// skips ahead at each so that the largest position stays below `target`.
void skip_positions(TrainingRow& row, int64_t target, int64_t max_chunks, Random& random);
/// Replaces the positions of each document of the row by Giraffe's randomised positions.
void randomise_positions(TrainingRow& row, Random& random);

}  // namespace longspan
