#include "server/embeddings.h"

#include <fmt/ranges.h>
#include <openssl/evp.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <exception>

#include "base/text.h"
#include "base/threads.h"
#include "server/api_error.h"
#include "server/fields.h"

namespace longspan::server {

namespace {

constexpr size_t kTextsOfTurn = 16;  // of one request, at least
constexpr size_t kTextsOfStep = 64;  // of all requests: when a step ends, newer requests get their turn
constexpr int64_t kMostWaitingTexts = 1 << 16;  // of all requests
constexpr std::chrono::seconds kAlone(2);       // after the last answer: a conversation goes on
constexpr int kNiceness = 10;                   // the streams get ten times the processor where both want it

/// Ids of an input: numbers within I32, not empty.
std::vector<int32_t> ids_of(const Json& list, const Fields& fields, const std::string& key) {
  std::vector<int32_t> ids;
  for (const Json& id : list) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
      fields.refuse(key, fmt::format("expected token ids, got {}", excerpt_json(id)));
    ids.push_back(id.get<int32_t>());
  }
  if (ids.empty()) fields.refuse(key, "a list of ids must not be empty");
  return ids;
}

EmbedSide side_of(const Fields& fields) {
  std::string type = fields.text("input_type").value_or("document");
  for (const char* query : {"query", "search_query"})
    if (type == query) return EmbedSide::Query;
  for (const char* key : {"document", "passage", "search_document"})
    if (type == key) return EmbedSide::Key;
  fields.refuse("input_type", fmt::format("expected query or document, got {}", in_quotes(type)));
}

/// Little-endian F32, as numpy reads them.
std::string base64(std::span<const float> x) {
  static_assert(std::endian::native == std::endian::little);
  std::string out((x.size_bytes() + 2) / 3 * 4 + 1, '\0');
  int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                          reinterpret_cast<const unsigned char*>(x.data()), static_cast<int>(x.size_bytes()));
  out.resize(static_cast<size_t>(n));
  return out;
}

}  // namespace

EmbeddingCall read_embedding_call(const Json& request, const Embedder& embedder) {
  Fields fields(request);
  EmbeddingCall call;
  call.model = fields.text("model").value_or("");
  std::string format = fields.text("encoding_format").value_or("float");
  if (format != "float" && format != "base64")
    fields.refuse("encoding_format", fmt::format("expected float or base64, got {}", in_quotes(format)));
  call.base64 = format == "base64";
  if (auto n = fields.integer("dimensions", 1); n && *n != embedder.dimensions())
    fields.refuse("dimensions", fmt::format("vectors of this model have {} numbers, which cannot be chosen",
                                            embedder.dimensions()));
  bool cuts = fields.integer("truncate_prompt_tokens", -1).has_value();
  EmbedSide side = side_of(fields);
  auto add = [&](std::vector<int32_t> ids, int64_t cut) {
    if (cut > 0 && !cuts)
      throw bad_request(
          fmt::format("input: text {} has {} tokens, this model reads {} at most; shorten it, or ask for "
                      "truncate_prompt_tokens=-1",
                      call.inputs.size(), std::ssize(ids) + cut, embedder.max_tokens()),
          "input", "context_length_exceeded");
    call.tokens += std::ssize(ids);
    call.inputs.push_back(std::move(ids));
  };
  auto add_text = [&](const Json& text) {
    if (text.get_ref<const std::string&>().empty()) fields.refuse("input", "a text must not be empty");
    int64_t cut = 0;
    std::vector<int32_t> ids = embedder.encode(text.get_ref<const std::string&>(), side, &cut);
    add(std::move(ids), cut);
  };
  auto add_ids = [&](const Json& list) {
    int64_t cut = 0;
    std::vector<int32_t> ids = embedder.encode_ids(ids_of(list, fields, "input"), side, &cut);
    add(std::move(ids), cut);
  };
  const Json& input = fields.require("input");
  if (input.is_string()) {
    add_text(input);
    return call;
  }
  if (!input.is_array() || input.empty())
    fields.refuse("input", fmt::format("expected a text, texts, or token ids, got {}", excerpt_json(input)));
  if (input[0].is_number()) {
    add_ids(input);
    return call;
  }
  if (input.size() > kMostInputs)
    fields.refuse("input", fmt::format("{} texts are more than {}", input.size(), kMostInputs));
  for (const Json& one : input) {
    if (one.is_string())
      add_text(one);
    else if (one.is_array())
      add_ids(one);
    else
      fields.refuse("input", fmt::format("expected a text or token ids, got {}", excerpt_json(one)));
  }
  return call;
}

std::string embedding_reply(const EmbeddingCall& call, const std::vector<float>& vectors,
                            const std::string& model) {
  size_t width = vectors.size() / call.inputs.size();
  std::string out = R"({"object":"list","data":[)";
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    std::span<const float> x(vectors.data() + i * width, width);
    std::string value = call.base64 ? "\"" + base64(x) + "\"" : fmt::format("[{}]", fmt::join(x, ","));
    out += fmt::format(R"({}{{"object":"embedding","index":{},"embedding":{}}})", i > 0 ? "," : "", i, value);
  }
  Json usage = {{"prompt_tokens", call.tokens}, {"total_tokens", call.tokens}};
  return out + fmt::format("],\"model\":{},\"usage\":{}}}\n", dump_json(model), dump_json(usage));
}

Embeddings::Embeddings(std::shared_ptr<const Embedder> embedder, std::string name,
                       std::function<bool()> streaming)
    : embedder_(std::move(embedder)),
      name_(std::move(name)),
      streaming_(std::move(streaming)),
      threads_(threads()),
      worker_([this] { work(); }) {}

Embeddings::~Embeddings() {
  close(0);
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
  }
  asked_.notify_all();
  worker_.join();
}

std::string Embeddings::answer(const Json& request, const std::function<bool()>& left) {
  EmbeddingCall call = read_embedding_call(request, *embedder_);
  if (!call.model.empty() && call.model != name_)
    throw ApiError(404, "invalid_request_error",
                   fmt::format("the model {} gives no vectors here; the one that does has the name {}",
                               in_quotes(call.model), in_quotes(name_)),
                   "model", "model_not_found");
  auto job = std::make_shared<Job>();
  job->inputs = &call.inputs;
  job->vectors.resize(call.inputs.size() * static_cast<size_t>(embedder_->dimensions()));
  std::unique_lock lock(mutex_);
  if (closing_) throw ApiError(503, "server_error", "the server is closing", "", "closing");
  if (figures_.waiting + std::ssize(call.inputs) > kMostWaitingTexts) {
    ApiError full(429, "rate_limit_error", fmt::format("{} texts wait already", figures_.waiting), "",
                  "queue_full");
    full.retry_after_s = 1;
    throw full;
  }
  figures_.waiting += std::ssize(call.inputs);
  jobs_.push_back(job);
  asked_.notify_one();
  while (!job->done) {
    answered_.wait_for(lock, std::chrono::milliseconds(100));
    auto queued = std::find(jobs_.begin(), jobs_.end(), job);
    // A job that is not queued is in the hands of the worker, which reads its inputs.
    if (job->done || queued == jobs_.end() || !left()) continue;
    figures_.waiting -= std::ssize(call.inputs) - static_cast<int64_t>(job->next);
    jobs_.erase(queued);
    return "";
  }
  bool closing = closing_;
  lock.unlock();
  if (!job->fault.empty()) {
    if (closing) throw ApiError(503, "server_error", job->fault, "", "closing");
    throw ApiError(500, "server_error", job->fault, "", "internal");
  }
  return embedding_reply(call, job->vectors, name_);
}

EmbeddingFigures Embeddings::figures() const {
  std::lock_guard lock(mutex_);
  return figures_;
}

void Embeddings::close(double seconds) {
  std::unique_lock lock(mutex_);
  closing_ = true;
  answered_.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return figures_.waiting == 0; });
  refusing_ = true;
  for (const auto& job : jobs_) {
    figures_.waiting -= std::ssize(*job->inputs) - static_cast<int64_t>(job->next);
    job->fault = "the server is closing";
    job->done = true;
  }
  jobs_.clear();
  answered_.notify_all();
}

std::vector<float> Embeddings::compute(const std::vector<std::vector<int32_t>>& texts) {
  auto now = std::chrono::steady_clock::now();
  if (streaming_()) streamed_ = now;
  set_threads(now - streamed_ < kAlone ? 1 : threads_);
  std::vector<float> vectors = embedder_->embed_encoded(texts);
  release_helpers();  // a stream may begin before the next step
  return vectors;
}

/// A few texts of each of the first requests.
void Embeddings::step(std::unique_lock<std::mutex>& lock) {
  struct Part {
    std::shared_ptr<Job> job;
    size_t first, count;
  };
  std::vector<Part> parts;
  std::vector<std::vector<int32_t>> texts;
  size_t turn = std::max(kTextsOfTurn, kTextsOfStep / jobs_.size());
  while (!jobs_.empty() && texts.size() < kTextsOfStep) {
    std::shared_ptr<Job> job = jobs_.front();
    jobs_.pop_front();
    size_t count = std::min({turn, job->inputs->size() - job->next, kTextsOfStep - texts.size()});
    for (size_t i = job->next; i < job->next + count; ++i) texts.push_back((*job->inputs)[i]);
    parts.push_back({job, job->next, count});
    job->next += count;
  }
  lock.unlock();
  std::vector<float> vectors;
  std::string fault;
  try {
    vectors = compute(texts);
  } catch (const std::exception& e) {
    fault = e.what();
  }
  lock.lock();
  auto width = static_cast<size_t>(embedder_->dimensions());
  const float* from = vectors.data();
  for (Part& part : parts) {
    Job& job = *part.job;
    figures_.waiting -= static_cast<int64_t>(part.count);
    if (fault.empty()) {
      std::copy_n(from, part.count * width, job.vectors.data() + part.first * width);
      from += part.count * width;
      figures_.texts += static_cast<int64_t>(part.count);
    }
    bool whole = job.next == job.inputs->size();
    std::string wrong = fault.empty() && !whole && refusing_ ? "the server is closing" : fault;
    if (!wrong.empty()) figures_.waiting -= static_cast<int64_t>(job.inputs->size() - job.next);
    job.fault = wrong;
    if (whole || !wrong.empty())
      job.done = true;
    else
      jobs_.push_back(part.job);
  }
  for (const auto& text : texts) figures_.tokens += std::ssize(text);
  answered_.notify_all();
}

void Embeddings::work() {
  // Of this thread alone, and of those that compute for it. Where it is not allowed the streams only wait
  // longer.
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, kNiceness));
  std::unique_lock lock(mutex_);
  while (true) {
    asked_.wait(lock, [&] { return ended_ || !jobs_.empty(); });
    if (ended_) return;
    step(lock);
  }
}

}  // namespace longspan::server
