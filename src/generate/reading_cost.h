// How long reading takes. A token at place n attends over n others, so it costs a + b n seconds: the mean
// speed so far says little about a long text. Both numbers are measured on the model itself: one chunk far
// inside the text before it is read, then every chunk that is read.
#pragma once

#include <cstdint>
#include <vector>

#include "generate/sequence.h"

namespace longspan {

/// Seconds of a token at place n: base + slope n.
struct ReadingCost {
  double base = 0, slope = 0;

  /// Of the tokens at places from .. to - 1.
  double seconds(int64_t from, int64_t to) const;
};

/// Least squares over pieces of texts, each with the weight of its tokens; neither number is negative.
class ReadingTimes {
 public:
  /// Tokens from .. to - 1 took so long; from < to. `weight`: as if it had been measured so many times.
  void add(int64_t from, int64_t to, double seconds, double weight = 1);
  bool empty() const { return pieces_.empty(); }
  /// With one piece its own mean, at every place. Zero without any.
  ReadingCost cost() const;

 private:
  struct Piece {
    double place, cost, weight;
  };
  std::vector<Piece> pieces_;
};

/// Measures a chunk in the middle of a text of `tokens` tokens, whose cost is that of the mean token, or
/// nearer to the beginning where the text is so long that this would take too much time, and then one at the
/// beginning as well. From 100 chunks on each is timed three times and the median counts, so that what
/// another program does at that moment is not taken for the speed of an hour. The keys before the chunk are
/// those of one page of made-up tokens over and over; the sequence must be empty and declared for that
/// length, and is empty again afterwards. `scored`: with the logits of all tokens. Nothing is measured of a
/// text of less than kMeasuredChunks chunks.
ReadingTimes measure_reading(Sequence& sequence, int64_t tokens, bool scored);
constexpr int64_t kMeasuredChunks = 8;

}  // namespace longspan
