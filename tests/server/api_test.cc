// The API as clients meet it, over HTTP.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "generate/sequence.h"
#include "server/fixture.h"

namespace longspan::server {
namespace {

Json chat(const std::string& text) {
  return {{"messages", Json::array({{{"role", "user"}, {"content", text}}})},
          {"temperature", 0},
          {"max_tokens", 8}};
}

TEST_F(ServerTest, AChatHasTheFormOfOpenAis) {
  start();
  Reply reply = post("/v1/chat/completions", chat("12345"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.body["object"], "chat.completion");
  EXPECT_EQ(reply.body["model"], "tiny");
  const Json& choice = reply.body["choices"][0];
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_TRUE(choice["message"]["content"].is_string());
  EXPECT_TRUE(choice["finish_reason"] == "length" || choice["finish_reason"] == "stop");
  EXPECT_EQ(reply.body["usage"]["prompt_tokens"], 8);  // five characters and three special tokens
  EXPECT_EQ(reply.body["usage"]["total_tokens"], 8 + reply.body["usage"]["completion_tokens"].get<int64_t>());
}

TEST_F(ServerTest, AGreedyCompletionIsWhatGenerateWrites) {
  start();
  Reply reply = post("/v1/completions",
                     {{"prompt", "123 456"}, {"temperature", 0}, {"max_tokens", 12}, {"ignore_eos", true}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  Sequence sequence(*engine_, 64);
  std::string text;
  sequence.feed(engine_->tokenizer().encode("123 456"));
  for (int i = 0; i < 12; ++i) {
    auto logits = sequence.logits();
    for (int32_t end : engine_->tokenizer().stop_ids()) logits[static_cast<size_t>(end)] = -INFINITY;
    auto id = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    text += engine_->tokenizer().token_bytes(id);
    sequence.feed({&id, 1});
  }
  EXPECT_EQ(reply.body["choices"][0]["text"], text);
  EXPECT_EQ(reply.body["usage"]["completion_tokens"], 12);
}

TEST_F(ServerTest, AStreamSaysWhatTheWholeSays) {
  start();
  Json request = chat("12345");
  request["logprobs"] = true, request["top_logprobs"] = 3, request["ignore_eos"] = true;
  Reply whole = post("/v1/chat/completions", request);
  ASSERT_EQ(whole.status, 200) << whole.body;
  request["stream_options"] = {{"include_usage", true}};
  std::vector<Json> events = stream("/v1/chat/completions", request);
  std::string text;
  Json tokens = Json::array();
  for (const Json& event : events) {
    if (event["choices"].empty()) continue;
    const Json& choice = event["choices"][0];
    text += choice["delta"].value("content", "");
    if (!choice["logprobs"].is_null())
      for (const Json& token : choice["logprobs"]["content"]) tokens.push_back(token);
  }
  EXPECT_EQ(text, whole.body["choices"][0]["message"]["content"]);
  EXPECT_EQ(tokens, whole.body["choices"][0]["logprobs"]["content"]);
  ASSERT_EQ(tokens.size(), 8u);
  EXPECT_EQ(tokens[0]["top_logprobs"].size(), 3u);
  EXPECT_EQ(tokens[0]["top_logprobs"][0]["logprob"], tokens[0]["logprob"]);  // greedy
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(events.back()["usage"]["completion_tokens"], 8);
  EXPECT_EQ(events[events.size() - 2]["choices"][0]["finish_reason"], "length");
}

TEST_F(ServerTest, EchoHasTheScoresOfThePromptThatScoreHas) {
  start();
  Json request = {
      {"prompt", "1234567890"}, {"max_tokens", 1}, {"echo", true}, {"logprobs", 1}, {"temperature", 0}};
  Reply reply = post("/v1/completions", request);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json& logprobs = reply.body["choices"][0]["logprobs"];
  ASSERT_EQ(logprobs["tokens"].size(), 11u);
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  std::vector<int32_t> ids = engine_->tokenizer().encode("1234567890");
  std::vector<float> want;
  Sequence(*engine_, 10).score(ids, want);
  for (size_t i = 1; i < 10; ++i) {
    EXPECT_NEAR(logprobs["token_logprobs"][i].get<double>(), want[i - 1], 2e-5);
    EXPECT_EQ(logprobs["top_logprobs"][i].size(), 1u);
  }
  // What lm-eval asks for: no answer at all, ids in place of a text, several prompts.
  request["max_tokens"] = 0;
  request["prompt"] = Json::array({ids, ids});
  Reply of_ids = post("/v1/completions", request);
  ASSERT_EQ(of_ids.status, 200) << of_ids.body;
  ASSERT_EQ(of_ids.body["choices"].size(), 2u);
  for (const Json& choice : of_ids.body["choices"]) {
    EXPECT_EQ(choice["logprobs"]["token_logprobs"].size(), 10u);
    for (size_t i = 1; i < 10; ++i)
      EXPECT_EQ(choice["logprobs"]["token_logprobs"][i], logprobs["token_logprobs"][i]);
    EXPECT_EQ(choice["text"], "1234567890");
  }
  std::string streamed;
  for (const Json& event : stream("/v1/completions", request))
    streamed += event["choices"][0].value("text", "");
  EXPECT_EQ(streamed, "12345678901234567890");
}

TEST_F(ServerTest, AnswersDifferBySeedAndNotByCompany) {
  options_.scheduler.queue = 64;
  start();
  Json request = {
      {"prompt", "1234567890 1234"}, {"max_tokens", 20}, {"n", 3}, {"seed", 5}, {"ignore_eos", true}};
  Reply alone = post("/v1/completions", request);
  ASSERT_EQ(alone.status, 200) << alone.body;
  ASSERT_EQ(alone.body["choices"].size(), 3u);
  EXPECT_NE(alone.body["choices"][0]["text"], alone.body["choices"][1]["text"]);
  std::vector<std::thread> others;
  std::atomic<int> different = 0;
  for (int i = 0; i < 6; ++i)
    others.emplace_back([&] {
      Reply reply = post("/v1/completions", request);
      if (reply.status != 200 || reply.body["choices"] != alone.body["choices"]) ++different;
    });
  for (std::thread& other : others) other.join();
  EXPECT_EQ(different, 0);
}

TEST_F(ServerTest, AConversationGoesOnWithTheIdsOfItsAnswers) {
  start();
  Json request = chat(std::string(300, '7'));
  request["ignore_eos"] = true;
  Reply first = post("/v1/chat/completions", request);
  ASSERT_EQ(first.status, 200) << first.body;
  request["messages"].push_back(first.body["choices"][0]["message"]);
  request["messages"].push_back({{"role", "user"}, {"content", std::string(40, '8')}});
  Reply second = post("/v1/chat/completions", request);
  ASSERT_EQ(second.status, 200) << second.body;
  // <33>7...7<34><35> is the first prompt; the template writes no <35> before an old answer, so that what is
  // the same ends there.
  EXPECT_GE(second.body["usage"]["prompt_tokens_details"]["cached_tokens"].get<int64_t>(), 300);
}

TEST_F(ServerTest, FaultsNameTheField) {
  start();
  struct Case {
    const char* path;
    const char* body;
    const char* param;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"/v1/chat/completions", "{}", "messages"},
           {"/v1/chat/completions", R"({"messages": 5})", "messages"},
           {"/v1/chat/completions", R"({"messages": []})", "messages"},
           {"/v1/chat/completions", R"({"messages": [5]})", "messages[0]"},
           {"/v1/chat/completions", R"({"messages": [{"role": "user"}]})", "messages[0].content"},
           {"/v1/chat/completions", R"({"messages": [{"role": "king", "content": ""}]})", "messages[0].role"},
           {"/v1/chat/completions", R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
            "messages[0].content[0].type"},
           {"/v1/completions", R"({"prompt": "1", "temperature": "hot"})", "temperature"},
           {"/v1/completions", R"({"prompt": "1", "temperature": -1})", "temperature"},
           {"/v1/completions", R"({"prompt": "1", "n": 0})", "n"},
           {"/v1/completions", R"({"prompt": "1", "n": 1.5})", "n"},
           {"/v1/completions", R"({"prompt": "1", "stop": [1]})", "stop[0]"},
           {"/v1/completions", R"({"prompt": "1", "logit_bias": {"x": 1}})", "logit_bias.x"},
           {"/v1/completions", R"({"prompt": ["1", {}]})", "prompt[1]"},
           {"/v1/completions", R"({"prompt": [-1]})", "prompt"},
           {"/v1/completions", R"({"prompt": "1", "suffix": "2"})", "suffix"},
           {"/v1/completions", R"({"prompt": "1", "model": "gpt-9"})", "model"},
           {"/v1/completions", R"({"prompt": "1", "stream_options": {"include_usage": 1}})",
            "stream_options.include_usage"},
           {"/detokenize", R"({"tokens": ["a"]})", "tokens"},
           {"/detokenize", R"({"tokens": [64]})", "tokens"},
           {"/tokenize", "{}", "prompt"}}) {
    Reply reply = post_text(c.path, c.body);
    EXPECT_TRUE(reply.status == 400 || reply.status == 404) << c.body << " " << reply.status;
    ASSERT_TRUE(reply.body.contains("error")) << c.body;
    EXPECT_EQ(reply.body["error"]["param"], c.param) << c.body << reply.body;
    EXPECT_EQ(reply.body["error"]["type"], "invalid_request_error");
    EXPECT_TRUE(reply.body["error"]["message"].is_string());
  }
  EXPECT_EQ(post_text("/v1/completions", "{\"prompt\": ").status, 400);
  EXPECT_EQ(post_text("/v1/completions", "").status, 400);
  EXPECT_EQ(get("/v1/nothing").status, 404);
  EXPECT_EQ(get("/v1/completions").status, 405);
  EXPECT_EQ(post("/v1/models", {}).status, 405);
  EXPECT_EQ(post("/v1/completions", {{"prompt", "1"}, {"model", "gpt-9"}}).status, 404);
}

TEST_F(ServerTest, WhatIsTooLongIsRefusedWithTheNumbers) {
  options_.scheduler.pool_tokens = 4 * kPageTokens;
  start();
  Reply window = post("/v1/completions", {{"prompt", std::string(2000, '1')}, {"max_tokens", 100}});
  EXPECT_EQ(window.status, 400);
  EXPECT_EQ(window.body["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(window.body["error"]["param"], "prompt");
  for (const char* number : {"2,000", "100", "2,048"})
    EXPECT_NE(window.body["error"]["message"].get<std::string>().find(number), std::string::npos)
        << window.body;
  Reply memory = post("/v1/completions", {{"prompt", std::string(900, '1')}, {"max_tokens", 100}});
  EXPECT_EQ(memory.status, 400);
  EXPECT_EQ(memory.body["error"]["code"], "memory_exceeded");
}

TEST_F(ServerTest, AFullQueueSaysWhenToComeAgain) {
  options_.scheduler.streams = 1, options_.scheduler.queue = 0;
  start();
  std::thread busy([&] {
    post("/v1/completions", {{"prompt", "1"}, {"max_tokens", 2000}, {"ignore_eos", true}});
  });
  while (server_->figures().running == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  Reply reply = post("/v1/completions", {{"prompt", "1"}});
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.body["error"]["type"], "rate_limit_error");
  ASSERT_TRUE(reply.headers.contains("Retry-After"));
  EXPECT_GE(std::stoi(reply.headers.find("Retry-After")->second), 1);
  busy.join();
}

TEST_F(ServerTest, AClientThatLeavesFreesWhatItHeld) {
  start();
  for (bool streams : {false, true}) {
    auto client = this->client();
    client.set_read_timeout(0, 100000);
    Json request = {
        {"prompt", std::string(100, '1')}, {"max_tokens", 1900}, {"ignore_eos", true}, {"stream", streams}};
    std::string part;
    auto result = client.Post("/v1/completions", httplib::Headers{}, dump_json(request), "application/json");
    client.stop();
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (server_->figures().running > 0 && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(server_->figures().running, 0);
    EXPECT_EQ(server_->figures().pages_used, 0);
  }
}

TEST_F(ServerTest, ClosingLetsRunningAnswersEnd) {
  start();
  std::thread client([&] {
    Reply reply = post("/v1/completions", {{"prompt", "1"}, {"max_tokens", 1500}, {"ignore_eos", true}});
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body["usage"]["completion_tokens"], 1500);
  });
  while (server_->figures().running == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(stop(60));
  client.join();
}

TEST_F(ServerTest, AStreamIsSentToItsEndWhenTheServerCloses) {
  start();
  std::thread client([&] {
    auto events = stream("/v1/completions", {{"prompt", "1"}, {"max_tokens", 1000}, {"ignore_eos", true}});
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(events.back()["choices"][0]["finish_reason"], "length");
  });
  while (server_->figures().running == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(stop(60));
  client.join();
}

TEST_F(ServerTest, ClosingBreaksOffWhatTakesTooLong) {
  start();
  std::thread client([&] {
    Reply reply = post("/v1/completions", {{"prompt", "1"}, {"max_tokens", 2000}, {"ignore_eos", true}});
    EXPECT_EQ(reply.status, 503);
  });
  while (server_->figures().running == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_FALSE(stop(0.01));
  client.join();
}

TEST_F(ServerTest, TokensAndTemplates) {
  start();
  Reply ids = post("/tokenize", {{"content", "12 3"}});
  EXPECT_EQ(ids.body["tokens"], Json(engine_->tokenizer().encode("12 3")));
  EXPECT_EQ(ids.body["count"], 4);
  EXPECT_EQ(post("/detokenize", {{"tokens", ids.body["tokens"]}}).body["content"],
            engine_->tokenizer().decode(engine_->tokenizer().encode("12 3")));
  Json messages = Json::array({{{"role", "user"}, {"content", "1"}}});
  EXPECT_EQ(post("/apply-template", {{"messages", messages}}).body["prompt"], "<33>1<34><35>");
  EXPECT_EQ(post("/tokenize", {{"messages", messages}}).body["count"], 4);
  Reply document = post_text("/documents?name=a.html", "<html><body><p>1 2</p></body></html>");
  EXPECT_EQ(document.status, 200);
  EXPECT_NE(document.body["text"].get<std::string>().find("1 2"), std::string::npos) << document.body;
}

TEST_F(ServerTest, ModelsHealthMetricsAndDescription) {
  start();
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(get("/v1/models").body["data"][0]["id"], "tiny");
  EXPECT_EQ(get("/v1/models/tiny").body["max_model_len"], 2048);
  EXPECT_EQ(get("/v1/models/other").status, 404);
  EXPECT_TRUE(get("/openapi.json").body.is_object());
  post("/v1/completions", {{"prompt", "123"}, {"max_tokens", 3}, {"ignore_eos", true}});
  auto metrics = client().Get("/metrics");
  ASSERT_TRUE(metrics);
  for (const char* line : {"longspan_answer_tokens_total 3\n", "longspan_prompt_tokens_total 3\n",
                           "longspan_kv_pages_in_use 0\n", "longspan_answers_total{finish=\"length\"} 1\n",
                           "longspan_time_to_first_token_seconds_count 1\n",
                           "longspan_requests_total{path=\"/v1/completions\",status=\"200\"} 1\n"})
    EXPECT_NE(metrics->body.find(line), std::string::npos) << line << metrics->body;
}

TEST_F(ServerTest, KeysAreAskedFor) {
  auto file = directory_.path / "keys";
  // sha256 of "secret", by coreutils.
  write_file_atomic(file,
                    "# ours\nsha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ann\n");
  options_.keys = ApiKeys(file);
  start();
  Json request = {{"prompt", "1"}, {"max_tokens", 1}};
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(get("/v1/models").status, 401);
  EXPECT_EQ(post("/v1/completions", request).status, 401);
  EXPECT_EQ(post("/v1/completions", request, {{"Authorization", "Bearer wrong"}}).status, 401);
  EXPECT_EQ(post("/v1/completions", request, {{"Authorization", "Bearer secret"}}).status, 200);
  write_file_atomic(file, "secret\n");
  try {
    ApiKeys keys(file);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find("secret"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("keys:1:"), std::string::npos) << e.what();
  }
}

TEST_F(ServerTest, PagesOfOthersMayAskWhereTheyAreAllowed) {
  options_.cors = "https://friend.example";
  start();
  Json request = {{"prompt", "1"}, {"max_tokens", 1}};
  EXPECT_EQ(post("/v1/completions", request, {{"Origin", "https://evil.example"}}).status, 403);
  Reply friendly = post("/v1/completions", request, {{"Origin", "https://friend.example"}});
  EXPECT_EQ(friendly.status, 200);
  ASSERT_TRUE(friendly.headers.contains("Access-Control-Allow-Origin"));
  auto own = "http://127.0.0.1:" + std::to_string(server_->port());
  EXPECT_EQ(post("/v1/completions", request, {{"Origin", own}}).status, 200);
  // The same name on both sides is what DNS rebinding looks like: it is not an address of this machine.
  auto name = "evil.example:" + std::to_string(server_->port());
  EXPECT_EQ(post("/v1/completions", request, {{"Origin", "http://" + name}, {"Host", name}}).status, 403);
  auto here = "localhost:" + std::to_string(server_->port());
  EXPECT_EQ(post("/v1/completions", request, {{"Origin", "http://" + here}, {"Host", here}}).status, 200);
  auto preflight = client().Options("/v1/completions", {{"Origin", "https://friend.example"}});
  ASSERT_TRUE(preflight);
  EXPECT_EQ(preflight->status, 204);
  EXPECT_EQ(preflight->get_header_value("Access-Control-Allow-Origin"), "https://friend.example");
}

/// What a socket gets back for these bytes.
std::string raw(int port, const std::string& bytes, int wait_ms = 3000) {
  int sock = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET, address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(sock, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  timeval time{wait_ms / 1000, wait_ms % 1000 * 1000};
  ::setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  for (size_t at = 0; at < bytes.size();) {
    ssize_t n = ::send(sock, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0) break;
    at += static_cast<size_t>(n);
  }
  std::string all;
  char buffer[4096];
  for (ssize_t n; (n = ::recv(sock, buffer, sizeof buffer, 0)) > 0;)
    all.append(buffer, static_cast<size_t>(n));
  ::close(sock);
  return all;
}

TEST_F(ServerTest, SlowHugeAndMalformedClientsAreTurnedAway) {
  options_.limits.request_seconds = 1;
  options_.limits.idle_seconds = 1;
  options_.limits.body_bytes = 100000;
  start();
  auto start_time = std::chrono::steady_clock::now();
  EXPECT_TRUE(raw(server_->port(), "GET /health HTT").find("200") == std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start_time, std::chrono::seconds(3));
  EXPECT_TRUE(raw(server_->port(), std::string(200000, 'x')).find("200 OK") == std::string::npos);
  EXPECT_NE(raw(server_->port(), "nonsense\r\n\r\n").find("400"), std::string::npos);
  std::string headers = "GET /health HTTP/1.1\r\n";
  for (int i = 0; i < 20000; ++i) headers += "X-A: " + std::string(50, 'b') + "\r\n";
  EXPECT_TRUE(raw(server_->port(), headers + "\r\n").find("200 OK") == std::string::npos);
  EXPECT_EQ(post_text("/v1/completions", std::string(200000, ' ')).status, 413);
  std::string chunked = "POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 100; ++i) chunked += "2000\r\n" + std::string(0x2000, ' ') + "\r\n";
  EXPECT_TRUE(raw(server_->port(), chunked + "0\r\n\r\n").find("200 OK") == std::string::npos);
  EXPECT_EQ(post("/v1/completions", {{"prompt", "1"}}, {{"Content-Encoding", "gzip"}}).status, 415);
  // It goes on answering, and what curl -d calls a form is read as the JSON that it is.
  auto form = client().Post("/v1/completions", R"({"prompt": "1", "max_tokens": 1})",
                            "application/x-www-form-urlencoded");
  ASSERT_TRUE(form);
  EXPECT_EQ(form->status, 200);
}

}  // namespace
}  // namespace longspan::server
