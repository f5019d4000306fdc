// serve as a program: what it says when it is ready, what its requests get, how signals end it.
#include <httplib.h>

#include "cli/program.h"

namespace longspan {
namespace {

class Serve : public ProgramTest {
 protected:
  /// Starts it, asks, and ends it with the signal.
  Outcome serve(int signal, const std::function<void(httplib::Client&)>& ask,
                const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"serve",  tiny_model(512), "--port", "0",
                                          "--json", "--pool-tokens", "4096"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    fs::remove(dir_ / "stdout");  // of the server before it in the same test
    bool asked = false;
    return run_until(
        [&](pid_t) {
          fs::path file = dir_ / "stdout";
          std::string out = fs::exists(file) ? read_file(file) : "";
          if (!out.ends_with('\n')) return false;
          if (!asked) {
            httplib::Client client(parse_json(out, "stdout")["url"].get<std::string>());
            client.set_read_timeout(60);
            ask(client);
          }
          return asked = true;
        },
        signal, arguments);
  }
};

TEST_F(Serve, AnswersAndEndsWithZeroWhenItIsTerminated) {
  Outcome end = serve(SIGTERM,
                      [&](httplib::Client& client) {
                        auto health = client.Get("/health");
                        ASSERT_TRUE(health);
                        EXPECT_EQ(health->status, 200);
                        auto reply = client.Post(
                            "/v1/completions", R"({"prompt": "a cat", "max_tokens": 3, "ignore_eos": true})",
                            "application/json");
                        ASSERT_TRUE(reply);
                        EXPECT_EQ(reply->status, 200) << reply->body;
                        auto models = client.Get("/v1/models");
                        ASSERT_TRUE(models);
                        EXPECT_EQ(parse_json(models->body, "models")["data"][0]["id"], "pet");
                        EXPECT_EQ(parse_json(models->body, "models")["data"][0]["max_model_len"], 512);
                      },
                      {"--model-name", "pet"});
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_EQ(end.json()["window"], 512);
  EXPECT_NE(end.err.find("pet is served at http://127.0.0.1:"), std::string::npos) << end.err;
}

TEST_F(Serve, AnEmbedderAnswersWithVectors) {
  Outcome end =
      serve(SIGTERM,
            [&](httplib::Client& client) {
              auto reply = client.Post("/v1/embeddings", R"({"model": "bge", "input": ["a cat", "who"]})",
                                       "application/json");
              ASSERT_TRUE(reply);
              EXPECT_EQ(reply->status, 200);
              EXPECT_EQ(parse_json(reply->body, "reply")["data"].size(), 2u) << reply->body;
            },
            {"--embedder", (fs::path(LONGSPAN_GOLDEN) / "embed" / "bge").string(), "--embedder-task", "qa"});
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_NE(end.err.find("embeddings by bge: bert, 32 dimensions"), std::string::npos) << end.err;
}

TEST_F(Serve, AnIndexAnswersWhereItIsAskedFor) {
  std::string index = (dir_ / "index").string(), text;
  for (int i = 0; i < 60; ++i) text += "the dog number " + std::to_string(i) + " ran.\n\n";
  Outcome made =
      run({"index", index, write("a.txt", text), "--embedder",
           (fs::path(LONGSPAN_GOLDEN) / "embed" / "mean").string(), "--passage-tokens", "16", "-q"});
  ASSERT_EQ(made.status, 0) << made.err;
  fs::remove(dir_ / "stdout");  // of that run
  auto post = [](httplib::Client& client, const std::string& more) {
    auto reply =
        client.Post("/v1/chat/completions",
                    R"({"messages": [{"role": "user", "content": "41?"}], "max_tokens": 3)" + more + "}",
                    "application/json");
    EXPECT_TRUE(reply);
    return reply ? reply->body : "";
  };
  auto tokens = [](const Json& reply) { return reply["usage"]["prompt_tokens"].get<int64_t>(); };
  Outcome end = serve(
      SIGTERM,
      [&](httplib::Client& client) {
        Json plain = parse_json(post(client, ""), "reply");
        EXPECT_FALSE(plain.contains("sources"));
        EXPECT_FALSE(
            parse_json(post(client, R"(, "retrieval": {"index": false})"), "reply").contains("sources"));
        Json wide = parse_json(post(client, R"(, "retrieval": {})"), "reply");
        EXPECT_GT(tokens(wide), 250) << wide;
        EXPECT_LE(tokens(wide), 512 - 3);
        bool found = false;
        for (const Json& source : wide["sources"])
          found |= source["text"].get<std::string>().find("number 41 ") != std::string::npos;
        EXPECT_TRUE(found) << wide;
        Json one = parse_json(post(client, R"(, "retrieval": {"passages": 1, "budget": 200})"), "reply");
        EXPECT_EQ(one["sources"].size(), 1u);
        std::string stream = post(client, R"(, "retrieval": {}, "stream": true)");
        EXPECT_NE(stream.find("\"choices\":[],\"sources\":[{"), std::string::npos) << stream;
        for (const char* wrong :
             {R"(, "retrieval": true)", R"(, "retrieval": {"budget": 0})", R"(, "retrieval": {"budget": 2})"})
          EXPECT_EQ(parse_json(post(client, wrong), "reply")["error"]["type"], "invalid_request_error")
              << wrong;
      },
      {"--index", index});
  EXPECT_EQ(end.status, 0) << end.err;
  Outcome without = serve(SIGTERM, [&](httplib::Client& client) {
    EXPECT_NE(post(client, R"(, "retrieval": {})").find("this server has no index"), std::string::npos);
  });
  EXPECT_EQ(without.status, 0) << without.err;
}

TEST_F(Serve, CtrlCEndsIt) {
  EXPECT_EQ(serve(SIGINT, [](httplib::Client&) {}).status, 130);
}

TEST_F(Serve, APortThatIsTakenAndKeysThatAreNoneAreFaults) {
  httplib::Server other;
  int port = other.bind_to_any_port("127.0.0.1");
  Outcome taken = run({"serve", tiny_model(512), "--port", std::to_string(port)});
  EXPECT_EQ(taken.status, 1);
  EXPECT_NE(taken.err.find("cannot be listened on"), std::string::npos) << taken.err;
  Outcome keys =
      run({"serve", tiny_model(512), "--port", "0", "--api-key-file", write("keys", "open sesame\n")});
  EXPECT_EQ(keys.status, 1);
  EXPECT_TRUE(keys.one_sentence()) << keys.err;
  EXPECT_EQ(keys.err.find("sesame"), std::string::npos);
}

}  // namespace
}  // namespace longspan
