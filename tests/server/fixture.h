// A server on a port of its own with a tiny random model whose vocabulary is single characters.
#pragma once

#include <gtest/gtest.h>
#include <httplib.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "base/threads.h"
#include "checkpoint/build_files.h"
#include "model/family.h"
#include "server/server.h"

namespace longspan::server {

/// ChatML as far as a vocabulary without letters allows: <64-like> special tokens around digits.
inline constexpr const char* kTestTemplate =
    "{% for m in messages %}<33>{{ m.content }}<34>{% if m.tool_calls %}!{% endif %}{% endfor %}"
    "{% if tools %}{{ tools | length }}{% endif %}{% if add_generation_prompt %}<35>{% endif %}";

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    make_family(directory_.path, "gqa", true);
    write_file_atomic(directory_.path / "chat.jinja", kTestTemplate);
    set_threads(2);
    options_.port = 0;
    options_.api.model = "tiny";
    options_.scheduler.window = 2048;
    options_.scheduler.streams = 4;
    options_.scheduler.queue = 8;
    options_.scheduler.pool_tokens = 64 * kPageTokens;
    options_.limits.connections = 32;
  }
  void TearDown() override { stop(); }

  void start() {
    EngineOptions engine;
    engine.chat_template = (directory_.path / "chat.jinja").string();
    engine_ = std::make_unique<Engine>(directory_.path, engine);
    server_ = std::make_unique<Server>(*engine_, options_);
    thread_ = std::thread([this] { server_->listen(); });
  }
  bool stop(double seconds = 5) {
    if (!server_) return true;
    bool whole = server_->close(seconds);
    if (thread_.joinable()) thread_.join();
    server_.reset();
    return whole;
  }
  httplib::Client client() const {
    httplib::Client client("127.0.0.1", server_->port());
    client.set_read_timeout(60);
    return client;
  }
  struct Reply {
    int status = 0;
    Json body;
    httplib::Headers headers;
  };
  Reply post(const std::string& path, const Json& body, const httplib::Headers& headers = {}) const {
    return post_text(path, dump_json(body), headers);
  }
  Reply post_text(const std::string& path, const std::string& body,
                  const httplib::Headers& headers = {}) const {
    auto result = client().Post(path, headers, body, "application/json");
    if (!result) return {};
    return {result->status, parse_json(result->body, path), result->headers};
  }
  Reply get(const std::string& path, const httplib::Headers& headers = {}) const {
    auto result = client().Get(path, headers);
    if (!result) return {};
    return {result->status, parse_json(result->body, path), result->headers};
  }
  /// The values of the events of a stream; the last one must be [DONE].
  std::vector<Json> stream(const std::string& path, Json body) const {
    body["stream"] = true;
    auto result = client().Post(path, dump_json(body), "application/json");
    if (!result) return {};
    EXPECT_EQ(result->status, 200) << result->body;
    EXPECT_EQ(result->get_header_value("Content-Type"), "text/event-stream");
    std::vector<Json> events;
    bool done = false;
    for (size_t at = 0; at < result->body.size();) {
      size_t end = result->body.find("\n\n", at);
      std::string event = result->body.substr(at, end - at);
      at = end + 2;
      if (event.starts_with(':')) continue;
      EXPECT_TRUE(event.starts_with("data: ")) << event;
      EXPECT_FALSE(done);
      if (event == "data: [DONE]")
        done = true;
      else
        events.push_back(parse_json(event.substr(6), "event"));
    }
    EXPECT_TRUE(done);
    return events;
  }

  TemporaryDirectory directory_;
  ServerOptions options_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

}  // namespace longspan::server
