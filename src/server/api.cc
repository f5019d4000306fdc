#include "server/api.h"

#include <algorithm>
#include <random>

#include "base/text.h"
#include "documents/document.h"
#include "server/api_error.h"
#include "server/attention_json.h"
#include "server/constraint.h"
#include "server/fields.h"

namespace longspan::server {

namespace {

constexpr size_t kMostAnswers = 256;  // prompts times n of a request

uint64_t random_seed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

uint64_t Api::seed_of(const Call& call) const {
  if (call.seed) return *call.seed;
  return options_.seed ? *options_.seed : random_seed();
}

Api::Api(const Engine& engine, Scheduler& scheduler, ApiOptions options)
    : engine_(engine),
      scheduler_(scheduler),
      options_(std::move(options)),
      started_(std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::system_clock::now().time_since_epoch())
                   .count()) {}

void Api::check_model(const std::string& name) const {
  if (name.empty() || name == options_.model) return;
  throw ApiError(404, "invalid_request_error",
                 fmt::format("the model {} is not served here; the one that is has the name {}",
                             in_quotes(name), in_quotes(options_.model)),
                 "model", "model_not_found");
}

std::string Api::render(const ChatCall& call, bool add_generation_prompt) const {
  ChatFormat chat = engine_.chat();
  for (const auto& [name, value] : call.template_variables.items()) chat.variables[name] = value;
  try {
    return chat.render(call.messages, add_generation_prompt, call.tools);
  } catch (const Error& e) {
    throw bad_request(e.what(), "messages", "chat_template");
  }
}

AnswerRequest Api::request_of(const Call& call, std::vector<int32_t> prompt, const std::string& user) const {
  AnswerRequest request{.prompt = std::move(prompt),
                        .max_tokens = call.max_tokens.value_or(0),
                        .choice = call.choice,
                        .declared_length = call.declared_length,
                        .priority = call.priority,
                        .user = call.user.empty() ? user : user + "/" + call.user,
                        .timeout_s = options_.timeout_s};
  if (call.timeout_s > 0)
    request.timeout_s =
        options_.timeout_s > 0 ? std::min(call.timeout_s, options_.timeout_s) : call.timeout_s;
  return request;
}

Api::Taken Api::take(const Call& call, std::vector<AnswerRequest> requests, Form form) const {
  return {std::make_shared<Exchange>(scheduler_.submit(std::move(requests)), std::move(form)), call.stream};
}

/// Puts what the index has for the last question before it; its sources, or null where nobody asked.
Json Api::retrieve(ChatCall& call) const {
  if (!call.retrieval) return nullptr;
  if (!options_.find_text)
    throw bad_request("this server has no index; it is started with --index", "retrieval");
  ChatMessage& last = call.messages.back();
  if (last.role != "user") throw bad_request("the last message must be a question of the user's", "messages");
  auto count = [&](const std::string& text) {
    return std::ssize(engine_.tokenizer().encode(text, {.add_special = false, .parse_special = false}));
  };
  constexpr int64_t kAround = 64;  // what stands around the passages
  int64_t window = scheduler_.options().window,
          answer = call.max_tokens.value_or(std::min(options_.max_answer, window / 4)),
          room = window - answer - count(render(call, true)) - kAround;
  if (room <= 0) throw bad_request("the conversation leaves no room for passages", "messages");
  FoundText found = options_.find_text(last.content, std::min(call.retrieval->budget, room),
                                       call.retrieval->passages, count);
  last.content = std::move(found.message);
  if (last.fields.is_object()) last.fields.erase("content");
  return std::move(found.sources);
}

Api::Taken Api::chat(const Json& request, const std::string& user) {
  ChatCall call = read_chat_call(request);
  check_model(call.model);
  Json sources = retrieve(call);
  const ChatFormat& chat = engine_.chat();
  call.choice.sampling.stop.insert(call.choice.sampling.stop.end(), chat.stops.begin(), chat.stops.end());
  std::string rendered = render(call, true);
  std::vector<int32_t> ids = memory_->encode(engine_.tokenizer(), rendered);
  int64_t window = scheduler_.options().window;
  if (!call.max_tokens)
    call.max_tokens = std::clamp<int64_t>(window - std::ssize(ids), 1, options_.max_answer);
  uint64_t seed = seed_of(call);
  std::vector<AnswerRequest> requests;
  for (int64_t i = 0; i < call.n; ++i) {
    requests.push_back(request_of(call, ids, user));
    requests.back().choice.sampling.seed = seed + static_cast<uint64_t>(i);
    requests.back().attention = call.attention && i == 0;
    requests.back().choice.constraint = constraint_of(call, engine_);
  }
  Form form = chat_form(call, {engine_.tokenizer(), options_.model});
  if (call.attention)
    form.attention = [tokenizer = engine_.tokenizer(), ids](const Choice& choice) {
      return attended_windows(tokenizer, ids, choice.attention);
    };
  form.sources = std::move(sources);
  // Where a stop string ended the answer, its ids are more than its text.
  form.done = [memory = memory_, rendered = std::move(rendered), ids = std::move(ids)](const Choice& choice,
                                                                                       size_t) {
    if (choice.last.finish == Finish::Stop || choice.ids.empty()) return;
    std::vector<int32_t> all = ids;
    all.insert(all.end(), choice.ids.begin(), choice.ids.end());
    memory->remember(rendered + choice.text, std::move(all));
  };
  return take(call, std::move(requests), std::move(form));
}

Api::Taken Api::complete(const Json& request, const std::string& user) {
  TextCall call = read_text_call(request);
  check_model(call.model);
  if (call.prompts.size() * static_cast<size_t>(call.n) > kMostAnswers)
    throw bad_request(
        fmt::format("prompt: {} prompts with n = {} are {} answers; {} are allowed", call.prompts.size(),
                    call.n, call.prompts.size() * static_cast<size_t>(call.n), kMostAnswers),
        "prompt");
  const Tokenizer& tokenizer = engine_.tokenizer();
  uint64_t seed = seed_of(call);
  std::vector<AnswerRequest> requests;
  std::vector<std::string> texts;
  for (TextCall::Prompt& prompt : call.prompts) {
    std::vector<int32_t> ids = prompt.ids ? *prompt.ids : tokenizer.encode(prompt.text);
    if (call.echo && prompt.ids)
      for (int32_t id : ids) prompt.text += tokenizer.token_bytes(id);
    texts.push_back(valid_utf8(prompt.text));
    for (int64_t i = 0; i < call.n; ++i) {
      requests.push_back(request_of(call, ids, user));
      AnswerRequest& one = requests.back();
      one.choice.sampling.seed = seed + static_cast<uint64_t>(i);
      one.score_prompt = call.echo && call.choice.logprobs >= 0;
      one.choice.constraint = constraint_of(call, engine_);
    }
  }
  Form form = text_form(call, {tokenizer, options_.model}, texts);
  return take(call, std::move(requests), std::move(form));
}

Json Api::models() const { return {{"object", "list"}, {"data", Json::array({model(options_.model)})}}; }

Json Api::model(const std::string& name) const {
  check_model(name);
  const ModelConfig& config = engine_.config();
  return {{"id", options_.model},
          {"object", "model"},
          {"created", started_},
          {"owned_by", "longspan"},
          {"max_model_len", scheduler_.options().window},
          {"meta",
           {{"n_vocab", config.vocab_size},
            {"n_ctx_train", config.position.trained_context},
            {"n_embd", config.hidden_size},
            {"pool_tokens", scheduler_.options().pool_tokens}}}};
}

Json Api::tokenize(const Json& request) {
  Fields fields(request);
  check_model(fields.text("model").value_or(""));
  std::vector<int32_t> ids;
  if (fields.find("messages")) {
    ChatCall call;
    call.messages = read_messages(request);
    if (const Json* tools = fields.list("tools")) call.tools = *tools;
    ids = encode_chat(engine_.tokenizer(),
                      render(call, fields.boolean("add_generation_prompt").value_or(true)));
  } else {
    const char* key = fields.find("content") ? "content" : "prompt";
    fields.require(key);
    bool special =
        fields.boolean("add_special").value_or(fields.boolean("add_special_tokens").value_or(true));
    ids = engine_.tokenizer().encode(
        *fields.text(key),
        {.add_special = special, .parse_special = fields.boolean("parse_special").value_or(true)});
  }
  Json reply = {{"count", ids.size()}, {"max_model_len", scheduler_.options().window}, {"tokens", ids}};
  if (fields.boolean("with_pieces").value_or(false)) {
    reply["tokens"] = Json::array();
    for (int32_t id : ids)
      reply["tokens"].push_back({{"id", id}, {"piece", valid_utf8(engine_.tokenizer().token_bytes(id))}});
  }
  return reply;
}

Json Api::detokenize(const Json& request) const {
  Fields fields(request);
  check_model(fields.text("model").value_or(""));
  fields.require("tokens");
  std::string text;
  try {
    text = engine_.tokenizer().decode(*read_ids(request, "tokens"));
  } catch (const ApiError&) {
    throw;
  } catch (const Error& e) {
    throw bad_request(e.what(), "tokens");
  }
  return {{"content", text}, {"prompt", text}};
}

Json Api::tokenizer_info() const {
  const Tokenizer& tokenizer = engine_.tokenizer();
  auto name = [&](int32_t id) { return id < 0 ? Json() : Json(tokenizer.token_text(id)); };
  return {{"tokenizer_class", tokenizer.kind()},
          {"vocab_size", tokenizer.vocab_size()},
          {"bos_token", name(tokenizer.bos_id())},
          {"eos_token", name(tokenizer.eos_id())},
          {"pad_token", nullptr}};
}

Json Api::apply_template(const Json& request) const {
  Fields fields(request);
  check_model(fields.text("model").value_or(""));
  ChatCall call = read_chat_call(request);
  return {{"prompt", render(call, fields.boolean("add_generation_prompt").value_or(true))}};
}

Json Api::read_document(std::string bytes, const std::string& name) const {
  documents::Reading reading;
  try {
    reading = documents::read_document(std::move(bytes), name, "");
  } catch (const Error& e) {
    throw bad_request(e.what(), "file", "document");
  }
  size_t tokens =
      engine_.tokenizer().encode(reading.text, {.add_special = false, .parse_special = false}).size();
  return {{"name", name}, {"text", reading.text}, {"tokens", tokens}, {"remarks", reading.remarks}};
}

}  // namespace longspan::server
