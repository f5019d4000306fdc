// What a built-in chat format brings beside its text: tiny models of two families without a template of their
// own.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "generate/engine.h"

namespace longspan {
namespace {

constexpr int kFirstSpecial = 32;

std::string special(int id) { return "<" + std::to_string(id) + ">"; }

/// 64 tokens: 32 characters and 32 special ones.
Json tokenizer() {
  Json vocab = Json::object(), added = Json::array();
  for (int id = 0; id < 64; ++id) {
    if (id < kFirstSpecial) {
      vocab[std::string(1, static_cast<char>(' ' + id))] = id;
      continue;
    }
    vocab[special(id)] = id;
    added.push_back({{"id", id},
                     {"content", special(id)},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  return {{"added_tokens", added}, {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
}

class ChatFormat : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Engine open(const std::string& family, const std::string& chat_template) {
    std::filesystem::remove_all(directory_);
    std::filesystem::copy(std::filesystem::path(LONGSPAN_GOLDEN) / "model" / family, directory_);
    std::ofstream(directory_ / "tokenizer.json") << tokenizer().dump();
    EngineOptions options;
    options.chat_template = chat_template;
    return Engine(directory_, options);
  }

 private:
  std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("longspan_chat_format_" + std::to_string(::getpid()));
};

TEST_F(ChatFormat, AFamilyWithOneFormatNeedsNoneChosen) {
  EXPECT_EQ(open("xverse", "").render_chat({{"user", "1"}}, true), "Human: 1\n\nAssistant: ");
  EXPECT_EQ(open("index", "").render_chat({{"system", "2"}, {"user", "1"}}, true),
            "<unk>2reserved_01reserved_1");
  try {
    open("aquila", "").render_chat({{"user", "1"}}, true);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("one of: xverse, aquila-chat, aquila, aquila-legacy"),
              std::string::npos)
        << e.what();
  }
}

TEST_F(ChatFormat, ASpaceFollowsAquilasPrompt) {
  Engine engine = open("aquila", "aquila-v1");
  EXPECT_EQ(engine.render_chat({{"user", "1"}}, true), "<|startofpiece|>1<|endofpiece|> ");
  EXPECT_EQ(engine.render_chat({{"user", "1"}}, false), "<|startofpiece|>1");
  EXPECT_EQ(engine.chat_stops(), (std::vector<std::string>{"</s>", "<|endoftext|>"}));
  EXPECT_TRUE(open("xverse", "").chat_stops().empty());
}

TEST_F(ChatFormat, AStopStringThatIsASpecialTokenEndsTheAnswer) {
  Engine engine = open("aquila", "aquila");
  std::vector<int32_t> prompt{1, 2, 3};
  auto run = [&](const std::vector<std::string>& stop) {
    Sequence sequence(engine, 64);
    sequence.feed(prompt);
    SamplingOptions sampling;
    sampling.stop = stop;
    return generate(sequence, engine, 48, sampling);
  };
  Generation free = run({});
  EXPECT_EQ(free.reason, StopReason::Length);
  auto first = std::find_if(free.ids.begin(), free.ids.end(), [](int32_t id) { return id >= kFirstSpecial; });
  ASSERT_NE(first, free.ids.end());
  Generation stopped = run({"never", special(*first)});
  EXPECT_EQ(stopped.reason, StopReason::StopString);
  EXPECT_EQ(stopped.ids, std::vector<int32_t>(free.ids.begin(), first));
}

}  // namespace
}  // namespace longspan
