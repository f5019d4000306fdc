#include "cli/download.h"

#include <httplib.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <regex>

#include "base/error.h"
#include "base/text.h"

namespace longspan::cli {

namespace fs = std::filesystem;

namespace {

constexpr time_t kConnectSeconds = 30, kSilentSeconds = 60;
constexpr int kOk = 200, kPartial = 206, kNothingLeft = 416;

struct Address {
  std::string host;  // "https://example.org"
  std::string path;  // "/a/b?c"
};

Address address_of(const std::string& url) {
  static const std::regex form("(https?://[^/]+)(/.*)");
  std::smatch parts;
  if (!std::regex_match(url, parts, form))
    fail("{}: http://HOST/PATH or https://HOST/PATH was expected", in_quotes(url));
  return {parts[1], parts[2]};
}

std::string variable(const char* lower, const char* upper) {
  for (const char* name : {lower, upper})
    if (const char* value = std::getenv(name); value && *value) return value;
  return "";
}

/// Whether the host ends with one of the comma-separated names of no_proxy.
bool without_proxy(const std::string& host) {
  std::string names = variable("no_proxy", "NO_PROXY") + ",localhost,127.0.0.1";
  std::string bare = host.substr(host.find("://") + 3);
  bare = bare.substr(0, bare.find(':'));
  for (size_t at = 0; at < names.size();) {
    size_t end = std::min(names.find(',', at), names.size());
    std::string name = names.substr(at, end - at);
    while (name.starts_with(' ') || name.starts_with('.') || name.starts_with('*')) name.erase(0, 1);
    if (!name.empty() && (bare == name || bare.ends_with("." + name))) return true;
    at = end + 1;
  }
  return false;
}

void use_proxy(httplib::Client& client, const std::string& host) {
  bool secure = host.starts_with("https:");
  std::string proxy = secure ? variable("https_proxy", "HTTPS_PROXY") : variable("http_proxy", "HTTP_PROXY");
  if (proxy.empty()) proxy = variable("all_proxy", "ALL_PROXY");
  static const std::regex form("(?:http://)?([^:/@]+):([0-9]{1,5})/?");
  std::smatch parts;
  if (proxy.empty() || without_proxy(host)) return;
  if (!std::regex_match(proxy, parts, form))
    fail("the proxy {} of the environment is not understood; http://HOST:PORT was expected",
         in_quotes(proxy));
  client.set_proxy(parts[1], std::stoi(parts[2]));
}

/// The part while it is written.
struct Part {
  const fs::path& path;
  const Progress& progress;
  int64_t done = 0, total = 0;
  std::string fault = {};  // why receiving ended early
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{nullptr, std::fclose};

  bool stop(std::string reason) {
    fault = std::move(reason);
    return false;
  }

  bool begin(const httplib::Response& reply) {
    if (reply.status == kNothingLeft) return stop("");
    if (reply.status != kOk && reply.status != kPartial)
      return stop(fmt::format("the server answered {}", reply.status));
    std::string range = reply.get_header_value("Content-Range");
    bool goes_on = reply.status == kPartial && range.starts_with(fmt::format("bytes {}-", done));
    if (reply.status == kPartial && !goes_on)
      return stop(fmt::format("the server continues at another place ({})", excerpt(range)));
    if (!goes_on) done = 0;
    file.reset(std::fopen(path.c_str(), goes_on ? "ab" : "wb"));
    if (!file) return stop(std::strerror(errno));
    std::string length = reply.get_header_value("Content-Length");
    auto coming = static_cast<int64_t>(std::strtoull(length.c_str(), nullptr, 10));
    total = coming > 0 ? done + coming : 0;
    std::error_code error;
    fs::space_info space = fs::space(path, error);
    if (!error && space.available < static_cast<uintmax_t>(coming))
      return stop(fmt::format("{} are missing on the disk: {} are needed, {} are free",
                              human_bytes(static_cast<double>(coming) - static_cast<double>(space.available)),
                              human_bytes(static_cast<double>(coming)),
                              human_bytes(static_cast<double>(space.available))));
    return true;
  }

  bool receive(const char* data, size_t n) {
    if (std::fwrite(data, 1, n, file.get()) != n) return stop(std::strerror(errno));
    done += static_cast<int64_t>(n);
    return !progress || progress(done, total) || stop("interrupted");
  }

  /// What the system still holds back.
  void end() {
    if (file && std::fflush(file.get()) != 0) stop(std::strerror(errno));
  }
};

}  // namespace

void download(const std::string& url, const fs::path& path, const Progress& progress) {
  Address address = address_of(url);
  httplib::Client client(address.host);
  client.set_follow_location(true);
  client.set_connection_timeout(kConnectSeconds);
  client.set_read_timeout(kSilentSeconds);
  use_proxy(client, address.host);
  std::error_code none;
  Part part{path, progress};
  if (fs::exists(path, none)) part.done = static_cast<int64_t>(fs::file_size(path, none));
  httplib::Headers headers;
  if (part.done > 0) headers.emplace("Range", fmt::format("bytes={}-", part.done));
  bool answered = false;
  httplib::Result reply = client.Get(
      address.path, headers,
      [&](const httplib::Response& r) {
        answered = true;
        bool complete = r.status == kNothingLeft && part.done > 0;
        return !complete && part.begin(r);
      },
      [&](const char* data, size_t n) { return part.receive(data, n); });
  part.end();
  if (!part.fault.empty()) fail("{}: {}", excerpt(url, 300), part.fault);
  if (!reply && !(answered && !part.file))  // all of it was there
    fail("{}: {} after {}", excerpt(url, 300), httplib::to_string(reply.error()),
         human_bytes(static_cast<double>(part.done)));
  if (part.total > 0 && part.done != part.total)
    fail("{}: ended after {} of {} bytes", excerpt(url, 300), grouped(part.done), grouped(part.total));
}

}  // namespace longspan::cli
