#include "eval/endpoint.h"

#include <httplib.h>

#include <chrono>
#include <cmath>
#include <regex>
#include <thread>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

struct Address {
  std::string host;  // "http://127.0.0.1:8080"
  std::string path;  // "/v1": the prefix of every API name
};

Address address_of(const std::string& url) {
  static const std::regex form("(https?://[^/]+)(/.*)?");
  std::smatch parts;
  if (!std::regex_match(url, parts, form))
    fail("--endpoint {}: http://HOST:PORT or https://HOST was expected", excerpt(url));
  std::string path = parts[2];
  while (path.ends_with('/')) path.pop_back();
  if (!path.ends_with("/v1")) path += "/v1";
  return {parts[1], path};
}

httplib::Client client_of(const Endpoint& endpoint, const Address& address) {
  httplib::Client client(address.host);
  auto seconds = static_cast<time_t>(endpoint.timeout_s);
  client.set_connection_timeout(30);
  client.set_read_timeout(seconds);
  client.set_write_timeout(seconds);
  if (!endpoint.key.empty()) client.set_bearer_token_auth(endpoint.key);
  return client;
}

std::string body_of(const httplib::Result& reply, const std::string& where) {
  if (!reply)
    fail("{}: no answer ({}); does a server listen there?", where, httplib::to_string(reply.error()));
  if (reply->status != 200)
    fail("{}: the server answered {}: {}", where, reply->status, excerpt(reply->body, 400));
  return reply->body;
}

/// False when progress asked to stop meanwhile.
bool wait(double seconds, const Progress& progress) {
  for (double waited = 0; waited < seconds; waited += 0.1) {
    if (progress && !progress(0, 1)) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return true;
}

/// Nothing when progress asked to stop.
std::optional<std::string> post(const Endpoint& endpoint, const std::string& path, const Json& request,
                                const Progress& progress) {
  constexpr int kTries = 4;
  Address address = address_of(endpoint.url);
  std::string where = address.host + path;
  for (int attempt = 1;; ++attempt) {
    httplib::Client client = client_of(endpoint, address);
    httplib::Result reply = client.Post(path, dump_json(request), "application/json");
    bool passing = !reply || reply->status == 429 || reply->status >= 500;
    if (!passing || attempt == kTries) return body_of(reply, where);
    if (!wait(std::pow(2.0, attempt - 1), progress)) return std::nullopt;
  }
}

Json request_of(const Endpoint& endpoint, const Task& task, const Prompt& prompt) {
  Json request = {{"model", endpoint.model}, {"max_tokens", task.new_tokens}, {"temperature", 0}};
  if (!task.stop.empty()) request["stop"] = task.stop;
  if (!endpoint.chat) {
    request["prompt"] = prompt.text.substr(prompt.bos);  // the server adds its own BOS
    return request;
  }
  if (prompt.messages.empty())
    fail(
        "a prompt cut in its tokens cannot be sent as turns; leave out --endpoint-chat or cut the document "
        "(--truncate left|right)");
  for (const ChatMessage& m : prompt.messages)
    request["messages"].push_back({{"role", m.role}, {"content", m.content}});
  return request;
}

std::optional<Reply> ask(const Endpoint& endpoint, const Task& task, const Prompt& prompt,
                         const Progress& progress) {
  auto start = std::chrono::steady_clock::now();
  Address address = address_of(endpoint.url);
  std::string path = address.path + (endpoint.chat ? "/chat/completions" : "/completions");
  std::optional<std::string> body = post(endpoint, path, request_of(endpoint, task, prompt), progress);
  if (!body || (progress && !progress(1, 1))) return std::nullopt;
  Reply reply = parse_reply(*body, endpoint.chat, address.host + path);
  reply.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return reply;
}

/// The count under `key` of an object; -1 when there is none.
int64_t count_at(const Json& object, const char* key) {
  auto at = object.find(key);
  if (at == object.end() || !at->is_number_integer()) return -1;
  auto count = at->get<int64_t>();
  return count >= 0 ? count : -1;  // unsigned ones beyond int64_t become negative
}

}  // namespace

Reply parse_reply(std::string_view body, bool chat, const std::string& where) {
  Json answer = parse_json(body, where);
  Reply reply;
  try {
    const Json& choice = answer.at("choices").at(0);
    const Json& text = chat ? choice.at("message").at("content") : choice.at("text");
    reply.text = text.is_null() ? "" : text.get<std::string>();
    Json reason = choice.value("finish_reason", Json());
    reply.stop = reason.is_string() && reason == "length" ? "length" : "end";
  } catch (const Json::exception& e) {
    fail("{}: the answer is not that of an OpenAI-compatible server ({}): {}", where, excerpt(e.what(), 300),
         excerpt_json(answer, 300));
  }
  Json usage = answer.value("usage", Json());
  reply.new_tokens = count_at(usage, "completion_tokens");
  int64_t prompt = count_at(usage, "prompt_tokens");
  int64_t cached =
      usage.is_object() ? count_at(usage.value("prompt_tokens_details", Json()), "cached_tokens") : -1;
  reply.read_tokens = cached >= 0 && prompt >= cached ? prompt - cached : -1;
  return reply;
}

std::string first_model(std::string_view body, const std::string& where) {
  Json list = parse_json(body, where);
  try {
    return list.at("data").at(0).at("id").get<std::string>();
  } catch (const Json::exception&) {
    fail("{}: lists no model; name one with --endpoint-model", where);
  }
}

std::string endpoint_model(const Endpoint& endpoint) {
  if (!endpoint.model.empty()) return endpoint.model;
  Address address = address_of(endpoint.url);
  std::string path = address.path + "/models", where = address.host + path;
  return first_model(body_of(client_of(endpoint, address).Get(path), where), where);
}

Responder endpoint_responder(const Endpoint& endpoint) {
  Responder responder;
  responder.answer = [endpoint](const Task& task, const Prompt& prompt, int64_t, const Progress& progress) {
    return ask(endpoint, task, prompt, progress);
  };
  return responder;
}

}  // namespace longspan
