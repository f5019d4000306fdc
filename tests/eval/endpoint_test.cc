// A server that speaks as OpenAI's does: what it is asked, what is made of its answers, and what is tried
// again.
#include "eval/endpoint.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <functional>
#include <thread>
#include <utility>

#include "base/error.h"

namespace longspan {
namespace {

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

class EndpointTest : public testing::Test {
 protected:
  void SetUp() override {
    server_.Get("/v1/models", [](const httplib::Request&, httplib::Response& r) {
      r.set_content(R"({"data": [{"id": "first"}, {"id": "second"}]})", "application/json");
    });
    auto answer = [this](const httplib::Request& q, httplib::Response& r) {
      asked_.push_back(parse_json(q.body, "request"));
      asked_.back()["path"] = q.path;
      asked_.back()["key"] = q.get_header_value("Authorization");
      if (failures_-- > 0) {
        r.status = 503;
        return;
      }
      r.status = status_;
      r.set_content(reply_, "application/json");
    };
    server_.Post("/v1/completions", answer);
    server_.Post("/v1/chat/completions", answer);
    int port = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    endpoint_.url = "http://127.0.0.1:" + std::to_string(port);
    endpoint_.model = "second";
    task_.new_tokens = 7;
    task_.stop = {"\n"};
    prompt_ = {.text = "<s>Who?", .ids = {1, 2}, .bos = 3, .cut = 0, .messages = {{"user", "Who?"}}};
  }
  void TearDown() override {
    server_.stop();
    thread_.join();
  }
  std::optional<Reply> ask() { return endpoint_responder(endpoint_).answer(task_, prompt_, 100, {}); }

  httplib::Server server_;
  std::thread thread_;
  std::vector<Json> asked_;
  int failures_ = 0, status_ = 200;
  std::string reply_ = R"({"choices": [{"text": " The dog.", "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}})";
  Endpoint endpoint_;
  Task task_;
  Prompt prompt_;
};

TEST_F(EndpointTest, CompletionsGetTheRenderedPrompt) {
  endpoint_.key = "secret";
  auto reply = ask();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->text, " The dog.");
  EXPECT_EQ(reply->stop, "end");
  EXPECT_EQ(reply->new_tokens, 3);
  EXPECT_EQ(reply->read_tokens, 5);
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_EQ(asked_[0], (Json{{"model", "second"},
                             {"max_tokens", 7},
                             {"temperature", 0},
                             {"stop", {"\n"}},
                             {"prompt", "Who?"},
                             {"path", "/v1/completions"},
                             {"key", "Bearer secret"}}));
}

TEST_F(EndpointTest, ChatGetsTurns) {
  endpoint_.chat = true;
  endpoint_.url += "/v1/";
  reply_ =
      R"({"choices": [{"message": {"role": "assistant", "content": "A dog"}, "finish_reason": "length"}]})";
  auto reply = ask();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->text, "A dog");
  EXPECT_EQ(reply->stop, "length");
  EXPECT_EQ(reply->read_tokens, -1);
  EXPECT_EQ(asked_[0]["messages"], (Json{{{"role", "user"}, {"content", "Who?"}}}));
  prompt_.messages.clear();  // ids were cut
  EXPECT_THROW(ask(), Error);
}

TEST_F(EndpointTest, WhatPassesIsTriedAgainAndOtherFaultsSayWhatTheServerSaid) {
  failures_ = 1;
  ASSERT_TRUE(ask());
  EXPECT_EQ(asked_.size(), 2u);
  status_ = 400;
  reply_ = "the context is too long";
  try {
    ask();
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("400: the context is too long"), std::string::npos) << e.what();
  }
  EXPECT_EQ(asked_.size(), 3u);
  status_ = 200;
  reply_ = R"({"choices": []})";
  EXPECT_THROW(ask(), Error);
  failures_ = 1;
  EXPECT_FALSE(
      endpoint_responder(endpoint_).answer(task_, prompt_, 100, [](int64_t, int64_t) { return false; }));
}

TEST(ParseReply, CountsAreWholeNumbersOrUnknown) {
  auto counts = [](const std::string& usage) {
    Reply reply = parse_reply(R"({"choices": [{"text": "x"}], "usage": )" + usage + "}", false, "here");
    return std::pair(reply.new_tokens, reply.read_tokens);
  };
  using Pair = std::pair<int64_t, int64_t>;
  auto usage = [](const std::string& made, const std::string& prompt, const std::string& cached) {
    return R"({"completion_tokens": )" + made + R"(, "prompt_tokens": )" + prompt +
           R"(, "prompt_tokens_details": {"cached_tokens": )" + cached + "}}";
  };
  EXPECT_EQ(counts(usage("3", "9", "4")), Pair(3, 5));
  EXPECT_EQ(counts(usage("3", "4", "9")), Pair(3, -1));
  EXPECT_EQ(counts(usage("-3", "-9223372036854775808", "4")), Pair(-1, -1));
  EXPECT_EQ(counts(usage("1e300", "18446744073709551615", "4")), Pair(-1, -1));
  EXPECT_EQ(counts(usage("\"3\"", "9", "null")), Pair(-1, -1));
  EXPECT_EQ(counts(R"({"prompt_tokens": 9, "prompt_tokens_details": null})"), Pair(-1, -1));
  EXPECT_EQ(counts("null"), Pair(-1, -1));
  EXPECT_EQ(counts("[3]"), Pair(-1, -1));
}

TEST(ParseReply, WhatIsNotAnAnswerIsRefusedWithItsPlace) {
  for (const char* body :
       {"", "[]", "7", "{}", R"({"choices": []})", R"({"choices": [7]})", R"({"choices": [{"text": 7}]})",
        R"({"choices": [{"message": {"content": "x"}}]})"})
    EXPECT_NE(error_of([&] { parse_reply(body, false, "here"); }).find("here: "), std::string::npos) << body;
  for (const char* body : {"", "[]", R"({"data": []})", R"({"data": [{"id": 7}]})"})
    EXPECT_NE(error_of([&] { first_model(body, "here"); }).find("here: "), std::string::npos) << body;
}

TEST_F(EndpointTest, TheFirstListedModelIsTheDefault) {
  EXPECT_EQ(endpoint_model(endpoint_), "second");
  endpoint_.model = "";
  EXPECT_EQ(endpoint_model(endpoint_), "first");
  endpoint_.url = "ftp://x";
  EXPECT_THROW(endpoint_model(endpoint_), Error);
}

}  // namespace
}  // namespace longspan
