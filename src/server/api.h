// What the server answers, without HTTP: JSON in, JSON or an exchange out.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "generate/scheduler.h"
#include "server/answer_json.h"
#include "server/answer_memory.h"

namespace longspan::server {

/// A question with the text that was found for it, and where that is from.
struct FoundText {
  std::string message;
  Json sources;
};
/// From an index: for a question as much text as `budget` tokens hold, by `count`, of `passages` passages at
/// most (0: any number). Called from several threads. Error when nothing fits.
using FindText = std::function<FoundText(const std::string& question, int64_t budget, int64_t passages,
                                         const std::function<int64_t(const std::string&)>& count)>;

struct ApiOptions {
  std::string model;                            // under which it is asked for
  int64_t max_answer = 2048;                    // tokens of a chat's answer, where the client says nothing
  double timeout_s = 0;                         // of a request; 0: none
  std::optional<uint64_t> seed = std::nullopt;  // of requests that name none; default a new one for each
  FindText find_text = {};                      // of "retrieval"; null: there is no index
};

class Api {
 public:
  Api(const Engine& engine, Scheduler& scheduler, ApiOptions options);

  /// One request taken, and whether it wants a stream. Error: ApiError, Refused, or of the template.
  struct Taken {
    std::shared_ptr<Exchange> exchange;
    bool stream = false;
  };
  /// `user` is who asks, where the request does not say so itself.
  Taken chat(const Json& request, const std::string& user);
  Taken complete(const Json& request, const std::string& user);

  Json models() const;
  /// Error: ApiError 404.
  Json model(const std::string& name) const;
  Json tokenize(const Json& request);
  Json detokenize(const Json& request) const;
  /// The named tokens, as lm-eval's remote tokenizer asks for them.
  Json tokenizer_info() const;
  Json apply_template(const Json& request) const;
  /// A file of any kind to text (documents/document.h).
  Json read_document(std::string bytes, const std::string& name) const;

  const ApiOptions& options() const { return options_; }
  int64_t started() const { return started_; }  // seconds since 1970

 private:
  void check_model(const std::string& name) const;
  uint64_t seed_of(const Call& call) const;
  Json retrieve(ChatCall& call) const;
  std::string render(const ChatCall& call, bool add_generation_prompt) const;
  Taken take(const Call& call, std::vector<AnswerRequest> requests, Form form) const;
  AnswerRequest request_of(const Call& call, std::vector<int32_t> prompt, const std::string& user) const;

  const Engine& engine_;
  Scheduler& scheduler_;
  ApiOptions options_;
  int64_t started_;
  std::shared_ptr<AnswerMemory> memory_ = std::make_shared<AnswerMemory>();
};

}  // namespace longspan::server
