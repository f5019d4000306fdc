// /v1/embeddings: OpenAI's forms, faults, turns, and the end of the server.
#include "server/embeddings.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>

#include "server/fixture.h"

namespace longspan::server {
namespace {

class EmbeddingsTest : public ServerTest {
 protected:
  void start_with_embedder(EmbedderOptions embedding = {}) {
    options_.embedder = std::make_shared<const Embedder>(golden("mean"), embedding);
    options_.embedder_name = "vectors";
    start();
  }
  static std::filesystem::path golden(const char* name) {
    return std::filesystem::path(LONGSPAN_GOLDEN) / "embed" / name;
  }
  std::vector<float> direct(const std::string& text, EmbedSide side = EmbedSide::Key) const {
    return options_.embedder->embed(std::vector<std::string>{text}, side);
  }
  static void expect_near(const std::vector<float>& got, const std::vector<float>& want) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 2e-6);
  }
  void expect_refused(const Json& body, int status, const char* param, const char* word) {
    Reply reply = post("/v1/embeddings", body);
    EXPECT_EQ(reply.status, status) << dump_json(reply.body);
    EXPECT_EQ(reply.body["error"]["param"], param) << dump_json(reply.body);
    std::string message = reply.body["error"]["message"];
    EXPECT_NE(message.find(word), std::string::npos) << message;
  }
};

std::vector<float> decoded(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    size_t d = digits.find(c);
    if (d == digits.npos) break;
    bits = bits << 6 | static_cast<uint32_t>(d);
    if ((held += 6) >= 8) bytes.push_back(static_cast<char>(bits >> (held -= 8)));
  }
  std::vector<float> out(bytes.size() / 4);
  std::memcpy(out.data(), bytes.data(), out.size() * 4);
  return out;
}

TEST_F(EmbeddingsTest, AReplyHasTheFormOfOpenAis) {
  start_with_embedder();
  Reply reply = post("/v1/embeddings", {{"model", "vectors"}, {"input", {"a cat", "the dog"}}});
  ASSERT_EQ(reply.status, 200) << dump_json(reply.body);
  EXPECT_EQ(reply.body["object"], "list");
  EXPECT_EQ(reply.body["model"], "vectors");
  ASSERT_EQ(reply.body["data"].size(), 2u);
  EXPECT_EQ(reply.body["data"][1]["object"], "embedding");
  EXPECT_EQ(reply.body["data"][1]["index"], 1);
  expect_near(reply.body["data"][0]["embedding"], direct("a cat"));
  expect_near(reply.body["data"][1]["embedding"], direct("the dog"));
  // [CLS] a cat [SEP], and as many.
  EXPECT_EQ(reply.body["usage"], (Json{{"prompt_tokens", 8}, {"total_tokens", 8}}));
}

TEST_F(EmbeddingsTest, TextsIdsAndBase64GiveTheSameVector) {
  start_with_embedder();
  std::vector<int32_t> ids = options_.embedder->encode("a cat", EmbedSide::Key);
  ids = std::vector<int32_t>(ids.begin() + 1, ids.end() - 1);
  for (const Json& input : {Json("a cat"), Json::array({"a cat"}), Json(ids), Json::array({Json(ids)})}) {
    Reply reply = post("/v1/embeddings", {{"input", input}});
    ASSERT_EQ(reply.status, 200) << dump_json(reply.body);
    expect_near(reply.body["data"][0]["embedding"], direct("a cat"));
    EXPECT_EQ(reply.body["usage"]["prompt_tokens"], 4);
  }
  Reply reply =
      post("/v1/embeddings", {{"input", "a cat"}, {"encoding_format", "base64"}, {"dimensions", 32}});
  ASSERT_EQ(reply.status, 200) << dump_json(reply.body);
  expect_near(decoded(reply.body["data"][0]["embedding"]), direct("a cat"));
}

TEST_F(EmbeddingsTest, QueriesGetTheirInstruction) {
  start_with_embedder({.task = "bge"});
  Reply query = post("/v1/embeddings", {{"input", "a cat"}, {"input_type", "query"}});
  Reply key = post("/v1/embeddings", {{"input", "a cat"}, {"input_type", "document"}});
  expect_near(query.body["data"][0]["embedding"], direct("a cat", EmbedSide::Query));
  expect_near(key.body["data"][0]["embedding"], direct("a cat", EmbedSide::Key));
  EXPECT_GT(query.body["usage"]["prompt_tokens"], key.body["usage"]["prompt_tokens"]);
}

TEST_F(EmbeddingsTest, FaultsNameTheField) {
  start_with_embedder();
  expect_refused({{"model", "vectors"}}, 400, "input", "missing");
  expect_refused({{"input", ""}}, 400, "input", "empty");
  expect_refused({{"input", Json::array()}}, 400, "input", "expected");
  expect_refused({{"input", {{"text", "a"}}}}, 400, "input", "expected");
  expect_refused({{"input", {"a", ""}}}, 400, "input", "empty");
  expect_refused({{"input", {"a", 5}}}, 400, "input", "expected a text");
  expect_refused({{"input", {5, "a"}}}, 400, "input", "token ids");
  expect_refused({{"input", {-5}}}, 400, "input", "token ids");
  expect_refused({{"input", Json::array({Json::array()})}}, 400, "input", "empty");
  expect_refused({{"input", "a"}, {"encoding_format", "hex"}}, 400, "encoding_format", "hex");
  expect_refused({{"input", "a"}, {"dimensions", 16}}, 400, "dimensions", "32");
  expect_refused({{"input", "a"}, {"input_type", "poem"}}, 400, "input_type", "poem");
  expect_refused({{"input", "a"}, {"model", "tiny"}}, 404, "model", "vectors");
  Json many = Json::array();
  for (int i = 0; i < 2049; ++i) many.push_back("a");
  expect_refused({{"input", many}}, 400, "input", "2048");
  Reply outside = post("/v1/embeddings", {{"input", {1 << 20}}});
  EXPECT_EQ(outside.status, 400) << dump_json(outside.body);
}

TEST_F(EmbeddingsTest, WhatIsTooLongIsRefusedOrCut) {
  start_with_embedder();
  std::string text;
  for (int i = 0; i < 100; ++i) text += "cat ";
  Reply refused = post("/v1/embeddings", {{"input", {"a", text}}});
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body["error"]["code"], "context_length_exceeded");
  std::string message = refused.body["error"]["message"];
  EXPECT_NE(message.find("text 1 has 102 tokens, this model reads 64"), std::string::npos) << message;
  Reply cut = post("/v1/embeddings", {{"input", text}, {"truncate_prompt_tokens", -1}});
  ASSERT_EQ(cut.status, 200);
  expect_near(cut.body["data"][0]["embedding"], direct(text));
  EXPECT_EQ(cut.body["usage"]["prompt_tokens"], 64);
}

TEST_F(EmbeddingsTest, WithoutAnEmbedderThereIsNone) {
  start();
  expect_refused({{"input", "a"}}, 404, "model", "--embedder");
  EXPECT_EQ(get("/v1/models").body["data"].size(), 1u);
}

TEST_F(EmbeddingsTest, ModelsAndFiguresTellOfIt) {
  start_with_embedder();
  post("/v1/embeddings", {{"input", {"a", "b", "c"}}});
  Json models = get("/v1/models").body["data"];
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0]["id"], "tiny");
  EXPECT_EQ(models[1]["id"], "vectors");
  EXPECT_EQ(get("/v1/models/vectors").body["max_model_len"], 64);
  auto figures = client().Get("/metrics");
  ASSERT_TRUE(figures);
  EXPECT_NE(figures->body.find("longspan_embedded_texts_total 3\n"), std::string::npos) << figures->body;
  EXPECT_NE(figures->body.find("longspan_embedded_tokens_total 9\n"), std::string::npos);
  EXPECT_NE(figures->body.find("longspan_embeddings_waiting 0\n"), std::string::npos);
}

TEST_F(EmbeddingsTest, ManyClientsGetTheirOwnVectorsBesideStreams) {
  start_with_embedder();
  std::atomic<int> wrong = 0;
  std::vector<std::thread> clients;
  for (int c = 0; c < 6; ++c)
    clients.emplace_back([&, c] {
      Json input = Json::array();
      for (int i = 0; i < 40 + c; ++i) input.push_back("cat " + std::to_string(c * 100 + i));
      Reply reply = post("/v1/embeddings", {{"input", input}});
      if (reply.status != 200 || reply.body["data"].size() != input.size()) ++wrong;
      for (size_t i = 0; i < input.size() && reply.status == 200; i += 13) {
        std::vector<float> got = reply.body["data"][i]["embedding"], want = direct(input[i]);
        for (size_t k = 0; k < want.size(); ++k) wrong += std::fabs(got[k] - want[k]) > 2e-6f;
      }
    });
  std::vector<Json> events =
      stream("/v1/completions", {{"prompt", "123"}, {"max_tokens", 30}, {"ignore_eos", true}});
  for (std::thread& t : clients) t.join();
  EXPECT_EQ(wrong, 0);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.back()["choices"][0]["finish_reason"], "length");
}

// One text must not wait for the thousands of somebody else.
TEST_F(EmbeddingsTest, AShortRequestPassesALongOne) {
  start_with_embedder();
  Json input = Json::array();
  for (int i = 0; i < 2048; ++i) input.push_back("the long window of a text " + std::to_string(i));
  std::atomic<bool> ended = false, passed = false;
  std::thread long_one([&] {
    EXPECT_EQ(post("/v1/embeddings", {{"input", input}}).status, 200);
    ended = true;
  });
  while (!ended && client().Get("/metrics")->body.find("embeddings_waiting 0\n") != std::string::npos) {
  }
  EXPECT_EQ(post("/v1/embeddings", {{"input", "a"}}).status, 200);
  passed = !ended;
  long_one.join();
  EXPECT_TRUE(passed);
}

TEST_F(EmbeddingsTest, ClosingEndsWhatWaits) {
  start_with_embedder();
  Json input = Json::array();
  for (int i = 0; i < 2048; ++i) input.push_back("the long window of a text " + std::to_string(i));
  Reply reply;
  std::thread one([&] { reply = post("/v1/embeddings", {{"input", input}}); });
  while (client().Get("/metrics")->body.find("embeddings_waiting 0\n") != std::string::npos) {
  }
  stop(0);
  one.join();
  EXPECT_TRUE(reply.status == 503 || reply.status == 0 || reply.status == 200) << reply.status;
  if (reply.status == 503) {
    EXPECT_EQ(reply.body["error"]["code"], "closing");
  }
}

}  // namespace
}  // namespace longspan::server
