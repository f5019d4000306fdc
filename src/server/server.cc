#include "server/server.h"

#include <chrono>
#include <cmath>
#include <thread>

#include "base/resource.h"
#include "base/text.h"
#include "server/api_error.h"
#include "server/page.h"

namespace longspan::server {

namespace {

constexpr std::chrono::seconds kLastEvents{5};
constexpr const char* kJson = "application/json";

/// `prompt`: the field that the prompt came in.
ApiError error_of(const Refused& refused, const char* prompt) {
  using Reason = Refused::Reason;
  auto make = [&](int status, const char* type, const char* param, const char* code) {
    ApiError error(status, type, refused.what(), param, code);
    error.retry_after_s = refused.retry_after_s;
    return error;
  };
  switch (refused.reason) {
    case Reason::TooLong:
      return make(400, "invalid_request_error", prompt, "context_length_exceeded");
    case Reason::TooLarge:
      return make(400, "invalid_request_error", prompt, "memory_exceeded");
    case Reason::QueueFull:
      return make(429, "rate_limit_error", "", "queue_full");
    case Reason::Closing:
      break;
  }
  return make(503, "server_error", "", "closing");
}

void put(httplib::Response& response, const Json& value) {
  response.set_content(dump_json(value) + "\n", kJson);
}

void put(httplib::Response& response, const ApiError& error) {
  response.status = error.status;
  if (error.retry_after_s > 0)
    response.set_header("Retry-After", std::to_string(static_cast<int64_t>(std::ceil(error.retry_after_s))));
  put(response, to_json(error));
}

/// What a handler threw, as a response.
void put_exception(httplib::Response& response, const std::exception_ptr& thrown, const std::string& path) {
  try {
    std::rethrow_exception(thrown);
  } catch (const ApiError& e) {
    put(response, e);
  } catch (const Refused& e) {
    put(response, error_of(e, path.ends_with("/chat/completions") ? "messages" : "prompt"));
  } catch (const Error& e) {
    put(response, bad_request(e.what()));
  } catch (const std::exception& e) {
    put(response, ApiError(500, "server_error", e.what(), "", "internal"));
  } catch (...) {
    put(response, ApiError(500, "server_error", "unknown failure", "", "internal"));
  }
}

Json body_of(const httplib::Request& request) {
  if (request.body.empty()) throw bad_request("the request has no body; it must be a JSON object");
  return parse_json(request.body, "the request");
}

/// "host:port" of an origin, "" when it is none.
std::string host_of_origin(const std::string& origin) {
  size_t at = origin.find("://");
  return at == std::string::npos ? "" : origin.substr(at + 3);
}

/// Whether a Host header names an address, or "localhost", which no name server can point elsewhere.
bool names_an_address(std::string host) {
  if (host.starts_with('[')) return true;
  if (size_t colon = host.find(':'); colon != std::string::npos) host.resize(colon);
  return host == "localhost" || host.ends_with(".localhost") ||
         (!host.empty() && host.find_first_not_of("0123456789.") == std::string::npos);
}

std::string bearer(const httplib::Request& request) {
  std::string header = request.get_header_value("Authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (header.starts_with(kBearer)) return header.substr(kBearer.size());
  return request.get_header_value("api-key");
}

bool open_to_all(const std::string& path) {
  return path == "/health" || path == "/openapi.json" || page_file(path).has_value();
}

const char* status_message(int status) {
  switch (status) {
    case 404:
      return "there is nothing at this path; /openapi.json lists what there is";
    case 405:
      return "this path does not know this method";
    case 413:
      return "the request is larger than the server takes (--max-body)";
    case 414:
      return "the path is too long";
    default:
      return "the request is not valid HTTP";
  }
}

}  // namespace

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

Server::Server(const Engine& engine, ServerOptions options)
    : options_(std::move(options)),
      scheduler_(engine, options_.scheduler),
      api_(engine, scheduler_, options_.api),
      http_(options_.limits) {
  if (options_.embedder)
    embeddings_ = std::make_unique<Embeddings>(options_.embedder, options_.embedder_name,
                                               [this] { return scheduler_.figures().running > 0; });
  define_routes();
  if (options_.port == 0)
    port_ = http_.bind_to_any_port(options_.host);
  else
    port_ = http_.bind_to_port(options_.host, options_.port) ? options_.port : -1;
  if (port_ <= 0)
    fail(
        "{}:{}: cannot be listened on; it is in use, or no address of this machine: choose another --port or "
        "--host",
        options_.host, options_.port);
}

Server::~Server() { close(0); }

std::string Server::url() const {
  bool v6 = options_.host.find(':') != std::string::npos;
  return fmt::format("http://{}:{}", v6 ? "[" + options_.host + "]" : options_.host, port_);
}

void Server::listen() { http_.serve(); }

bool Server::close(double seconds) {
  if (closing_.exchange(true)) return true;
  auto begun = std::chrono::steady_clock::now();
  bool done = scheduler_.drain(seconds);
  std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
  if (embeddings_) embeddings_->close(std::max(0.0, seconds - taken.count()));
  http_.close_idle();
  // The library cuts streams off when it stops: their last events go first.
  for (auto end = std::chrono::steady_clock::now() + kLastEvents;
       answering_ > 0 && std::chrono::steady_clock::now() < end;)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  http_.end();
  return done;
}

void Server::set_common_headers(const httplib::Request& request, httplib::Response& response) const {
  response.set_header("X-Content-Type-Options", "nosniff");
  std::string origin = request.get_header_value("Origin");
  if (options_.cors.empty() || origin.empty() || (options_.cors != "*" && options_.cors != origin)) return;
  response.set_header("Access-Control-Allow-Origin", options_.cors);
  if (options_.cors != "*") response.set_header("Vary", "Origin");
  if (request.method != "OPTIONS") return;
  response.set_header("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
  response.set_header("Access-Control-Allow-Headers", "Authorization, Content-Type, api-key");
  response.set_header("Access-Control-Max-Age", "600");
}

/// Whether the request may be answered; the response says why not.
bool Server::admit(const httplib::Request& request, httplib::Response& response) const {
  // A page of another origin could otherwise make its visitors' browsers ask; one whose name is pointed to
  // this machine after it was loaded has the same origin (DNS rebinding), but a name where an address would
  // stand. Servers for other machines may have names, and keys keep such pages out.
  std::string origin = request.get_header_value("Origin"), host = request.get_header_value("Host");
  bool trusted = !is_loopback(options_.host) || options_.keys.required() || names_an_address(host);
  bool own = origin.empty() || (host_of_origin(origin) == host && trusted) || options_.cors == "*" ||
             options_.cors == origin;
  if (!own) {
    put(response,
        ApiError(403, "invalid_request_error",
                 fmt::format("pages of {} may not use this server; start it with --cors to allow that",
                             in_quotes(origin)),
                 "", "origin"));
    return false;
  }
  // The library decompresses without a limit.
  std::string encoding = request.get_header_value("Content-Encoding");
  if (!encoding.empty() && encoding != "identity") {
    put(response, ApiError(415, "invalid_request_error", "send the request uncompressed", "", "encoding"));
    return false;
  }
  if (request.method == "OPTIONS" || !options_.keys.required() || open_to_all(request.path)) return true;
  if (options_.keys.owner(bearer(request))) return true;
  response.set_header("WWW-Authenticate", "Bearer");
  put(response, ApiError(401, "invalid_request_error",
                         "this server needs an API key: Authorization: Bearer KEY", "", "invalid_api_key"));
  return false;
}

void Server::route(const char* method, const std::string& path, Handler handler) {
  auto guarded = [this, path, handler = std::move(handler)](const httplib::Request& request,
                                                            httplib::Response& response) {
    response.status = 200;
    try {
      handler(request, response);
    } catch (...) {
      put_exception(response, std::current_exception(), path);
    }
    requests_.add(path, response.status);
  };
  if (std::string_view(method) == "GET")
    http_.Get(path, guarded);
  else
    http_.Post(path, guarded);
  auto refuse = [path](const httplib::Request&, httplib::Response& response) {
    put(response, ApiError(405, "invalid_request_error", status_message(405), "", "method"));
  };
  if (std::string_view(method) == "GET") {
    http_.Post(path, refuse);
  } else {
    http_.Get(path, refuse);
  }
  http_.Put(path, refuse).Patch(path, refuse).Delete(path, refuse);
}

void Server::send(std::shared_ptr<Exchange> exchange, httplib::Response& response, bool stream) {
  if (!stream) {
    Json reply = exchange->whole(client_left);
    if (!reply.is_null()) put(response, reply);
    return;
  }
  response.set_header("Cache-Control", "no-cache");
  response.set_header("X-Accel-Buffering", "no");
  ++answering_;
  auto provide = [exchange](size_t, httplib::DataSink& sink) {
    bool gone = false;
    auto write = [&](const std::string& text) { return sink.write(text.data(), text.size()); };
    auto left = [&] { return gone = client_left(); };
    try {
      if (exchange->stream(write, left)) return true;
    } catch (const std::exception&) {
      return false;  // nothing that was sent can be taken back: the stream breaks off
    }
    if (!gone) sink.done();
    return !gone;
  };
  response.set_chunked_content_provider("text/event-stream", provide, [this](bool) { --answering_; });
}

void Server::answer(const httplib::Request& request, httplib::Response& response, bool chat) {
  std::string user =
      options_.keys.required() ? options_.keys.owner(bearer(request)).value_or("") : request.remote_addr;
  Json body = body_of(request);
  Api::Taken taken = chat ? api_.chat(body, user) : api_.complete(body, user);
  send(std::move(taken.exchange), response, taken.stream);
}

void Server::embed(const httplib::Request& request, httplib::Response& response) {
  if (!embeddings_)
    throw ApiError(404, "invalid_request_error", "this server has no embedder; it is started with --embedder",
                   "model", "model_not_found");
  std::string reply = embeddings_->answer(body_of(request), client_left);
  if (!reply.empty()) response.set_content(reply, kJson);
}

/// The models that are served: the one that answers, and the embedder.
Json Server::models() const {
  Json list = api_.models();
  if (embeddings_) list["data"].push_back(embedder_model());
  return list;
}

Json Server::embedder_model() const {
  return {{"id", embeddings_->name()},
          {"object", "model"},
          {"created", api_.started()},
          {"owned_by", "longspan"},
          {"max_model_len", embeddings_->embedder().max_tokens()},
          {"meta", {{"n_embd", embeddings_->embedder().dimensions()}}}};
}

void Server::define_routes() {
  using Request = httplib::Request;
  using Response = httplib::Response;
  http_.set_pre_routing_handler([this](const Request& request, Response& response) {
    set_common_headers(request, response);
    if (admit(request, response)) return httplib::Server::HandlerResponse::Unhandled;
    close_after_response();  // its body has not been read
    return httplib::Server::HandlerResponse::Handled;
  });
  http_.set_exception_handler([](const Request& request, Response& response, std::exception_ptr thrown) {
    put_exception(response, thrown, request.path);
  });
  http_.set_error_handler(httplib::Server::HandlerWithResponse([](const Request&, Response& response) {
    if (response.body.empty())
      put(response, ApiError(response.status, "invalid_request_error", status_message(response.status)));
    return httplib::Server::HandlerResponse::Handled;
  }));
  http_.Options(".*", [](const Request&, Response& response) { response.status = 204; });

  for (const char* prefix : {"/v1", ""}) {
    std::string at = prefix;
    route("POST", at + "/chat/completions", [this](const auto& q, auto& r) { answer(q, r, true); });
    route("POST", at + "/completions", [this](const auto& q, auto& r) { answer(q, r, false); });
    route("POST", at + "/embeddings", [this](const auto& q, auto& r) { embed(q, r); });
    route("GET", at + "/models", [this](const auto&, auto& r) { put(r, models()); });
  }
  route("GET", "/v1/models/(.+)", [this](const auto& q, auto& r) {
    bool is_embedder = embeddings_ && q.matches[1] == embeddings_->name();
    put(r, is_embedder ? embedder_model() : api_.model(q.matches[1]));
  });
  route("POST", "/tokenize", [this](const auto& q, auto& r) { put(r, api_.tokenize(body_of(q))); });
  route("POST", "/detokenize", [this](const auto& q, auto& r) { put(r, api_.detokenize(body_of(q))); });
  route("GET", "/tokenizer_info", [this](const auto&, auto& r) { put(r, api_.tokenizer_info()); });
  route("POST", "/apply-template",
        [this](const auto& q, auto& r) { put(r, api_.apply_template(body_of(q))); });
  route("POST", "/documents", [this](const auto& q, auto& r) {
    if (q.is_multipart_form_data()) {
      if (!q.has_file("file")) throw bad_request("file: is missing", "file");
      auto file = q.get_file_value("file");
      return put(r, api_.read_document(file.content, file.filename.empty() ? "file" : file.filename));
    }
    if (q.body.empty()) throw bad_request("the request has no body; it must be a document", "file");
    put(r, api_.read_document(q.body, q.has_param("name") ? q.get_param_value("name") : "document"));
  });
  route("GET", "/health", [this](const auto&, auto& r) {
    if (closing_) throw ApiError(503, "server_error", "the server is closing", "", "closing");
    put(r, Json{{"status", "ok"}});
  });
  route("GET", "/metrics", [this](const auto&, auto& r) {
    std::string text =
        metrics_text(scheduler_.figures(), requests_, http_.connections(), http_.turned_away());
    if (embeddings_) text += metrics_text(embeddings_->figures());
    r.set_content(text, "text/plain; version=0.0.4; charset=utf-8");
  });
  route("GET", "/openapi.json", [](const auto&, auto& r) {
    std::string_view text = resource("server/openapi.json");
    r.set_content(text.data(), text.size(), kJson);
  });
  http_.Get("/.*", [](const Request& request, Response& response) {
    auto file = page_file(request.path);
    if (!file) {
      put(response, ApiError(404, "invalid_request_error", status_message(404), "", "not_found"));
      return;
    }
    response.set_header(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'");
    response.set_header("Referrer-Policy", "no-referrer");
    response.set_header("Cache-Control", "no-cache");
    response.set_content(file->bytes.data(), file->bytes.size(), file->content_type.c_str());
  });
}

}  // namespace longspan::server
