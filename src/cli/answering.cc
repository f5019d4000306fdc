#include "cli/answering.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/window.h"
#include "tokenizer/fit.h"

namespace longspan::cli {

std::string document_message(const std::string& document, const std::string& question) {
  return fmt::format("Read the text and answer the question that follows it.\n\nText:\n{}\n\nQuestion: {}",
                     document, question);
}

SamplingOptions chat_sampling(const ChatFormat& chat, SamplingOptions sampling) {
  sampling.stop.insert(sampling.stop.end(), chat.stops.begin(), chat.stops.end());
  return sampling;
}

int64_t longest(const Prompts& prompts) {
  size_t most = 0;
  for (const Prompt& prompt : prompts) most = std::max(most, prompt.ids.size());
  return static_cast<int64_t>(most);
}

int64_t longest_document(const Prompts& prompts) {
  int64_t most = 0;
  for (const Prompt& prompt : prompts) most = std::max(most, prompt.document);
  return most;
}

Prompts fit_document(Engine& engine, const Options& o, const std::string& document, int64_t answer,
                     const std::function<Prompts(const std::string&)>& prompts) {
  const Tokenizer& tokenizer = engine.tokenizer();
  Prompts made;
  auto needed = [&](const std::string& d) {
    made = prompts(d);
    return longest(made) + answer;
  };
  int64_t whole = needed(document);
  stretch(engine, o, shared_length(longest_document(made), whole));
  int64_t window = window_tokens(engine.config(), o), kept = std::min(whole, window);
  if (whole > window) {
    if (o.truncate.empty()) refuse_length(engine, o, whole, answer);
    std::vector<int32_t> ids = tokenizer.encode(document, {.add_special = false, .parse_special = false});
    int64_t given = std::ssize(ids), keep = kept_tokens(given - (whole - window), [&](int64_t n) {
                                       return needed(tokenizer.decode(cut_ids(ids, n, o.truncate))) - window;
                                     });
    if (keep == 0) refuse_length(engine, o, whole, answer);
    remark(o, "cut {} of the document's {} tokens ({}) to fit the window of {}", grouped(given - keep),
           grouped(given), o.truncate, grouped(window));
  }
  check_memory(engine, {.tokens = kept});
  return made;
}

namespace {

/// Feeds what follows the first `held` tokens, in passes of their own up to `document`.
void feed_rest(Sequence& sequence, std::span<const int32_t> ids, int64_t held, int64_t document,
               const Options& o, Prefill& result) {
  ReadingTimes times = announce_reading(sequence, o, std::ssize(ids), false);
  double start = seconds_now();
  ProgressBar bar("reading", o.quiet, held, std::move(times));
  int64_t total = std::ssize(ids) - held;
  for (int64_t from = held; result.complete && from < std::ssize(ids);) {
    int64_t to = from < document ? document : std::ssize(ids), before = from - held;
    auto part = ids.subspan(static_cast<size_t>(from), static_cast<size_t>(to - from));
    auto progress = [&](int64_t done, int64_t) { return bar.update(before + done, total); };
    result.complete =
        to < std::ssize(ids) ? sequence.feed(part, progress) : feed_and_evict(sequence, part, progress);
    from = to;
  }
  result.complete &= !interrupted();
  result.seconds += seconds_now() - start;
  remark_skipped(o, sequence.engine().model());
}

}  // namespace

Prefill feed_prompt(Sequence& sequence, const std::vector<int32_t>& ids, const Options& o) {
  int64_t common = sequence.keep_prefix(ids);
  Prefill result{.tokens = std::ssize(ids), .reused = common};
  feed_rest(sequence, ids, common, 0, o, result);
  return result;
}

Prefill feed_prompt(Sequence& sequence, const Prompt& prompt, DocumentCache& cache, const Options& o) {
  double start = seconds_now();
  DocumentCache::Held held = cache.recall(sequence, prompt);
  Prefill result{.tokens = std::ssize(prompt.ids),
                 .reused = held.tokens,
                 .stored = held.stored,
                 .seconds = seconds_now() - start};
  feed_rest(sequence, prompt.ids, held.tokens, prompt.document, o, result);
  cache.read(prompt, std::ssize(sequence.ids()));
  return result;
}

Generation answer(Sequence& sequence, const Engine& engine, int64_t max_tokens,
                  const SamplingOptions& sampling, const Options& o) {
  Generation g = generate(sequence, engine, max_tokens, sampling, [&](std::string_view text) {
    if (!o.json) print_now(text);
    return !interrupted();
  });
  sequence.restore();
  if (!o.json) print_now("\n");
  return g;
}

namespace {

/// ", 80 of 96 drafted ones right"; nothing where none were drafted.
std::string drafts(const Generation& generation) {
  if (generation.drafted == 0) return {};
  return fmt::format(", {} of {} drafted ones right", grouped(generation.accepted),
                     grouped(generation.drafted));
}

Json answer_facts(const Prefill& prefill, const Generation& generation) {
  const char* reasons[] = {"length", "end", "stop", "interrupted"};
  return {{"prompt_tokens", prefill.tokens},
          {"reused_tokens", prefill.reused},
          {"stored_tokens", prefill.stored},
          {"answer_tokens", generation.ids.size()},
          {"prefill_s", prefill.seconds},
          {"decode_s", generation.seconds},
          {"stop", reasons[static_cast<int>(generation.reason)]},
          {"peak_bytes", peak_bytes()}};
}

}  // namespace

std::string speed(const Prefill& prefill, const Generation& generation) {
  auto rate = [](double tokens, double seconds) {
    return grouped(static_cast<int64_t>(seconds > 0 ? tokens / seconds : 0));
  };
  std::string reuse;
  if (prefill.reused > 0)
    reuse = fmt::format(" ({} of them before{})", grouped(prefill.reused),
                        prefill.stored > 0 ? fmt::format(", {} from the disk", grouped(prefill.stored)) : "");
  return fmt::format("read {} tokens{} in {} ({}/s), wrote {} in {} ({}/s{})", grouped(prefill.tokens), reuse,
                     human_seconds(prefill.seconds),
                     rate(static_cast<double>(prefill.tokens - prefill.reused), prefill.seconds),
                     grouped(std::ssize(generation.ids)), human_seconds(generation.seconds),
                     rate(static_cast<double>(generation.ids.size()), generation.seconds),
                     drafts(generation));
}

void report_answer(const Options& o, Json fields, const Prefill& prefill, const Generation& generation) {
  if (!o.json)
    return remark(o, "{}; {} at most", speed(prefill, generation),
                  human_bytes(static_cast<double>(peak_bytes())));
  fields.update(answer_facts(prefill, generation));
  if (o.draft != name(Drafts::Off))
    fields.update({{"drafted_tokens", generation.drafted}, {"accepted_tokens", generation.accepted}});
  print_json(fields);
}

void remark_limit(const Options& o, const Generation& generation, int64_t n) {
  if (generation.reason == StopReason::Length) remark(o, "stopped at -n {}", n);
}

}  // namespace longspan::cli
