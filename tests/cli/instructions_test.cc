// Which texts are embedded: LLM-Embedder, known by its name, gets the instructions of what it is used for;
// other embedders get none but their own.
#include "cli/program.h"
#include "cli/retrieving.h"

namespace longspan {
namespace {

using cli::settled;

TEST(EmbedderChoices, LlmEmbedderGetsTheInstructionsOfItsUse) {
  for (const char* name : {"llm-embedder", "/models/BAAI/LLM_Embedder", "LLM-Embedder.Q8_0.gguf"}) {
    EXPECT_EQ(settled({name, "", ""}, {}).task, "qa");
    EXPECT_EQ(settled({name, "", ""}, {}).pooling, "cls");
    EXPECT_EQ(settled({name, "", ""}, {}, cli::kMemoryTask).task, "chat");
    EXPECT_EQ(settled({name, "", ""}, {}, cli::kToolTask).task, "tool");
    EXPECT_EQ(settled({name, "lrlm", ""}, {}, cli::kMemoryTask).task, "lrlm") << "what the user says counts";
  }
  for (const char* name : {"", "minilm", "/models/bge-small-en"})
    for (const char* task : {cli::kKnowledgeTask, cli::kMemoryTask, cli::kToolTask}) {
      EXPECT_EQ(settled({name, "", ""}, {}, task).task, "");
      EXPECT_EQ(settled({name, "", ""}, {}, task).pooling, "");
    }
  EXPECT_EQ(settled({}, {}).name, "minilm");
  // An index keeps what it was made with.
  retrieval::Making held;
  held.embedder = "llm-embedder", held.task = "convsearch", held.pooling = "cls";
  EXPECT_EQ(settled({}, held, cli::kMemoryTask).task, "convsearch");
}

class EmbeddedTexts : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    for (const char* name : {"llm-embedder", "bert"})
      fs::copy(fs::path(LONGSPAN_GOLDEN) / "embed" / "bge", dir_ / name, fs::copy_options::recursive);
  }
  std::string path(const char* name) { return (dir_ / name).string(); }

  double cosine(const std::string& a, const std::string& b) {
    std::vector<float> v = plain_.embed(std::vector<std::string>{a, b}, EmbedSide::Key);
    double sum = 0;
    for (size_t i = 0; i < v.size() / 2; ++i) sum += static_cast<double>(v[i]) * v[i + v.size() / 2];
    return sum;
  }
  /// That what the index found was embedded with these words before it, and the question with those.
  void expect_embedded(const char* index, const std::string& before_question, const std::string& before_key) {
    const std::string question = "where is the king";
    Outcome found = run({"index", path(index), "--search", question, "--json", "-q"});
    ASSERT_EQ(found.status, 0) << found.err;
    Json hits = found.json()["hits"];
    ASSERT_FALSE(hits.empty());
    for (const Json& hit : hits) {
      std::string text = hit["text"];
      EXPECT_NEAR(hit["cosine"], cosine(before_question + question, before_key + text), 1e-5) << text;
      double bare = cosine(question, text);
      EXPECT_EQ(std::abs(hit["cosine"].get<double>() - bare) > 1e-4, !before_key.empty()) << text;
    }
  }
  /// An index, a conversation and the steps of an agent.
  void make_all(const char* embedder) {
    write("text.txt", "the king and a dog in the window");
    ASSERT_EQ(run({"index", path("index"), path("text.txt"), "--embedder", path(embedder), "-q"}).status, 0);
    Outcome chat = run({"chat", tiny_model(512), "--memory", path("chat"), "--embedder", path(embedder), "-n",
                        "4", "-q", "--json"},
                       "who is the king?\nwhat is a cat?\n");
    ASSERT_EQ(chat.status, 0) << chat.err;
    Outcome agent =
        run({"agent", "crown", "--world", "crafting", "--policy", "plan", "--history-tokens", "1000",
             "--steps", "25", "--memory", path("agent"), "--embedder", path(embedder), "--json"});
    ASSERT_NE(agent.out.find("the budget of 25 steps is spent"), std::string::npos) << agent.err;
  }

  Embedder plain_{fs::path(LONGSPAN_GOLDEN) / "embed" / "bge", {.task = "none", .pooling = "cls"}};
};

TEST_F(EmbeddedTexts, HaveTheInstructionsOfTheirUse) {
  make_all("llm-embedder");
  expect_embedded("index", "Represent this query for retrieving relevant documents: ",
                  "Represent this document for retrieval: ");
  for (const char* memory : {"chat", "agent"})
    expect_embedded(memory, "Embed this dialogue to find useful historical dialogues: ",
                    "Embed this historical dialogue for retrieval: ");
}

TEST_F(EmbeddedTexts, AreBareForOtherEmbedders) {
  make_all("bert");
  for (const char* index : {"index", "chat", "agent"}) expect_embedded(index, "", "");
}

}  // namespace
}  // namespace longspan
