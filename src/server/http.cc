#include "server/http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <thread>

namespace longspan::server {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kHeaderBytes = 256 << 10;

Clock::time_point after(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

/// Whether the file becomes ready before that time.
bool wait_for(int file, short events, Clock::time_point until) {
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd one{file, events, 0};
    int ready = ::poll(&one, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 3600000)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

/// One connection, read through a buffer. Each request has a time by which it must have arrived.
class Connection : public httplib::Stream {
 public:
  Connection(socket_t sock, const HttpLimits& limits) : sock_(sock), limits_(limits) {}

  /// Waits for the first byte of a request, in short turns, for as long as `stay` says.
  template <class Stay>
  bool next_request(const Stay& stay) {
    auto until = after(limits_.idle_seconds);
    while (begin_ == end_ && !wait_for(sock_, POLLIN, std::min(until, after(0.2))))
      if (Clock::now() >= until || !stay()) return false;
    read_until_ = after(limits_.request_seconds);
    bytes_left_ = limits_.body_bytes + kHeaderBytes;
    return begin_ < end_ || !left();
  }

  /// Its other end is closed. A client that only closes its sending side counts as gone, too.
  bool left() const {
    char byte;
    ssize_t n = ::recv(sock_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
  }

  bool is_readable() const override { return begin_ < end_ || wait_for(sock_, POLLIN, read_until_); }
  bool is_writable() const override {
    return wait_for(sock_, POLLOUT, after(limits_.write_seconds)) && !left();
  }
  ssize_t read(char* to, size_t size) override {
    if (begin_ == end_) {
      // The library counts neither headers nor chunked bodies.
      if (bytes_left_ <= 0 || !wait_for(sock_, POLLIN, read_until_)) return -1;
      ssize_t n = ::recv(sock_, buffer_.data(), buffer_.size(), 0);
      if (n <= 0) return n;
      begin_ = 0, end_ = static_cast<size_t>(n);
      bytes_left_ -= n;
    }
    size_t n = std::min(size, end_ - begin_);
    std::copy_n(buffer_.begin() + static_cast<ptrdiff_t>(begin_), n, to);
    begin_ += n;
    return static_cast<ssize_t>(n);
  }
  ssize_t write(const char* from, size_t size) override {
    auto until = after(limits_.write_seconds);
    while (wait_for(sock_, POLLOUT, until)) {
      ssize_t n = ::send(sock_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n >= 0) return n;
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return -1;
    }
    return -1;
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override { address(::getpeername, ip, port); }
  void get_local_ip_and_port(std::string& ip, int& port) const override { address(::getsockname, ip, port); }
  socket_t socket() const override { return sock_; }

 private:
  template <class Get>
  void address(const Get& get, std::string& ip, int& port) const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (get(sock_, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return;
    char text[INET6_ADDRSTRLEN] = "";
    if (storage.ss_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
      ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
      port = ntohs(v4->sin_port);
    } else if (storage.ss_family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
      ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
      port = ntohs(v6->sin6_port);
    }
    ip = text;
  }

  socket_t sock_;
  const HttpLimits& limits_;
  std::array<char, 16384> buffer_;
  size_t begin_ = 0, end_ = 0;
  Clock::time_point read_until_{};
  int64_t bytes_left_ = 0;
};

thread_local const Connection* current = nullptr;
thread_local bool close_current = false;

/// curl -d says that JSON is a form; the library then takes 8 KB at most.
void correct_type(httplib::Request& request) {
  auto type = request.headers.find("Content-Type");
  if (type != request.headers.end() && type->second.starts_with("application/x-www-form-urlencoded"))
    type->second = "application/json";
}

constexpr std::string_view kBusy =
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    "Content-Type: application/json\r\nContent-Length: 118\r\n\r\n"
    "{\"error\":{\"message\":\"too many connections; try again "
    "later\",\"type\":\"server_error\",\"param\":null,"
    "\"code\":\"connections\"}}\n";
static_assert(kBusy.size() - kBusy.find("\r\n\r\n") - 4 == 118);

}  // namespace

void close_after_response() { close_current = true; }

bool client_left() { return current && current->left(); }

HttpServer::HttpServer(const HttpLimits& limits) : limits_(limits) {
  // A few threads more than connections, so that there is one to turn others away.
  constexpr int64_t kSpare = 4;
  new_task_queue = [n = limits.connections + kSpare] {
    return new httplib::ThreadPool(static_cast<size_t>(n));
  };
  set_payload_max_length(static_cast<size_t>(limits.body_bytes));
  set_tcp_nodelay(true);
  // What the header Keep-Alive says; Connection keeps the time.
  set_keep_alive_max_count(size_t{1} << 20);
  set_keep_alive_timeout(static_cast<time_t>(limits.idle_seconds));
  // The address may be taken again at once after a restart; two servers never share a port.
  set_socket_options([](socket_t sock) {
    int yes = 1;
    ::setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
}

void HttpServer::serve() {
  serving_ = true;
  if (!ended_) listen_after_bind();
  serving_ = false;
}

void HttpServer::end() {
  ended_ = true;
  // The library's stop() does nothing while its loop has not begun, which would then never end.
  while (serving_ && !is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  stop();
}

bool HttpServer::process_and_close_socket(socket_t sock) {
  if (++connections_ > limits_.connections) {
    ++turned_away_;
    [[maybe_unused]] ssize_t n = ::send(sock, kBusy.data(), kBusy.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  } else {
    Connection connection(sock, limits_);
    current = &connection;
    close_current = false;
    bool closed = false, well = true;
    while (well && !closed && !close_current && connection.next_request([&] { return !closing_; }))
      well = process_request(connection, closing_, closed, correct_type);
    current = nullptr;
  }
  --connections_;
  ::shutdown(sock, SHUT_RDWR);
  ::close(sock);
  return true;
}

}  // namespace longspan::server
