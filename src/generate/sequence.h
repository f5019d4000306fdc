// Sequence: one text on an engine, with its cache. A sequence declares its length when it starts: that fixes
// its frequencies for life, so that feeding a text at once, in chunks or token by token gives the same logits
// (length-dependent methods included). Only length=current breaks this on purpose: each feed takes the
// frequencies of the text so far while older keys keep theirs, as transformers' generate and XVERSE's
// released code do.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "generate/engine.h"
#include "generate/sampler.h"

namespace longspan {

class Sequence {
 public:
  /// `declared_length`: tokens that the text may reach. A method that depends on the length uses it, unless
  /// --position gave length=. The engine must outlive the sequence.
  Sequence(const Engine& engine, int64_t declared_length);
  /// Under another position method than the engine's, or in a pool that it shares with other sequences (null:
  /// its own pool).
  Sequence(const Engine& engine, int64_t declared_length, const PositionConfig& position,
           std::shared_ptr<KvPool> pool = nullptr);

  /// Feeds ids in chunks; afterwards logits() is for the last one. False when progress asked to stop (what
  /// was fed until then stays). Error when the declared length is exceeded.
  bool feed(std::span<const int32_t> ids, const Progress& progress = {}) { return feed(ids, progress, {}); }
  /// The same, and calls `observer` at each layer of each pass.
  bool feed(std::span<const int32_t> ids, const Progress& progress, const AttentionObserver& observer);
  /// Feeds ids in chunks; nobody wants logits.
  void read_on(std::span<const int32_t> ids);
  /// The same, and calls `observer` at each layer of each pass.
  void observe(std::span<const int32_t> ids, const AttentionObserver& observer);
  /// Feeds a few ids; afterwards logits_after(n) is there for each of them.
  void feed_each(std::span<const int32_t> ids);

  /// Feeds ids and appends log p(ids[i] | all before it), natural log, for from <= i < n (from >= 1: what was
  /// fed before does not predict the first). False when progress asked to stop: `out` then holds those
  /// computed.
  bool score(std::span<const int32_t> ids, std::vector<float>& out, const Progress& progress = {},
             size_t from = 1);
  /// Seconds that score() spent on the logits of the tokens it scored; the rest of its time was spent on
  /// reading.
  double head_seconds() const { return head_seconds_; }

  /// Seconds of a pass over `rows` tokens behind `place` others, whose keys and values are those of one page
  /// of made-up tokens over and over; with the logits of all rows when `scored`. The sequence must be empty,
  /// and is empty afterwards.
  double time_chunk(int64_t place, int64_t rows, bool scored);
  /// Tokens of a pass, at most.
  int64_t chunk() const { return buffers_.rows; }

  /// Keeps what the text so far has in common with the beginning of `ids`, in whole multiples of `multiple`
  /// tokens and never all of ids (its last token must be fed to have logits), forgets the rest, and returns
  /// how many tokens that is: those that need not be fed.
  int64_t keep_prefix(std::span<const int32_t> ids, int64_t multiple = 1);

  /// Makes an empty sequence hold `ids`, whose keys and values another sequence computed under an equal spec:
  /// the caller writes them to the pages of cache(). Error when the declared length is exceeded.
  void adopt(std::span<const int32_t> ids);

  /// Goes on with ids whose keys and values are the first of a page that other sequences under an equal spec
  /// hold, too. The sequence is a multiple of kPageTokens tokens long. Error when the declared length is
  /// exceeded.
  void share(std::span<const int32_t> ids, int32_t page);

  /// [V] after the last token fed.
  std::span<float> logits() { return std::span(logits_).last(std::min(logits_.size(), vocabulary())); }
  /// [V] after the first n tokens, the last of which came with the last feed_each.
  std::span<float> logits_after(size_t n) {
    return std::span(logits_).last((ids_.size() - n + 1) * vocabulary()).first(vocabulary());
  }
  /// Forgets all but the first n tokens, and their logits. What was evicted comes back when n is no more than
  /// there were then.
  void truncate(int64_t n);

  /// Goes on with some of the tokens' keys and values only, as KvCache::keeping; the others wait for
  /// restore().
  void evict(const std::vector<std::vector<int32_t>>& rows);
  /// All keys and values again, without the tokens that came after the eviction. Without effect when there
  /// was none.
  void restore();
  const std::vector<int32_t>& ids() const { return ids_; }
  int64_t declared_length() const { return declared_; }
  const PositionSpec& spec() const { return spec_; }
  const PositionConfig& position() const { return position_; }
  const KvCache& cache() const { return cache_; }
  const Engine& engine() const { return engine_; }

 private:
  friend void feed_together(std::span<Sequence* const> sequences,
                            std::span<const std::span<const int32_t>> ids);
  bool read_ids(std::span<const int32_t> ids, Reading reading);
  /// Feeds ids and keeps the logits after ids[from] and all that follow it.
  bool feed_from(size_t from, std::span<const int32_t> ids, const Progress& progress,
                 const AttentionObserver& observer = {});
  size_t vocabulary() const { return static_cast<size_t>(engine_.config().vocab_size); }
  /// Start of every feed: checks the declared length, and takes the new frequencies of length=current.
  void prepare(size_t more);
  void took(std::span<const int32_t> ids);

  const Engine& engine_;
  PositionConfig position_;
  int64_t declared_;
  PositionSpec spec_;
  KvCache cache_;
  std::optional<KvCache> whole_;  // of the tokens before an eviction
  Activations& buffers_;  // of the engine's steps; length=current changes frequencies, not what they need
  std::vector<int32_t> ids_;
  std::vector<float> logits_;  // [n, V] after the last n tokens
  double head_seconds_ = 0;
};

/// Feeds ids[s] (not empty) to sequences[s], all in the same steps: chunks of prompts and single tokens
/// together, at most the engine's chunk of tokens a step. The sequences share a pool and a position method.
/// Afterwards logits() of each is for its last token. Error when a declared length is exceeded.
void feed_together(std::span<Sequence* const> sequences, std::span<const std::span<const int32_t>> ids);

enum class StopReason { Length, EndToken, StopString, Interrupted };

struct Generation {
  std::vector<int32_t> ids;  // without the end token
  std::string text;          // valid UTF-8, without the stop string
  StopReason reason = StopReason::Length;
  double seconds = 0;                 // decoding, without what was fed before
  int64_t drafted = 0, accepted = 0;  // tokens that were proposed and verified; of them those that were right
};

/// Samples up to max_tokens tokens after what the sequence was fed. on_text receives text as soon as it is
/// whole UTF-8 and cannot be the beginning of a stop string; returning false interrupts. Drafts (Drafts, of
/// the engine's options) change how many passes that takes, and neither the text nor what the sequence holds
/// afterwards: every token is drawn from the logits and with the random number that it has without them.
/// Under a grammar (SamplingOptions) every token is one that it allows, and the answer ends where nothing may
/// follow; Error as GrammarMatcher::allowed.
Generation generate(Sequence& sequence, const Engine& engine, int64_t max_tokens,
                    const SamplingOptions& sampling,
                    const std::function<bool(std::string_view)>& on_text = {});

}  // namespace longspan
