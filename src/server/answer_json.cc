#include "server/answer_json.h"

#include <chrono>
#include <random>

#include "base/text.h"
#include "server/tool_calls.h"

namespace longspan::server {

namespace {

int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

const char* reason(Finish finish) { return finish == Finish::Length ? "length" : "stop"; }

/// The bytes of a token, special ones by their names.
std::string token_bytes(const Tokenizer& tokenizer, int32_t id) {
  return tokenizer.is_special(id) ? tokenizer.token_text(id) : tokenizer.token_bytes(id);
}

Json chat_token(const Tokenizer& tokenizer, int32_t id, float logprob) {
  std::string bytes = token_bytes(tokenizer, id);
  Json list = Json::array();
  for (unsigned char byte : bytes) list.push_back(byte);
  return {{"token", valid_utf8(bytes)}, {"logprob", logprob}, {"bytes", std::move(list)}};
}

Json chat_logprobs(const Tokenizer& tokenizer, std::span<const ScoredToken> tokens) {
  Json content = Json::array();
  for (const ScoredToken& token : tokens) {
    Json one = chat_token(tokenizer, token.id, token.logprob);
    one["top_logprobs"] = Json::array();
    for (auto [id, logprob] : token.top) one["top_logprobs"].push_back(chat_token(tokenizer, id, logprob));
    content.push_back(std::move(one));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json tool_call(const ToolCall& call) {
  return {{"id", new_id("call_")},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

/// Lists of tokens as plain completions have them. `offset` is where the first one begins in the text.
Json text_logprobs(const Tokenizer& tokenizer, std::span<const ScoredToken> tokens, bool first_is_free,
                   size_t offset) {
  Json out = {{"tokens", Json::array()},
              {"token_logprobs", Json::array()},
              {"top_logprobs", Json::array()},
              {"text_offset", Json::array()}};
  for (size_t i = 0; i < tokens.size(); ++i) {
    const ScoredToken& token = tokens[i];
    std::string bytes = token_bytes(tokenizer, token.id);
    out["tokens"].push_back(valid_utf8(bytes));
    out["text_offset"].push_back(offset);
    offset += tokenizer.token_bytes(token.id).size();
    if (first_is_free && i == 0) {
      out["token_logprobs"].push_back(nullptr);
      out["top_logprobs"].push_back(nullptr);
      continue;
    }
    out["token_logprobs"].push_back(token.logprob);
    Json top = Json::object();
    for (auto [id, logprob] : token.top) {
      std::string name = valid_utf8(token_bytes(tokenizer, id));
      if (!top.contains(name)) top[name] = logprob;  // of two tokens that look alike the likelier one
    }
    out["top_logprobs"].push_back(std::move(top));
  }
  return out;
}

std::span<const ScoredToken> new_tokens(Choice& choice) {
  auto tokens = std::span<const ScoredToken>(choice.tokens).subspan(choice.shown_tokens);
  choice.shown_tokens = choice.tokens.size();
  return tokens;
}

/// The chunks of a chat: the role, text, the calls of tools when they are complete, the reason of the end.
std::vector<Json> chat_chunks(Choice& choice, size_t i, const AnswerContext& context,
                              const std::set<std::string>& tools, bool logprobs) {
  std::vector<Json> entries;
  auto add = [&](Json delta, Json finish = nullptr) -> Json& {
    return entries.emplace_back(Json{{"index", i},
                                     {"delta", std::move(delta)},
                                     {"logprobs", nullptr},
                                     {"finish_reason", std::move(finish)}});
  };
  bool ended = choice.last.finish != Finish::None;
  if (!choice.begun && (!choice.text.empty() || !choice.tokens.empty() || ended)) {
    choice.begun = true;
    add({{"role", "assistant"}, {"content", ""}});
  }
  ReadAnswer read{.content = choice.text, .calls = {}};
  if (!tools.empty()) {
    if (ended) read = read_tool_calls(choice.text, tools);
    if (read.calls.empty() && !ended) read.content.resize(shown_before_calls(choice.text));
  }
  if (read.calls.empty() && read.content.size() > choice.shown) {
    Json& entry = add({{"content", read.content.substr(choice.shown)}});
    choice.shown = read.content.size();
    if (logprobs) entry["logprobs"] = chat_logprobs(context.tokenizer, new_tokens(choice));
  } else if (logprobs && choice.shown_tokens < choice.tokens.size() && tools.empty()) {
    add({{"content", ""}})["logprobs"] = chat_logprobs(context.tokenizer, new_tokens(choice));
  }
  for (size_t c = 0; c < read.calls.size(); ++c) {
    Json call = tool_call(read.calls[c]);
    Json indexed = {{"index", c}};
    indexed.update(call);
    add({{"tool_calls", Json::array({indexed})}});
  }
  if (ended) add(Json::object(), read.calls.empty() ? reason(choice.last.finish) : "tool_calls");
  return entries;
}

Json chat_whole(const Choice& choice, size_t i, const AnswerContext& context,
                const std::set<std::string>& tools, bool logprobs) {
  ReadAnswer read = read_tool_calls(choice.text, tools);
  Json message = {{"role", "assistant"}, {"content", read.content}, {"refusal", nullptr}};
  if (!read.calls.empty()) {
    if (read.content.empty()) message["content"] = nullptr;
    for (const ToolCall& call : read.calls) message["tool_calls"].push_back(tool_call(call));
  }
  return {{"index", i},
          {"message", std::move(message)},
          {"logprobs", logprobs ? chat_logprobs(context.tokenizer, choice.tokens) : Json()},
          {"finish_reason", read.calls.empty() ? reason(choice.last.finish) : "tool_calls"}};
}

/// The tokens of prompt and answer that a plain completion reports.
std::vector<ScoredToken> reported(const Choice& choice, bool echo) {
  std::vector<ScoredToken> tokens;
  if (echo) tokens = choice.prompt;
  tokens.insert(tokens.end(), choice.tokens.begin(), choice.tokens.end());
  return tokens;
}

}  // namespace

std::string new_id(const std::string& prefix) {
  static constexpr std::string_view kCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  thread_local std::mt19937_64 random{std::random_device{}()};
  std::string id = prefix;
  for (int i = 0; i < 24; ++i) id += kCharacters[random() % kCharacters.size()];
  return id;
}

Form chat_form(const ChatCall& call, const AnswerContext& context) {
  std::set<std::string> tools = tool_names(call.tools);
  bool logprobs = call.choice.logprobs >= 0;
  Form form{.id = new_id("chatcmpl-"),
            .object = "chat.completion",
            .chunk_object = "chat.completion.chunk",
            .model = context.model,
            .created = unix_now(),
            .choices_of_prompt = static_cast<size_t>(call.n),
            .include_usage = call.include_usage,
            .progress = call.progress,
            .whole = {}};
  form.whole = [=](const Choice& choice, size_t i) {
    return chat_whole(choice, i, context, tools, logprobs);
  };
  form.chunks = [=](Choice& choice, size_t i) { return chat_chunks(choice, i, context, tools, logprobs); };
  return form;
}

Form text_form(const TextCall& call, const AnswerContext& context, const std::vector<std::string>& prompts) {
  bool logprobs = call.choice.logprobs >= 0, echo = call.echo;
  auto n = static_cast<size_t>(call.n);
  Form form{.id = new_id("cmpl-"),
            .object = "text_completion",
            .chunk_object = "text_completion",
            .model = context.model,
            .created = unix_now(),
            .choices_of_prompt = n,
            .include_usage = call.include_usage,
            .progress = call.progress,
            .whole = {}};
  form.whole = [=](const Choice& choice, size_t i) {
    const std::string& prompt = prompts[i / n];
    Json entry = {{"index", i},
                  {"text", echo ? prompt + choice.text : choice.text},
                  {"logprobs", nullptr},
                  {"finish_reason", reason(choice.last.finish)}};
    if (logprobs)
      entry["logprobs"] =
          text_logprobs(context.tokenizer, reported(choice, echo), echo, echo ? 0 : prompt.size());
    return entry;
  };
  form.chunks = [=](Choice& choice, size_t i) {
    std::vector<Json> entries;
    const std::string& prompt = prompts[i / n];
    bool ended = choice.last.finish != Finish::None, first = !choice.begun;
    // The prompt's own scores are there once it has been read.
    bool ready = !choice.text.empty() || !choice.tokens.empty() || ended;
    if (!ready) return entries;
    bool more = choice.text.size() > choice.shown || choice.tokens.size() > choice.shown_tokens;
    if (!more && !ended && !(first && echo)) return entries;
    Json entry = {{"index", i},
                  {"text", (first && echo ? prompt : "") + choice.text.substr(choice.shown)},
                  {"logprobs", nullptr},
                  {"finish_reason", ended ? Json(reason(choice.last.finish)) : Json()}};
    if (logprobs) {
      size_t offset = prompt.size() + choice.shown;
      std::vector<ScoredToken> tokens;
      if (first && echo) tokens = choice.prompt, offset = 0;
      auto fresh = new_tokens(choice);
      tokens.insert(tokens.end(), fresh.begin(), fresh.end());
      entry["logprobs"] = text_logprobs(context.tokenizer, tokens, first && echo, offset);
    }
    choice.shown = choice.text.size();
    choice.begun = true;
    entries.push_back(std::move(entry));
    return entries;
  };
  return form;
}

}  // namespace longspan::server
