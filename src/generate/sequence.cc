// Feeding, scoring and continuing one text; feeding several together.
#include "generate/sequence.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <optional>
#include <utility>

#include "base/error.h"
#include "generate/answer_text.h"
#include "generate/ngram_draft.h"
#include "grammar/matcher.h"

namespace longspan {

namespace {

/// Tokens that a pool of its own holds: whole pages of a text and of what is kept of it.
int64_t room(const Engine& engine, int64_t declared_length) {
  const Eviction& eviction = engine.options().eviction;
  return eviction.keep == 0 ? declared_length : declared_length + eviction.keep + 2 * kPageTokens;
}

}  // namespace

Sequence::Sequence(const Engine& engine, int64_t declared_length)
    : Sequence(engine, declared_length, engine.config().position) {}

Sequence::Sequence(const Engine& engine, int64_t declared_length, const PositionConfig& position,
                   std::shared_ptr<KvPool> pool)
    : engine_(engine),
      position_(position),
      declared_(declared_length),
      spec_(position_spec(position, engine.config().head_shape(), declared_length)),
      cache_(pool ? std::move(pool) : engine.make_pool(key_copies(spec_), room(engine, declared_length))),
      buffers_(engine.step_buffers(spec_)) {}

void Sequence::prepare(size_t more) {
  auto length = static_cast<int64_t>(ids_.size() + more);
  if (length > declared_)
    fail("the text grew to {} tokens, but the sequence was declared for {}; ask for a longer context", length,
         declared_);
  if (keys_depend_on_history(position_))
    spec_ = position_spec(position_, engine_.config().head_shape(), length);
}

void Sequence::took(std::span<const int32_t> ids) { ids_.insert(ids_.end(), ids.begin(), ids.end()); }

bool Sequence::read_ids(std::span<const int32_t> ids, Reading reading) {
  prepare(ids.size());
  int64_t before = cache_.length();
  auto taken = [&] { return static_cast<size_t>(cache_.length() - before); };
  try {
    bool whole = read(engine_.model(), cache_, spec_, ids, buffers_, reading);
    took(ids.first(taken()));
    return whole;
  } catch (...) {
    took(ids.first(taken()));
    throw;
  }
}

bool Sequence::feed_from(size_t from, std::span<const int32_t> ids, const Progress& progress,
                         const AttentionObserver& observer) {
  Reading reading{.from = from, .to = ids.size(), .observer = observer, .progress = progress};
  if (!ids.empty()) logits_.resize((ids.size() - from) * vocabulary());
  reading.on_hidden = [&](Tensor hidden, size_t first) {
    for (int64_t row = 0; row < hidden.rows(); row += kHeadRows) {
      Tensor logits =
          head_logits(engine_.model(), hidden.slice(row, std::min(kHeadRows, hidden.rows() - row)), buffers_);
      auto at = (first - from + static_cast<size_t>(row)) * vocabulary();
      engine_.model().device->download(
          std::span(logits_).subspan(at, static_cast<size_t>(logits.rows()) * vocabulary()), logits);
    }
  };
  return read_ids(ids, reading);
}

bool Sequence::feed(std::span<const int32_t> ids, const Progress& progress,
                    const AttentionObserver& observer) {
  return feed_from(ids.empty() ? 0 : ids.size() - 1, ids, progress, observer);
}

void Sequence::read_on(std::span<const int32_t> ids) { read_ids(ids, {}); }

void Sequence::observe(std::span<const int32_t> ids, const AttentionObserver& observer) {
  read_ids(ids, {.observer = observer});
}

void Sequence::feed_each(std::span<const int32_t> ids) { feed_from(0, ids, {}); }

bool Sequence::score(std::span<const int32_t> ids, std::vector<float>& out, const Progress& progress,
                     size_t from) {
  // Row i predicts id i + 1; the last of all predicts nothing.
  Reading reading{.from = from - 1, .to = ids.empty() ? 0 : ids.size() - 1, .progress = progress};
  reading.on_hidden = [&](Tensor hidden, size_t first) {
    engine_.model().device->synchronise();  // the layers' work is not the head's
    auto start = std::chrono::steady_clock::now();
    append_log_probs(engine_.model(), hidden, ids.subspan(first + 1, static_cast<size_t>(hidden.rows())),
                     buffers_, out);
    head_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  return read_ids(ids, reading);
}

namespace {

/// Tokens that differ.
std::vector<int32_t> made_up_ids(int64_t count, const ModelConfig& config) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<int32_t>((i * 7919 + 1) % static_cast<size_t>(config.vocab_size));
  return ids;
}

}  // namespace

double Sequence::time_chunk(int64_t place, int64_t rows, bool scored) {
  assert(ids_.empty());
  cache_.reserve(place + rows);
  // The first page's keys stand for all: those of memory that nobody has written are one page of zeros in the
  // processor's cache, and zeros take a processor less time and power than any text.
  if (place > 0) {
    read(engine_.model(), cache_, spec_, made_up_ids(std::min(place, kPageTokens), engine_.config()),
         buffers_, {});
    for (int32_t page : cache_.pages().subspan(1)) cache_.pool()->copy(cache_.pages().front(), page);
  }
  cache_.set_length(place);
  const std::vector<int32_t> ids = made_up_ids(rows, engine_.config());
  std::vector<float> logits(static_cast<size_t>(engine_.config().vocab_size)), log_probs;
  Reading reading{.from = scored ? 0 : ids.size() - 1, .to = ids.size()};
  reading.on_hidden = [&](Tensor hidden, size_t first) {
    auto targets = std::span(ids).subspan(first, static_cast<size_t>(hidden.rows()));
    if (scored) return append_log_probs(engine_.model(), hidden, targets, buffers_, log_probs);
    engine_.model().device->download(std::span<float>(logits),
                                     head_logits(engine_.model(), hidden, buffers_));
  };
  auto start = std::chrono::steady_clock::now();
  read(engine_.model(), cache_, spec_, ids, buffers_, reading);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  cache_.truncate(0);
  return seconds;
}

int64_t Sequence::keep_prefix(std::span<const int32_t> ids, int64_t multiple) {
  auto common = std::mismatch(ids.begin(), ids.end(), ids_.begin(), ids_.end()).first - ids.begin();
  common = std::max<int64_t>(0, std::min<int64_t>(common, std::ssize(ids) - 1));
  truncate(common / multiple * multiple);
  return std::ssize(ids_);
}

void Sequence::adopt(std::span<const int32_t> ids) {
  assert(ids_.empty());
  prepare(ids.size());
  cache_.reserve(std::ssize(ids));
  cache_.set_length(std::ssize(ids));
  took(ids);
}

void Sequence::share(std::span<const int32_t> ids, int32_t page) {
  prepare(ids.size());
  cache_.share(page, std::ssize(ids));
  took(ids);
}

void Sequence::evict(const std::vector<std::vector<int32_t>>& rows) {
  assert(!whole_);
  KvCache some = cache_.keeping(rows);
  whole_ = std::exchange(cache_, std::move(some));
}

void Sequence::restore() {
  if (whole_) truncate(whole_->length());
}

void Sequence::truncate(int64_t n) {
  if (whole_ && n <= whole_->length()) {
    cache_ = std::move(*whole_);
    whole_.reset();
  }
  cache_.truncate(n - cache_.skipped());
  size_t gone = (ids_.size() - static_cast<size_t>(n)) * vocabulary();
  logits_.resize(logits_.size() - std::min(logits_.size(), gone));
  ids_.resize(static_cast<size_t>(n));
}

void feed_together(std::span<Sequence* const> sequences, std::span<const std::span<const int32_t>> ids) {
  assert(!sequences.empty() && sequences.size() == ids.size());
  const Model& model = sequences[0]->engine_.model();
  for (size_t s = 0; s < sequences.size(); ++s) sequences[s]->prepare(ids[s].size());
  Activations& a = sequences[0]->buffers_;
  std::vector<size_t> done(sequences.size(), 0);
  for (;;) {
    Batch batch;
    std::vector<size_t> members, ended;  // of this step; those of them that reach their end
    int64_t room = a.rows;
    for (size_t s = 0; s < sequences.size() && room > 0; ++s) {
      auto count = std::min(ids[s].size() - done[s], static_cast<size_t>(room));
      if (count == 0) continue;
      batch.sequences.push_back(
          {&sequences[s]->cache_, &sequences[s]->spec_, ids[s].subspan(done[s], count)});
      members.push_back(s);
      room -= static_cast<int64_t>(count);
      done[s] += count;
      if (done[s] < ids[s].size()) continue;
      batch.logits_rows.push_back(static_cast<int32_t>(a.rows - room - 1));
      ended.push_back(s);
    }
    if (members.empty()) return;
    Tensor hidden = forward(model, batch, a);
    for (size_t i = 0; i < members.size(); ++i) sequences[members[i]]->took(batch.sequences[i].ids);
    for (size_t first = 0; first < ended.size(); first += kHeadRows) {
      auto count = std::min(ended.size() - first, static_cast<size_t>(kHeadRows));
      Tensor logits =
          head_logits(model, hidden.slice(static_cast<int64_t>(first), static_cast<int64_t>(count)), a);
      for (size_t i = 0; i < count; ++i) {
        std::vector<float>& own = sequences[ended[first + i]]->logits_;
        own.resize(static_cast<size_t>(logits.cols()));
        model.device->download(std::span<float>(own), logits.slice(static_cast<int64_t>(i), 1));
      }
    }
  }
}

namespace {

/// The text as it grows, and the logits of its next token. Tokens that a draft foresaw are read with the
/// token before them: where the text goes on with them, their logits are there already; the others are
/// forgotten.
class Writer {
 public:
  Writer(Sequence& sequence, const Engine& engine) : sequence_(sequence), length_(sequence.ids().size()) {
    if (engine.options().drafts == Drafts::Off) return;
    assert(!keys_depend_on_history(sequence.position()));
    draft_.emplace(kRowCost);
    for (int32_t id : sequence.ids()) draft_->add(id);
    // A token gets the same logits from a pass of many rows as from one of its own only where the products of
    // both have one type.
    const Model& model = engine.model();
    auto type = [&](int64_t rows) { return model.kernels().product_dtype(model.compute, rows); };
    while (most_ < std::min(NgramDraft::kMost, sequence.chunk() - 1) && type(most_ + 2) == type(1)) ++most_;
  }

  std::span<float> logits() { return sequence_.logits_after(length_); }
  std::span<const int32_t> text() const { return std::span(sequence_.ids()).first(length_); }

  /// The text goes on with this token, and with `more` others at most.
  void take(int32_t id, int64_t more) {
    if (!draft_) return feed({&id, 1});
    draft_->add(id);
    if (length_ < sequence_.ids().size() && sequence_.ids()[length_] == id) {
      ++length_, ++accepted_;
      return;
    }
    forget();
    auto room = sequence_.declared_length() - static_cast<int64_t>(length_) - 1;
    std::span<const int32_t> draft = draft_->propose(std::min({most_, more, room}));
    pass_.assign(1, id);
    pass_.insert(pass_.end(), draft.begin(), draft.end());
    feed(pass_);
  }

  /// Leaves the sequence with the text alone.
  void forget() { sequence_.truncate(static_cast<int64_t>(length_)); }

  int64_t drafted() const { return drafted_; }
  int64_t accepted() const { return accepted_; }

 private:
  /// Time of a further row in passes of one, as measured (bench/results/2026-11-28-drafts.md).
  static constexpr double kRowCost = 0.3;

  void feed(std::span<const int32_t> pass) {
    sequence_.feed_each(pass);
    length_ += 1;
    drafted_ += std::ssize(pass) - 1;
  }

  Sequence& sequence_;
  size_t length_;  // of the text; what the sequence holds beyond it is drafted
  std::optional<NgramDraft> draft_;
  int64_t most_ = 0, drafted_ = 0, accepted_ = 0;
  std::vector<int32_t> pass_;
};

}  // namespace

Generation generate(Sequence& sequence, const Engine& engine, int64_t max_tokens,
                    const SamplingOptions& sampling, const std::function<bool(std::string_view)>& on_text) {
  Sampler sampler(sampling);
  AnswerText out(sampling.stop);
  auto show = [&](const std::string& part) { return part.empty() || !on_text || on_text(part); };
  const std::vector<int32_t> ends = engine.tokenizer().stop_ids();
  const std::vector<int32_t> stops = stop_tokens(engine.tokenizer(), sampling.stop);
  std::optional<GrammarMatcher> grammar;
  if (sampling.grammar) grammar.emplace(sampling.grammar, engine.token_trie(), stops);
  Generation result;
  auto start = std::chrono::steady_clock::now();
  Writer writer(sequence, engine);
  // Padded embeddings have rows that are no token's: they are never drawn. Greedy follows the model, as
  // transformers does; such an id adds nothing to the text.
  auto tokens = static_cast<size_t>(engine.tokenizer().vocab_size());
  while (static_cast<int64_t>(result.ids.size()) < max_tokens) {
    std::span<float> logits = writer.logits();
    if (sampling.temperature > 0) logits = logits.first(std::min(logits.size(), tokens));
    if (grammar) grammar->mask(logits);
    int32_t id = sampler.sample(logits, writer.text());
    if (grammar) id = grammar->nearest_allowed(id);
    if (std::find(ends.begin(), ends.end(), id) != ends.end()) {
      result.reason = StopReason::EndToken;
      break;
    }
    if (std::find(stops.begin(), stops.end(), id) != stops.end()) {
      result.reason = StopReason::StopString;
      break;
    }
    result.ids.push_back(id);
    if (!show(out.add(engine.tokenizer().token_bytes(id)))) {
      result.reason = StopReason::Interrupted;
      break;
    }
    if (out.stopped()) {
      result.reason = StopReason::StopString;
      break;
    }
    if (grammar) grammar->accept(id);
    if (grammar && grammar->finished()) {
      result.reason = StopReason::EndToken;
      break;
    }
    if (int64_t left = max_tokens - std::ssize(result.ids); left > 0) writer.take(id, left - 1);
  }
  writer.forget();
  result.drafted = writer.drafted(), result.accepted = writer.accepted();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (result.reason != StopReason::Interrupted) show(out.finish());
  result.text = out.text();
  return result;
}

}  // namespace longspan
