// The HTTP server: cpp-httplib's parser and routes on connections of our own, which have limits that the
// library's lack: how many there are at once, how long a request may take to arrive, and whether the client
// is still there while its answer is computed.
#pragma once

#include <httplib.h>

#include <atomic>
#include <cstdint>

namespace longspan::server {

struct HttpLimits {
  int64_t connections = 256;      // at once; a further one gets 503
  double request_seconds = 60;    // from its first byte to its last
  double write_seconds = 60;      // for a client to take what is sent
  double idle_seconds = 60;       // between two requests on a connection
  int64_t body_bytes = 32 << 20;  // of a request
};

class HttpServer : public httplib::Server {
 public:
  explicit HttpServer(const HttpLimits& limits);

  /// Connections now, and those that were turned away.
  int64_t connections() const { return connections_; }
  int64_t turned_away() const { return turned_away_; }
  /// Connections end after the request that they are in.
  void close_idle() { closing_ = true; }
  /// Answers until end() is called from another thread, be that before or after it has begun.
  void serve();
  void end();

 private:
  bool process_and_close_socket(socket_t sock) override;

  HttpLimits limits_;
  std::atomic<int64_t> connections_ = 0, turned_away_ = 0;
  std::atomic<bool> closing_ = false, serving_ = false, ended_ = false;
};

/// Within a handler: whether its client has closed the connection.
bool client_left();
/// Within a handler: its connection ends after the response.
void close_after_response();

}  // namespace longspan::server
