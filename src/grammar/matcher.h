// Holding a text to a grammar while it is written: which tokens may come next, and what the one that came
// makes of the text. The text so far is a set of places in the grammar's network, each with the stack of the
// calls around it; sets, stacks, steps by a class of bytes and masks of tokens are kept, so that a state that
// was seen before costs a look-up.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/network.h"
#include "grammar/token_trie.h"

namespace longspan {

/// What a grammar from outside may cost.
struct MatcherLimits {
  int64_t places = 20000;                 // of a state: ways to read the text; more are an Error
  int64_t steps = int64_t{1} << 25;       // through nodes for one mask; more are an Error
  int64_t kept_bytes = int64_t{1} << 26;  // of states: beyond, all but the present one are forgotten
  int64_t most_bytes = int64_t{1} << 28;  // of states that one mask needs; more are an Error
  int64_t mask_bytes = int64_t{1} << 26;  // of masks that are kept
};

/// The states of texts under one grammar, by number. Not thread-safe.
class GrammarStates {
 public:
  static constexpr int32_t kDead = 0;

  explicit GrammarStates(std::shared_ptr<const Grammar> grammar, const MatcherLimits& limits = {});

  /// Of the empty text.
  int32_t start() const { return start_; }
  /// After one more byte; kDead where no text of the grammar goes on with it. Error when the state would have
  /// more places than the limit.
  int32_t step(int32_t state, uint8_t byte) {
    int32_t next = steps_[static_cast<size_t>(state) * classes_ + grammar_->class_of[byte]];
    return next >= 0 ? next : make_step(state, byte);
  }
  /// Whether the text may end here.
  bool complete(int32_t state) const { return states_[static_cast<size_t>(state)].complete; }
  /// Whether any byte may follow.
  bool goes_on(int32_t state) const { return states_[static_cast<size_t>(state)].count > 0; }

  /// Between two masks: forgets every state but this one when they hold more memory than the limit. Returns
  /// its number, which is another one when forgotten() has grown, as all numbers are.
  int32_t within_limits(int32_t state);
  int64_t forgotten() const { return forgotten_; }

 private:
  struct Place {
    int32_t node, frame;
    auto operator<=>(const Place&) const = default;
  };
  struct Frame {
    int32_t node, parent;  // where the rule that was called goes on, and within which calls
  };
  struct State {
    int64_t first = 0;  // of its places
    int32_t count = 0;
    bool complete = false;
  };

  int32_t make_step(int32_t state, uint8_t byte);
  int32_t frame(int32_t node, int32_t parent);
  /// Adds all places that are reached from this one without a byte.
  void spread(Place from);
  /// The state of what was spread since the last call.
  int32_t keep_state();
  bool first_time(Place place);
  void clear();
  int64_t bytes() const;

  std::shared_ptr<const Grammar> grammar_;
  MatcherLimits limits_;
  size_t classes_;
  std::vector<Place> places_;  // of all states, one after the other
  std::vector<State> states_;
  std::vector<int32_t> steps_;  // [states, classes]; -1: not known yet
  std::unordered_multimap<uint64_t, int32_t> by_hash_;
  std::vector<Frame> frames_;  // the first is the bottom
  std::unordered_map<uint64_t, int32_t> frame_numbers_;
  int32_t start_ = 0;
  int64_t forgotten_ = 0;

  // Of the state that is being made.
  struct Seen {
    Place place;
    uint32_t round;
  };
  std::vector<Place> work_, found_;
  std::vector<Seen> seen_;  // a hash table with open addressing; entries of earlier rounds are free
  int64_t seen_count_ = 0, spent_ = 0;
  uint32_t round_ = 0;
  bool complete_ = false;
};

/// One text under a grammar, token by token.
class GrammarMatcher {
 public:
  /// `ends`: tokens that end this answer beside those of the vocabulary.
  GrammarMatcher(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> tokens,
                 std::vector<int32_t> ends = {}, const MatcherLimits& limits = {});

  /// Bit id % 64 of word id / 64: whether the token may come next. Tokens that end an answer may where the
  /// text is complete. Valid until the next call. Error as GrammarStates::step, and when no token may.
  std::span<const uint64_t> allowed();
  /// -inf to the logits of all tokens that may not come next, and of rows that are no token's.
  void mask(std::span<float> logits);
  /// What sample() should have taken where it took a token that is not allowed (of logits without a number):
  /// the first one that is.
  int32_t nearest_allowed(int32_t id);

  /// The text goes on with this token, which is allowed. Tokens that end an answer change nothing.
  void accept(int32_t id);

  /// Whether the text is one of the grammar's.
  bool complete() const { return states_.complete(state_); }
  /// Whether it is one and no longer text begins with it: the answer is over.
  bool finished() const { return complete() && !states_.goes_on(state_); }

 private:
  std::vector<uint64_t> make_mask();

  std::shared_ptr<const TokenTrie> tokens_;
  std::vector<int32_t> ends_;
  GrammarStates states_;
  int32_t state_;
  std::unordered_map<int32_t, std::vector<uint64_t>> masks_;
  int64_t mask_bytes_ = 0, masks_of_ = 0;  // masks_of_: states_.forgotten() that they belong to
  MatcherLimits limits_;
  std::vector<int32_t> path_;  // states after the bytes above a node of the trie
};

}  // namespace longspan
