// The local responder. It keeps one sequence: a prompt that begins like the last one reads only the rest.
#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "eval/likelihood.h"
#include "eval/run.h"

namespace longspan {

namespace {

using Clock = std::chrono::steady_clock;

// Where positions do not depend on the length, one declaration serves all cases; pages are allocated as
// needed.
constexpr int64_t kAnyLength = int64_t{1} << 40;

class Reader {
 public:
  Reader(const Engine& engine, PositionConfig position) : engine_(engine), position_(std::move(position)) {}

  /// A sequence declared for `length` tokens that holds a prefix of `ids`, in whole chunks.
  Sequence& ready_for(std::span<const int32_t> ids, int64_t length, bool scored = false) {
    check_memory(length, scored);
    int64_t declared = depends_on_length(length) ? length : kAnyLength;
    if (!sequence_ || sequence_->declared_length() != declared || keys_depend_on_history(position_))
      sequence_.emplace(engine_, declared, position_);
    sequence_->restore();
    int64_t most = reusable_before_eviction(std::ssize(ids), engine_.options().eviction);
    sequence_->keep_prefix(ids.first(std::min(ids.size(), static_cast<size_t>(most) + 1)),
                           engine_.options().chunk);
    return *sequence_;
  }

  Sequence& empty(int64_t length) { return ready_for({}, length, true); }

 private:
  /// Generated cases were checked when the run was planned; those of files are as long as they turn out to
  /// be.
  void check_memory(int64_t length, bool scored) const {
    MemoryFit fit = engine_.memory_for({.tokens = length, .scored = scored}, position_);
    if (!fit.fits())
      fail("{}; have prompts cut by --context {} with --truncate, or leave the case out", describe(fit),
           fit.longest);
  }

  bool depends_on_length(int64_t length) const {
    return position_spec(position_, engine_.config().head_shape(), length).depends_on_length;
  }

  const Engine& engine_;
  PositionConfig position_;
  std::optional<Sequence> sequence_;
};

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::optional<Reply> answer(const Engine& engine, Reader& reader, const Task& task, const Prompt& prompt,
                            int64_t window, const Progress& progress) {
  auto start = Clock::now();
  Sequence& sequence = reader.ready_for(prompt.ids, window);
  auto held = static_cast<int64_t>(sequence.ids().size());
  auto total = std::ssize(prompt.ids) + task.new_tokens;
  bool going = true;
  auto watch = [&](int64_t done) { return going = !progress || progress(held + done, total); };
  if (!feed_and_evict(sequence, std::span(prompt.ids).subspan(static_cast<size_t>(held)),
                      [&](int64_t done, int64_t) { return watch(done); }))
    return std::nullopt;
  SamplingOptions sampling;
  sampling.stop = task.stop;
  if (const ChatFormat& chat = engine.chat(); task.chat && chat.chat_template)
    sampling.stop.insert(sampling.stop.end(), chat.stops.begin(), chat.stops.end());
  Generation g = generate(sequence, engine, task.new_tokens, sampling,
                          [&](std::string_view) { return watch(std::ssize(prompt.ids) - held); });
  if (!going || g.reason == StopReason::Interrupted) return std::nullopt;
  const char* stops[] = {"length", "end", "stop"};
  return Reply{g.text, stops[static_cast<int>(g.reason)], std::ssize(g.ids), std::ssize(prompt.ids) - held,
               since(start)};
}

}  // namespace

Responder local_responder(const Engine& engine) { return local_responder(engine, engine.config().position); }

Responder local_responder(const Engine& engine, const PositionConfig& position) {
  auto reader = std::make_shared<Reader>(engine, position);
  Responder responder;
  responder.answer = [&engine, reader](const Task& task, const Prompt& prompt, int64_t window,
                                       const Progress& progress) {
    return answer(engine, *reader, task, prompt, window, progress);
  };
  responder.choice = [&engine, reader](const Prompt& prompt, const CaseText& text, const Progress& progress) {
    auto start = Clock::now();
    int64_t window = std::ssize(prompt.ids) + choice_room(engine.tokenizer(), text);
    auto scores = run_choice(reader->ready_for(prompt.ids, window, true), engine, prompt, text, progress);
    if (scores) scores->seconds = since(start);
    return scores;
  };
  responder.loss = [&engine, reader](const CaseText& text, const Progress& progress) {
    auto start = Clock::now();
    Sequence& sequence = reader->empty(std::ssize(text.ids));
    double before = sequence.head_seconds();
    auto loss = run_loss(sequence, engine, text, progress);
    if (!loss) return loss;
    loss->seconds = since(start);
    loss->head_seconds = sequence.head_seconds() - before;
    return loss;
  };
  return responder;
}

}  // namespace longspan
