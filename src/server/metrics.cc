#include "server/metrics.h"

#include <fmt/core.h>

namespace longspan::server {

namespace {

void head(std::string& out, const char* name, const char* type, const char* help) {
  out += fmt::format("# HELP longspan_{} {}\n# TYPE longspan_{} {}\n", name, help, name, type);
}

void one(std::string& out, const char* name, const char* type, const char* help, int64_t value) {
  head(out, name, type, help);
  out += fmt::format("longspan_{} {}\n", name, value);
}

void histogram(std::string& out, const char* name, const char* help, const Histogram& h) {
  head(out, name, "histogram", help);
  int64_t below = 0;
  for (size_t i = 0; i < Histogram::kLimits.size(); ++i) {
    below += h.counts[i];
    out += fmt::format("longspan_{}_bucket{{le=\"{}\"}} {}\n", name, Histogram::kLimits[i], below);
  }
  out += fmt::format("longspan_{}_bucket{{le=\"+Inf\"}} {}\nlongspan_{}_sum {}\nlongspan_{}_count {}\n", name,
                     h.count(), name, h.sum, name, h.count());
}

}  // namespace

void RequestCounts::add(const std::string& path, int status) {
  std::lock_guard lock(mutex_);
  ++counts_[{path, status}];
}

std::map<std::pair<std::string, int>, int64_t> RequestCounts::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

std::string metrics_text(const SchedulerFigures& f, const RequestCounts& requests, int64_t connections,
                         int64_t turned_away) {
  std::string out;
  head(out, "requests_total", "counter", "Requests answered, by path and status.");
  for (const auto& [key, count] : requests.counts())
    out += fmt::format("longspan_requests_total{{path=\"{}\",status=\"{}\"}} {}\n", key.first, key.second,
                       count);
  one(out, "connections", "gauge", "Open connections.", connections);
  one(out, "connections_turned_away_total", "counter", "Connections beyond the limit.", turned_away);
  one(out, "answers_running", "gauge", "Answers that are being computed.", f.running);
  one(out, "answers_waiting", "gauge", "Answers that wait for their turn.", f.waiting);
  head(out, "answers_total", "counter", "Answers that ended, by how.");
  static const char* const ends[] = {"none", "length", "end", "stop", "cancelled", "timeout", "failed"};
  for (size_t i = 1; i < f.finished.size(); ++i)
    out += fmt::format("longspan_answers_total{{finish=\"{}\"}} {}\n", ends[i], f.finished[i]);
  one(out, "answers_refused_total", "counter",
      "Requests not taken: too long, too large, or the queue was full.", f.refused);
  one(out, "prompt_tokens_total", "counter", "Tokens of prompts that were read.", f.prompt_tokens);
  one(out, "prompt_tokens_reused_total", "counter", "Tokens of prompts found in the cache.", f.reused_tokens);
  one(out, "prompt_tokens_restored_total", "counter", "Tokens of prompts found on the disk.",
      f.stored_tokens);
  one(out, "answer_tokens_total", "counter", "Tokens of answers.", f.written_tokens);
  one(out, "kv_pages", "gauge", "Pages of 256 tokens for keys and values.", f.pages);
  one(out, "kv_pages_in_use", "gauge", "Pages that running answers hold.", f.pages_used);
  one(out, "kv_pages_cached", "gauge", "Pages that the prefix cache knows.", f.pages_cached);
  one(out, "steps_total", "counter", "Steps of the scheduler.", f.steps);
  histogram(out, "time_to_first_token_seconds", "From a request to the first token of its answer.",
            f.first_token);
  histogram(out, "time_between_tokens_seconds", "Between two tokens of an answer.", f.between_tokens);
  histogram(out, "answer_seconds", "From a request to the end of its answer.", f.whole);
  histogram(out, "step_seconds", "Of a step: a token of every answer and a part of one prompt.", f.step);
  return out;
}

std::string metrics_text(const EmbeddingFigures& f) {
  std::string out;
  one(out, "embedded_texts_total", "counter", "Texts that were embedded.", f.texts);
  one(out, "embedded_tokens_total", "counter", "Tokens of these texts.", f.tokens);
  one(out, "embeddings_waiting", "gauge", "Texts that wait to be embedded.", f.waiting);
  return out;
}

}  // namespace longspan::server
