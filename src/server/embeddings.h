// /v1/embeddings: vectors of texts, computed by a thread of its own that yields the processor to the streams:
// while answers are written, and shortly after, it computes alone, without helpers (base/threads.h says why),
// else on all cores. Requests that wait are served in turns, a few texts of each, so that a long list does
// not hold up a single question.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "embed/embedder.h"

namespace longspan::server {

constexpr size_t kMostInputs = 2048;  // of one request, as OpenAI has it

/// What a client asks for.
struct EmbeddingCall {
  std::string model;                         // "": the one that is served
  std::vector<std::vector<int32_t>> inputs;  // as the model reads them
  int64_t tokens = 0;
  bool base64 = false;
};
/// OpenAI's fields: input (a text, texts, ids, lists of ids), encoding_format, dimensions; beside them
/// input_type ("query" or "document") for models with instructions, and vLLM's truncate_prompt_tokens (-1:
/// cut what is too long). ApiError (400) names the field.
EmbeddingCall read_embedding_call(const Json& request, const Embedder& embedder);

/// OpenAI's list, as text.
std::string embedding_reply(const EmbeddingCall& call, const std::vector<float>& vectors,
                            const std::string& model);

struct EmbeddingFigures {
  int64_t texts = 0, tokens = 0, waiting = 0;
};

class Embeddings {
 public:
  /// `name`: under which it is asked for. `streaming` says whether answers are being written.
  Embeddings(std::shared_ptr<const Embedder> embedder, std::string name, std::function<bool()> streaming);
  ~Embeddings();

  const std::string& name() const { return name_; }
  const Embedder& embedder() const { return *embedder_; }

  /// The response; "" when `left` says that the client has gone. ApiError when the request makes no sense,
  /// when too much waits (429), or when the server closes (503).
  std::string answer(const Json& request, const std::function<bool()>& left);
  EmbeddingFigures figures() const;
  /// Takes no more requests and waits at most `seconds` for those that it has; what is left then fails.
  void close(double seconds);

 private:
  struct Job {
    const std::vector<std::vector<int32_t>>* inputs;
    size_t next = 0;  // the first text without a vector
    std::vector<float> vectors;
    std::string fault;
    bool done = false;
  };
  void work();
  std::vector<float> compute(const std::vector<std::vector<int32_t>>& texts);
  void step(std::unique_lock<std::mutex>& lock);

  std::shared_ptr<const Embedder> embedder_;
  std::string name_;
  std::function<bool()> streaming_;
  int threads_;
  std::chrono::steady_clock::time_point streamed_ = {};  // when answers were last being written
  mutable std::mutex mutex_;
  std::condition_variable asked_, answered_;
  std::deque<std::shared_ptr<Job>> jobs_;
  EmbeddingFigures figures_;
  bool closing_ = false, refusing_ = false, ended_ = false;
  std::thread worker_;
};

}  // namespace longspan::server
