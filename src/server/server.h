// The server: routes, keys, errors, and its life from the port to the last answer.
#pragma once

#include <memory>
#include <string>

#include "server/api.h"
#include "server/api_keys.h"
#include "server/embeddings.h"
#include "server/http.h"
#include "server/metrics.h"

namespace longspan::server {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  // 0: any
  HttpLimits limits = {};
  ApiOptions api = {};
  SchedulerOptions scheduler = {};
  ApiKeys keys = {};
  std::shared_ptr<const Embedder> embedder = {};  // of /v1/embeddings, or none
  std::string embedder_name = {};                 // under which it is asked for
  std::string cors;  // the origin whose pages may ask, "*" for all; empty: none but our own
};

/// Whether only this machine reaches a server that listens there.
bool is_loopback(const std::string& address);

class Server {
 public:
  /// Binds the port. Error when it is taken. The engine must outlive the server.
  Server(const Engine& engine, ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const { return port_; }
  std::string url() const;
  /// Answers until close() is called from another thread.
  void listen();
  /// Takes no more requests, lets those that run end for so long, then ends all connections. True when none
  /// had to be broken off.
  bool close(double seconds);
  SchedulerFigures figures() const { return scheduler_.figures(); }

 private:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;
  void define_routes();
  void route(const char* method, const std::string& path, Handler handler);
  void answer(const httplib::Request& request, httplib::Response& response, bool chat);
  void embed(const httplib::Request& request, httplib::Response& response);
  Json models() const;
  Json embedder_model() const;
  void send(std::shared_ptr<Exchange> exchange, httplib::Response& response, bool stream);
  bool admit(const httplib::Request& request, httplib::Response& response) const;
  void set_common_headers(const httplib::Request& request, httplib::Response& response) const;

  ServerOptions options_;
  Scheduler scheduler_;
  Api api_;
  std::unique_ptr<Embeddings> embeddings_;  // or none
  RequestCounts requests_;
  HttpServer http_;
  int port_ = 0;
  std::atomic<bool> closing_ = false;
  std::atomic<int64_t> answering_ = 0;  // responses that are not yet sent
};

}  // namespace longspan::server
