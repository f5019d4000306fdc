#include "generate/reading_cost.h"

#include <algorithm>

namespace longspan {

double ReadingCost::seconds(int64_t from, int64_t to) const {
  auto a = static_cast<double>(from), b = static_cast<double>(to);
  return base * (b - a) + slope * (b * b - a * a) / 2;
}

void ReadingTimes::add(int64_t from, int64_t to, double seconds, double weight) {
  auto tokens = static_cast<double>(to - from);
  pieces_.push_back({static_cast<double>(from + to) / 2, seconds / tokens, weight * tokens});
}

ReadingCost ReadingTimes::cost() const {
  double w = 0, place = 0, cost = 0;
  for (const Piece& p : pieces_) w += p.weight, place += p.weight * p.place, cost += p.weight * p.cost;
  if (w == 0) return {};
  place /= w, cost /= w;
  double squares = 0, products = 0, squares0 = 0, products0 = 0;  // about the means, and about zero
  for (const Piece& p : pieces_) {
    squares += p.weight * (p.place - place) * (p.place - place);
    products += p.weight * (p.place - place) * (p.cost - cost);
    squares0 += p.weight * p.place * p.place;
    products0 += p.weight * p.place * p.cost;
  }
  if (squares == 0 || products <= 0) return {cost, 0};
  double slope = products / squares;
  if (cost - slope * place >= 0) return {cost - slope * place, slope};
  return {0, products0 / squares0};
}

ReadingTimes measure_reading(Sequence& sequence, int64_t tokens, bool scored) {
  constexpr int64_t kFarthest = 65536, kWarmUp = 16, kThrice = 100;  // tokens, tokens, chunks
  constexpr double kWeight = 4;                                      // chunks that are read soon outweigh it
  ReadingTimes times;
  int64_t chunk = sequence.chunk();
  if (tokens < kMeasuredChunks * chunk) return times;
  sequence.time_chunk(0, kWarmUp, scored);  // packs the weights
  auto time = [&](int64_t at) {
    std::vector<double> taken(tokens >= kThrice * chunk ? 3 : 1);
    for (double& seconds : taken) seconds = sequence.time_chunk(at, chunk, scored);
    std::sort(taken.begin(), taken.end());
    times.add(at, at + chunk, taken[taken.size() / 2], kWeight);
  };
  int64_t middle = (tokens - chunk) / 2, place = std::min(middle, kFarthest);
  time(place);
  if (place < middle) time(0);
  return times;
}

}  // namespace longspan
