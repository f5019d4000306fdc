#include "generate/ngram_draft.h"

#include <algorithm>
#include <cassert>

namespace longspan {

namespace {

constexpr size_t kLeastSlots = 1024, kProbes = 8;
/// Tokens before a match that are compared: beyond, its length tells nothing more.
constexpr int64_t kLongestMatch = 16;
/// What an earlier judgement weighs against the next one of its class.
constexpr double kMemory = 0.95;

}  // namespace

/// Where the n-gram is or belongs: its own slot or an empty one; where there is neither nearby, the first.
size_t NgramIndex::slot(std::span<const int32_t> text, const int32_t* gram) const {
  uint64_t hash = 0;
  for (int64_t i = 0; i < n_; ++i) {
    hash = (hash ^ static_cast<uint32_t>(gram[i])) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  size_t mask = ends_.size() - 1, first = static_cast<size_t>(hash) & mask;
  for (size_t i = 0; i < kProbes; ++i) {
    size_t at = (first + i) & mask;
    if (ends_[at] == 0 || std::equal(gram, gram + n_, text.data() + ends_[at] - n_)) return at;
  }
  return first;
}

void NgramIndex::grow(std::span<const int32_t> text) {
  ends_.assign(std::max(kLeastSlots, 2 * ends_.size()), 0);
  for (int64_t end = n_; end <= added_; ++end)
    ends_[slot(text, text.data() + end - n_)] = static_cast<int32_t>(end);
}

void NgramIndex::add(std::span<const int32_t> text, int64_t end) {
  assert(end >= n_ && end <= std::ssize(text));
  if (2 * end > std::ssize(ends_)) grow(text);
  ends_[slot(text, text.data() + end - n_)] = static_cast<int32_t>(end);
  added_ = end;
}

int64_t NgramIndex::find(std::span<const int32_t> text) const {
  if (std::ssize(text) < n_ || ends_.empty()) return -1;
  const int32_t* last = text.data() + std::ssize(text) - n_;
  int64_t end = ends_[slot(text, last)];
  return end > 0 && std::equal(last, last + n_, text.data() + end - n_) ? end : -1;
}

// Before anything is judged: near the shares that were right in answers about documents, each worth few
// judgements (bench/results/2026-11-28-drafts.md).
NgramDraft::NgramDraft(double row_cost)
    : row_cost_(row_cost), records_{{{1, 4}, {1, 3}, {1, 2}, {3, 4}, {7, 8}, {15, 16}}} {
  proposal_.reserve(kMost);
}

/// Matches of 2, 3, 4, 5 to 7, 8 to 15, and 16 and more tokens.
size_t NgramDraft::length_class(int64_t match) {
  static constexpr int64_t kLeast[kClasses] = {2, 3, 4, 5, 8, 16};
  size_t i = kClasses - 1;
  while (i > 0 && match < kLeast[i]) --i;
  return i;
}

void NgramDraft::add(int32_t id) {
  if (judged_ < proposal_.size()) {
    bool right = proposal_[judged_] == id;
    Record& record = records_[length_class(match_ + static_cast<int64_t>(judged_))];
    record = {kMemory * record.right + right, kMemory * record.all + 1};
    judged_ = right ? judged_ + 1 : proposal_.size();
  }
  text_.push_back(id);
  // The n-gram before the token: only now is there something that follows it.
  int64_t end = std::ssize(text_) - 1;
  for (NgramIndex& index : indices_)
    if (end >= index.n()) index.add(text_, end);
}

int64_t NgramDraft::match_length(int64_t end) const {
  int64_t size = std::ssize(text_), most = std::min(end, kLongestMatch), n = 0;
  while (n < most && text_[static_cast<size_t>(end - 1 - n)] == text_[static_cast<size_t>(size - 1 - n)]) ++n;
  return n;
}

/// A pass over k proposed tokens takes 1 + k c passes of one token and gives 1 + p1 + p1 p2 + ... tokens
/// (Leviathan 2023, arXiv 2211.17192, theorem 3.8, with p by the length of the match and drafts that cost
/// nothing).
int64_t NgramDraft::best_length(int64_t most) const {
  int64_t best = 0;
  double best_rate = 1, tokens = 1, all_right = 1;
  for (int64_t k = 1; k <= most; ++k) {
    const Record& record = records_[length_class(match_ + k - 1)];
    all_right *= record.right / record.all;
    tokens += all_right;
    double rate = tokens / (1 + row_cost_ * static_cast<double>(k));
    if (rate > best_rate) best = k, best_rate = rate;
  }
  return best;
}

std::span<const int32_t> NgramDraft::propose(int64_t most) {
  proposal_.clear();
  judged_ = 0;
  int64_t end = -1;
  for (const NgramIndex& index : indices_)
    if ((end = index.find(text_)) >= 0) break;
  if (end < 0) return {};
  match_ = match_length(end);
  // Where the match reaches to the end of the text, the text is a repetition, which goes on.
  int64_t period = std::ssize(text_) - end;
  for (int64_t i = 0; i < kMost; ++i) proposal_.push_back(text_[static_cast<size_t>(end + i % period)]);
  return std::span(proposal_).first(static_cast<size_t>(best_length(std::min(most, kMost))));
}

}  // namespace longspan
