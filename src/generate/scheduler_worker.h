// What the scheduler's thread does. Everything here belongs to that thread.
#pragma once

#include <list>
#include <map>

#include "generate/answer_text.h"
#include "generate/prefix_cache.h"
#include "generate/reading_store.h"
#include "generate/scheduler.h"
#include "generate/sequence.h"

namespace longspan {

inline double seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

class SchedulerWorker {
 public:
  explicit SchedulerWorker(Scheduler& front);
  /// Until the front says stop.
  void run();

 private:
  using Time = std::chrono::steady_clock::time_point;

  /// A request that has begun.
  struct Stream {
    Scheduler::Waiting from;
    std::unique_ptr<Sequence> sequence;
    TokenChooser chooser;
    AnswerText text;
    std::vector<int32_t> stops;         // special tokens that are stop strings
    int64_t of_class = 0;               // of its pages in the prefix cache
    int64_t pages = 0;                  // that it may come to hold
    bool writes = false;                // the prompt has been read
    int32_t next = -1;                  // chosen, not yet fed
    int64_t written = 0, computed = 0;  // tokens of the answer; of the prompt, by passes of its own
    bool looked_on_disk = false;
    double row_seconds = 0;  // of its last pass over the prompt while others wrote
    std::vector<ScoredToken> unsent = {}, scores = {};
    std::vector<int32_t> unsent_ids = {};
    Time begun, read = {},
                told = {};  // when it began, when its prompt had been read, when its last token came
    bool done = false;

    const AnswerRequest& request() const { return from.request; }
    int64_t length() const { return std::ssize(sequence->ids()); }
    std::span<const int32_t> left() const {
      return std::span(from.request.prompt).subspan(static_cast<size_t>(length()));
    }
  };

  // scheduler_worker.cc: the queue, and what a step does
  bool wait_for_work();
  void drop_waiting();
  void begin_waiting();
  std::optional<size_t> next_waiting() const;
  bool begin(size_t at);
  void start(Scheduler::Waiting&& waiting, int64_t pages);
  void drop_running();
  void write_tokens();
  void guarded(std::span<Stream* const> streams, const std::function<void()>& body);
  void choose(Stream& stream);
  std::vector<float> look_back(Stream& stream);
  void finish(Stream& stream, Finish how, const std::string& error = "");
  void remove_done();
  void tell_places();

  // scheduler_prompts.cc: reading prompts
  bool read_prompt();
  bool behind_another(const Stream& stream) const;
  enum class Take { WholePages, APartToo };
  void take_from_cache(Stream& stream, Take take);
  void take_from_disk(Stream& stream);
  bool others_write(const Stream& stream) const;
  int64_t rows_of_pass(const Stream& stream) const;
  void read_pass(Stream& stream, int64_t rows);
  void score_pass(Stream& stream, int64_t rows);
  void prompt_read(Stream& stream);
  void keep_later(const Stream& stream);
  bool keep_one();

  int64_t class_of(const PositionSpec& spec);
  int64_t declared(const AnswerRequest& request) const;
  /// Pages that running answers may still take.
  int64_t promised() const;
  void make_room(int64_t pages);
  template <class Change>
  void figures(const Change& change);

  Scheduler& front_;
  const Engine& engine_;
  const SchedulerOptions& options_;
  std::shared_ptr<KvPool> pool_;
  PrefixCache cache_;
  std::optional<ReadingStore> store_;
  bool by_length_ = false;  // frequencies depend on the length
  std::vector<PositionSpec> classes_;
  std::list<Stream> streams_;
  std::list<Sequence> to_keep_;
  size_t turn_ = 0;             // of the prompts
  double row_seconds_ = 0;      // of the last such pass over any prompt
  double writing_seconds_ = 0;  // of this step's tokens of answers
};

template <class Change>
void SchedulerWorker::figures(const Change& change) {
  std::lock_guard lock(front_.mutex_);
  change(front_.figures_);
}

}  // namespace longspan
