#include "data/packing.h"

#include <algorithm>
#include <cassert>
#include <map>

#include "position/training_positions.h"

namespace longspan {

std::vector<Piece> cut(std::span<const int64_t> lengths, int64_t row) {
  assert(row > 0);
  std::vector<Piece> pieces;
  for (size_t i = 0; i < lengths.size(); ++i)
    for (int64_t begin = 0; begin < lengths[i]; begin += row)
      pieces.push_back({static_cast<int64_t>(i), begin, std::min(begin + row, lengths[i])});
  return pieces;
}

std::vector<Piece> overlapping_windows(std::span<const int64_t> lengths, int64_t row) {
  assert(row > 1);
  std::vector<Piece> pieces;
  for (size_t i = 0; i < lengths.size(); ++i)
    for (int64_t begin = 0; begin < lengths[i]; begin += row / 2) {
      int64_t end = std::min(begin + row, lengths[i]);
      pieces.push_back({static_cast<int64_t>(i), begin, end});
      if (end == lengths[i]) break;
    }
  return pieces;
}

namespace {

int64_t documents_in_several_pieces(const std::vector<Piece>& pieces) {
  std::map<int64_t, int64_t> count;
  for (const Piece& piece : pieces) ++count[piece.index];
  return std::count_if(count.begin(), count.end(), [](const auto& c) { return c.second > 1; });
}

}  // namespace

Packing pack(std::vector<Piece> pieces, int64_t row) {
  Packing packing;
  packing.cut_documents = documents_in_several_pieces(pieces);
  std::stable_sort(pieces.begin(), pieces.end(),
                   [](const Piece& a, const Piece& b) { return a.tokens() > b.tokens(); });
  std::map<int64_t, std::vector<size_t>> by_space;  // free tokens -> rows with exactly that many
  int64_t tokens = 0;
  for (const Piece& piece : pieces) {
    assert(piece.tokens() > 0 && piece.tokens() <= row);
    tokens += piece.tokens();
    size_t chosen = packing.rows.size();
    int64_t space = row;
    if (auto fullest = by_space.lower_bound(piece.tokens()); fullest != by_space.end()) {
      space = fullest->first;
      chosen = fullest->second.back();
      fullest->second.pop_back();
      if (fullest->second.empty()) by_space.erase(fullest);
    } else {
      packing.rows.emplace_back();
    }
    packing.rows[chosen].push_back(piece);
    if (space > piece.tokens()) by_space[space - piece.tokens()].push_back(chosen);
  }
  if (!packing.rows.empty())
    packing.efficiency =
        static_cast<double>(tokens) / (static_cast<double>(packing.rows.size()) * static_cast<double>(row));
  return packing;
}

TrainingRow make_row(std::span<const std::vector<int32_t>> pieces, std::span<const std::string> documents) {
  TrainingRow row;
  row.documents.assign(documents.begin(), documents.end());
  for (const std::vector<int32_t>& piece : pieces) {
    int64_t start = row.tokens();
    for (size_t i = 0; i < piece.size(); ++i) {
      bool last = i + 1 == piece.size();
      row.ids.push_back(piece[i]);
      row.positions.push_back(static_cast<double>(i));
      row.starts.push_back(start);
      row.targets.push_back(last ? -1 : piece[i + 1]);
      row.weights.push_back(last ? 0.0f : 1.0f);
    }
  }
  return row;
}

namespace {

/// Gives each document of the row the positions that `positions_of` returns for its number of tokens.
template <typename PositionsOf>
void reposition(TrainingRow& row, PositionsOf positions_of) {
  for (int64_t begin = 0, end = 0; begin < row.tokens(); begin = end) {
    for (end = begin; end < row.tokens() && row.starts[static_cast<size_t>(end)] == begin;) ++end;
    std::vector<double> positions = positions_of(end - begin);
    std::copy(positions.begin(), positions.end(), row.positions.begin() + begin);
  }
}

}  // namespace

void skip_positions(TrainingRow& row, int64_t target, int64_t max_chunks, Random& random) {
  assert(max_chunks > 1);
  reposition(row, [&](int64_t tokens) {
    int64_t chunks = 2 + static_cast<int64_t>(random.below(static_cast<uint64_t>(max_chunks - 1)));
    return pose_positions(tokens, target, chunks, random);
  });
}

void randomise_positions(TrainingRow& row, Random& random) {
  reposition(row, [&](int64_t tokens) { return randomised_positions(tokens, random); });
}

}  // namespace longspan
