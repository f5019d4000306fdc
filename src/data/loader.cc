#define XXH_INLINE_ALL
#include "data/loader.h"

#include <xxhash.h>

#include <algorithm>
#include <cassert>
#include <mutex>
#include <numeric>

#include "base/error.h"
#include "base/threads.h"
#include "data/conversation.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

/// What a random choice is for; choices for different purposes are independent.
enum class Choice : uint64_t { Copies, Order, Positions, Source };

Random random_of(uint64_t seed, Choice choice, int64_t k) {
  uint64_t of[2] = {static_cast<uint64_t>(choice), static_cast<uint64_t>(k)};
  return Random(XXH64(of, sizeof of, seed));
}

/// The order of an epoch's rows. Caches one epoch, because a run reads them one after the other.
class EpochOrder {
 public:
  EpochOrder(int64_t rows, uint64_t seed) : rows_(rows), seed_(seed) {}
  int64_t row(int64_t k) {
    assert(k >= 0);
    std::lock_guard lock(mutex_);
    if (k / rows_ != epoch_) shuffle(k / rows_);
    return order_[static_cast<size_t>(k % rows_)];
  }

 private:
  void shuffle(int64_t epoch) {
    order_.resize(static_cast<size_t>(rows_));
    std::iota(order_.begin(), order_.end(), int64_t{0});
    Random random = random_of(seed_, Choice::Order, epoch);
    for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random.below(i)]);
    epoch_ = epoch;
  }

  std::mutex mutex_;
  int64_t rows_, epoch_ = -1;
  uint64_t seed_;
  std::vector<int64_t> order_;
};

struct Positions {
  TrainingPositions kind;
  int64_t target, chunks;
  double share;
  uint64_t seed;
};

template <typename Options>
Positions positions_of(const Options& o) {
  if (o.row_tokens < 2) fail("training rows of {} tokens: at least 2 are needed", o.row_tokens);
  if (o.positions == TrainingPositions::Skipped &&
      (o.position_target < o.row_tokens || o.position_chunks < 2))
    fail(
        "positions can be skipped within a target of at least the row ({} tokens) in at least 2 chunks, not "
        "{} "
        "and {}",
        o.row_tokens, o.position_target, o.position_chunks);
  return {o.positions, o.position_target, o.position_chunks, o.position_share, o.seed};
}

void set_positions(const Positions& p, int64_t k, TrainingRow& row) {
  if (p.kind == TrainingPositions::Sequential) return;
  Random random = random_of(p.seed, Choice::Positions, k);
  if (random.uniform() >= p.share) return;
  if (p.kind == TrainingPositions::Skipped)
    skip_positions(row, p.target, p.chunks, random);
  else
    randomise_positions(row, random);
}

/// A document and the shard that it is in.
struct Text {
  const Shard* shard;
  const ShardDocument* document;
  int64_t tokens() const { return document->end - document->begin; }
};

std::vector<Shard> open_shards(const std::vector<fs::path>& folders, uint64_t vocabulary) {
  std::vector<fs::path> paths;
  for (const fs::path& folder : folders) {
    if (!fs::is_directory(folder))
      fail("{}: is no folder of shards; `longspan corpus pack` makes one", folder.string());
    size_t before = paths.size();
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".shard") paths.push_back(entry.path());
    if (paths.size() == before)
      fail("{}: holds no shard; `longspan corpus pack` makes them", folder.string());
    std::sort(paths.begin() + static_cast<std::ptrdiff_t>(before), paths.end());
  }
  std::vector<Shard> shards;
  for (const fs::path& path : paths) {
    shards.emplace_back(path);
    if (shards.back().vocabulary_digest() != vocabulary)
      fail("{}: was tokenised with another vocabulary than this model's; pack the corpus with this model",
           path.string());
  }
  return shards;
}

double times_of(const TextOptions& o, const Text& text) {
  double times = 1;
  for (const auto& [category, often] : o.categories)
    if (category == text.document->category) times = often;
  const TextOptions::LongOnes* fitting = nullptr;
  for (const TextOptions::LongOnes& rule : o.up_sampling)
    if (text.tokens() >= rule.tokens && (!fitting || rule.tokens > fitting->tokens)) fitting = &rule;
  return fitting ? times * fitting->times : times;
}

/// How often an epoch contains each text: the integer part of its `times`, and one more with the probability
/// that remains.
std::vector<int64_t> copies_of(const TextOptions& o, const std::vector<Text>& texts) {
  std::vector<int64_t> copies;
  for (size_t i = 0; i < texts.size(); ++i) {
    double times = texts[i].tokens() < std::max<int64_t>(o.min_tokens, 1) ? 0 : times_of(o, texts[i]);
    auto whole = static_cast<int64_t>(times);
    bool more = random_of(o.seed, Choice::Copies, static_cast<int64_t>(i)).uniform() <
                times - static_cast<double>(whole);
    copies.push_back(whole + (more ? 1 : 0));
  }
  return copies;
}

/// Rows of an epoch. Copies of a text are packed separately, so that no row contains a text twice.
std::vector<std::vector<Piece>> pack_epoch(const TextOptions& o, const std::vector<Text>& texts) {
  std::vector<int64_t> copies = copies_of(o, texts), lengths(texts.size());
  std::vector<std::vector<Piece>> rows;
  for (int64_t round = 0; round < *std::max_element(copies.begin(), copies.end()); ++round) {
    for (size_t i = 0; i < texts.size(); ++i) lengths[i] = copies[i] > round ? texts[i].tokens() : 0;
    Packing packing =
        pack(o.overlapping ? overlapping_windows(lengths, o.row_tokens) : cut(lengths, o.row_tokens),
             o.row_tokens);
    for (auto& row : packing.rows) rows.push_back(std::move(row));
  }
  return rows;
}

struct TextRows {
  std::vector<Shard> shards;
  std::vector<Text> texts;
  std::vector<std::vector<Piece>> rows;
  TrainingRow row(int64_t r) const {
    std::vector<std::vector<int32_t>> pieces;
    std::vector<std::string> documents;
    for (const Piece& piece : rows[static_cast<size_t>(r)]) {
      const Text& text = texts[static_cast<size_t>(piece.index)];
      int64_t at = text.document->begin;
      text.shard->read(at + piece.begin, at + piece.end, pieces.emplace_back());
      documents.push_back(text.document->id);
    }
    return make_row(pieces, documents);
  }
};

}  // namespace

RowSource text_source(const TextOptions& options, uint64_t vocabulary) {
  Positions positions = positions_of(options);
  auto all = std::make_shared<TextRows>();
  all->shards = open_shards(options.folders, vocabulary);
  for (const Shard& shard : all->shards)
    for (const ShardDocument& document : shard.documents()) all->texts.push_back({&shard, &document});
  if (!all->texts.empty()) all->rows = pack_epoch(options, all->texts);
  if (all->rows.empty())
    fail("{}: no document is left to train on; at least {} tokens and a weight above 0 were asked for",
         options.folders.empty() ? "shards" : options.folders.front().string(), options.min_tokens);
  auto rows = static_cast<int64_t>(all->rows.size());
  auto order = std::make_shared<EpochOrder>(rows, options.seed);
  return {"text", rows, [=](int64_t k) {
            TrainingRow row = all->row(order->row(k));
            set_positions(positions, k, row);
            return row;
          }};
}

namespace {

/// Reads and tokenises on all threads, one batch of records at a time; a faulty record is noted or fatal.
template <typename Made, typename Make>
std::vector<Made> read_records(const ChatOptions& o, const Make& make, ReadingReport& report) {
  constexpr size_t kBatch = 256;
  std::vector<Made> all;
  std::vector<Document> batch;
  auto flush = [&] {
    std::vector<Made> made(batch.size());
    std::vector<std::string> faults(batch.size());
    parallel_for(static_cast<int64_t>(batch.size()), [&](int64_t i) {
      auto n = static_cast<size_t>(i);
      try {
        made[n] = make(batch[n].fields);
      } catch (const Error& error) {
        faults[n] = fmt::format("{}:{}: {}", batch[n].file.string(), batch[n].line, error.what());
      }
    });
    for (size_t i = 0; i < batch.size(); ++i) {
      if (!faults[i].empty()) {
        if (o.on_bad == OnBadDocument::Fail) fail("{}; fix it, or choose to skip bad documents", faults[i]);
        --report.documents;
        note_bad_document(report, std::move(faults[i]));
        continue;
      }
      made[i].id = std::move(batch[i].id);
      all.push_back(std::move(made[i]));
    }
    batch.clear();
  };
  auto take = [&](Document&& document) {
    batch.push_back(std::move(document));
    if (batch.size() == kBatch) flush();
    return true;
  };
  ReadingReport reading = read_documents(o.files, {.on_bad = o.on_bad, .text_needed = false}, take);
  flush();
  add_report(report, std::move(reading));
  return all;
}

ConversationWeights weights_of(const ChatOptions& o) {
  return {.answer = o.answer_weight, .text = o.text_weight, .text_share = o.text_share};
}

std::vector<Conversation> read_conversations(const ChatOptions& o, const ConversationMaker& maker,
                                             ReadingReport& report) {
  auto make = [&](const Json& record) {
    Conversation made = maker.make(record, weights_of(o));
    auto tokens = static_cast<int64_t>(made.ids.size());
    if (tokens > o.row_tokens) fail("has {} tokens, more than the row's {}", tokens, o.row_tokens);
    return made;
  };
  return read_records<Conversation>(o, make, report);
}

std::vector<FrozenConversation> read_frozen(const ChatOptions& o, const ConversationMaker& maker,
                                            ReadingReport& report) {
  auto make = [&](const Json& record) {
    FrozenConversation made = maker.make_frozen(record, weights_of(o));
    int64_t longest = 0, context = std::ssize(made.context);
    for (const Conversation& row : made.rows) longest = std::max<int64_t>(longest, std::ssize(row.ids));
    if (context + longest > o.row_tokens)
      fail(
          "has a context of {} tokens and a question with its answer of {}, more than the length {} together",
          context, longest, o.row_tokens);
    if (longest > o.frozen_row_tokens)
      fail("has a question with its answer of {} tokens; {} are the most behind a frozen context", longest,
           o.frozen_row_tokens);
    return made;
  };
  return read_records<FrozenConversation>(o, make, report);
}

TrainingRow frozen_row(const FrozenConversation& c) {
  TrainingRow row;
  row.documents = {c.id};
  row.context = c.context;
  for (const Conversation& question : c.rows) {
    int64_t start = row.tokens();
    row.ids.insert(row.ids.end(), question.ids.begin(), question.ids.end());
    row.targets.insert(row.targets.end(), question.targets.begin(), question.targets.end());
    row.weights.insert(row.weights.end(), question.weights.begin(), question.weights.end());
    row.starts.insert(row.starts.end(), question.ids.size(), start);
    for (size_t t = 0; t < question.ids.size(); ++t)
      row.positions.push_back(static_cast<double>(c.context.size() + t));
  }
  return row;
}

[[noreturn]] void fail_without_conversation(const ChatOptions& options, const ReadingReport& report) {
  fail("{}: no conversation is left to train on{}",
       options.files.empty() ? "chat data" : options.files.front().string(),
       report.faults.empty() ? "" : "; the first bad one: " + report.faults.front());
}

/// A row for each record.
RowSource frozen_source(const ChatOptions& options, const ConversationMaker& maker, ReadingReport& report) {
  auto all = std::make_shared<std::vector<FrozenConversation>>(read_frozen(options, maker, report));
  if (all->empty()) fail_without_conversation(options, report);
  auto order = std::make_shared<EpochOrder>(std::ssize(*all), options.seed);
  return {"frozen", std::ssize(*all),
          [=](int64_t k) { return frozen_row((*all)[static_cast<size_t>(order->row(k))]); }};
}

TrainingRow conversation_row(const std::vector<Piece>& pieces, const std::vector<Conversation>& all) {
  std::vector<std::vector<int32_t>> ids;
  std::vector<std::string> documents;
  for (const Piece& piece : pieces) {
    ids.push_back(all[static_cast<size_t>(piece.index)].ids);
    documents.push_back(all[static_cast<size_t>(piece.index)].id);
  }
  TrainingRow row = make_row(ids, documents);
  auto at = std::ptrdiff_t{0};
  for (const Piece& piece : pieces) {
    const Conversation& c = all[static_cast<size_t>(piece.index)];
    std::copy(c.targets.begin(), c.targets.end(), row.targets.begin() + at);
    std::copy(c.weights.begin(), c.weights.end(), row.weights.begin() + at);
    at += static_cast<std::ptrdiff_t>(c.ids.size());
  }
  return row;
}

}  // namespace

RowSource chat_source(const ChatOptions& options, const Tokenizer& tokenizer, const ChatFormat& chat,
                      ReadingReport& report) {
  Positions positions = positions_of(options);
  ConversationMaker maker(tokenizer, chat);
  if (options.frozen) return frozen_source(options, maker, report);
  auto all = std::make_shared<std::vector<Conversation>>(read_conversations(options, maker, report));
  if (all->empty()) fail_without_conversation(options, report);
  std::vector<int64_t> lengths;
  for (const Conversation& c : *all) lengths.push_back(static_cast<int64_t>(c.ids.size()));
  auto packed = std::make_shared<std::vector<std::vector<Piece>>>();
  if (options.pack)
    *packed = pack(cut(lengths, options.row_tokens), options.row_tokens).rows;
  else
    for (const Piece& piece : cut(lengths, options.row_tokens)) packed->push_back({piece});
  auto rows = static_cast<int64_t>(packed->size());
  auto order = std::make_shared<EpochOrder>(rows, options.seed);
  return {"chat", rows, [=](int64_t k) {
            TrainingRow row = conversation_row((*packed)[static_cast<size_t>(order->row(k))], *all);
            set_positions(positions, k, row);
            return row;
          }};
}

namespace {

/// Which source row k comes from, and its number there: how many of the rows before k came from that source.
class Draws {
 public:
  Draws(std::vector<double> weights, uint64_t seed)
      : weights_(std::move(weights)), taken_(weights_.size(), 0), seed_(seed) {
    sum_ = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  }
  std::pair<size_t, int64_t> of(int64_t k) {
    std::lock_guard lock(mutex_);
    while (static_cast<int64_t>(drawn_.size()) <= k) {
      size_t source = draw(static_cast<int64_t>(drawn_.size()));
      drawn_.emplace_back(source, taken_[source]++);
    }
    return drawn_[static_cast<size_t>(k)];
  }

 private:
  size_t draw(int64_t k) const {
    double left = random_of(seed_, Choice::Source, k).uniform() * sum_;
    size_t last = 0;
    for (size_t s = 0; s < weights_.size(); ++s) {
      if (weights_[s] <= 0) continue;
      last = s;
      if ((left -= weights_[s]) < 0) break;
    }
    return last;
  }

  std::mutex mutex_;
  std::vector<double> weights_;
  std::vector<int64_t> taken_;
  std::vector<std::pair<size_t, int64_t>> drawn_;
  uint64_t seed_;
  double sum_ = 0;
};

}  // namespace

RowSource mixture(std::vector<RowSource> sources, std::vector<double> weights, uint64_t seed) {
  assert(!sources.empty() && sources.size() == weights.size());
  double sum = 0;
  for (double w : weights) {
    if (!(w >= 0)) fail("a source of training rows has the weight {}; it must not be negative", w);
    sum += w;
  }
  if (!(sum > 0)) fail("all sources of training rows have weight 0");
  if (sources.size() == 1) return sources.front();
  int64_t rows = 0;
  for (const RowSource& source : sources) rows += source.rows;
  auto draws = std::make_shared<Draws>(std::move(weights), seed);
  return {"mixture", rows, [=](int64_t k) {
            auto [source, number] = draws->of(k);
            return sources[source].row(number);
          }};
}

}  // namespace longspan
