// What SmolLM2 would be trained on in a conversation of its own chat template.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "data/conversation.h"
#include "model/model_files.h"

namespace longspan {
namespace {

TEST(ConversationSmolLM2, TrainsOnAnswersAndTheirEnds) {
  auto path = cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << path << " is missing; `longspan fetch smollm2` brings it";
  const auto [tokenizer, chat] = load_prompt_maker(open_metadata(path), "");
  ASSERT_TRUE(chat.chat_template);
  auto message = [](const char* role, const char* content) {
    return Json{{"role", role}, {"content", content}};
  };
  Json record = {
      {"messages",
       {message("user", "What is the capital of France?"), message("assistant", "Paris, of course."),
        message("user", "And of 日本?"), message("assistant", "\nTōkyō 東京\n")}}};
  Conversation c = ConversationMaker(tokenizer, chat).make(record, {});

  std::vector<std::vector<int32_t>> trained(1);  // runs of targets
  for (size_t t = 0; t < c.ids.size(); ++t) {
    if (c.weights[t] > 0)
      trained.back().push_back(c.targets[t]);
    else if (!trained.back().empty())
      trained.emplace_back();
  }
  trained.pop_back();
  ASSERT_EQ(trained.size(), 2u);
  for (const auto& run : trained) EXPECT_EQ(run.back(), tokenizer.token_id("<|im_end|>"));
  EXPECT_EQ(tokenizer.decode(trained[0]), "Paris, of course.<|im_end|>");
  // The line feeds of prompt and answer may be one token, which then is the answer's.
  std::string second = tokenizer.decode(trained[1]);
  EXPECT_NE(second.find("\nTōkyō 東京\n<|im_end|>"), std::string::npos) << second;
  EXPECT_LE(second.size(), std::string("\n\nTōkyō 東京\n<|im_end|>").size());
}

}  // namespace
}  // namespace longspan
