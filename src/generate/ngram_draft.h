// Drafts from the text itself: what followed the last tokens where they occurred before is likely to follow
// again (prompt lookup, Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding). How many tokens are
// worth proposing follows from how often such proposals turned out right, which is counted whether or not
// they were verified: a text that repeats nothing costs a look-up a token and no pass.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace longspan {

/// Where each n-gram of a growing text occurred last. O(1) a token: a table of positions by hash, half empty
/// at least, in which a text that was made to collide loses n-grams instead of time.
class NgramIndex {
 public:
  explicit NgramIndex(int64_t n) : n_(n) {}
  int64_t n() const { return n_; }

  /// The n-gram that ends before text[end], end >= n. To be called for rising ends.
  void add(std::span<const int32_t> text, int64_t end);
  /// The largest end that was added whose n-gram equals the last n tokens of the text; -1 if none is known.
  int64_t find(std::span<const int32_t> text) const;

 private:
  size_t slot(std::span<const int32_t> text, const int32_t* gram) const;
  void grow(std::span<const int32_t> text);

  int64_t n_, added_ = 0;
  std::vector<int32_t> ends_;  // a power of two of them; 0: empty
};

class NgramDraft {
 public:
  /// Most tokens of a proposal: with the token before it, a pass has as few rows as the processor's and the
  /// GPU's products for few rows take (7 and 8).
  static constexpr int64_t kMost = 6;

  /// `row_cost`: time of a further row of a pass, in passes of one row.
  explicit NgramDraft(double row_cost);

  /// The next token of the text. What was proposed for its place is thereby judged.
  void add(int32_t id);
  /// Up to `most` tokens that may follow, as many as promise the most tokens a second; often none. Valid
  /// until the next call.
  std::span<const int32_t> propose(int64_t most);

 private:
  /// How often the token that follows a match of about this length was the right one.
  struct Record {
    double right, all;
  };
  static size_t length_class(int64_t match);
  int64_t match_length(int64_t end) const;
  int64_t best_length(int64_t most) const;

  double row_cost_;
  std::vector<int32_t> text_;
  std::array<NgramIndex, 3> indices_{NgramIndex(8), NgramIndex(4), NgramIndex(2)};  // longest first
  static constexpr size_t kClasses = 6;
  std::array<Record, kClasses> records_;
  std::vector<int32_t> proposal_;  // kMost tokens or none, of which the caller got some
  int64_t match_ = 0;              // tokens before the proposal that agreed
  size_t judged_ = 0;              // of the proposal
};

}  // namespace longspan
