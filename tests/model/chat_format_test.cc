// Where a chat format comes from: the user's choice, the model, its architecture, or nowhere; read without
// weights.
#include <gtest/gtest.h>
#include <unistd.h>

#include "checkpoint/expect_error.h"
#include "model/family.h"
#include "model/model_files.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

class ChatFormats : public testing::Test {
 protected:
  void TearDown() override { fs::remove_all(directory_); }

  ChatFormat open(const std::string& family, const std::string& chosen) {
    make_family(directory_, family, false);
    return load_prompt_maker(open_metadata(directory_), chosen).chat;
  }

  fs::path directory_ = fs::temp_directory_path() / ("longspan_chat_format_" + std::to_string(::getpid()));
};

TEST_F(ChatFormats, AFamilyWithOneFormatNeedsNoneChosen) {
  EXPECT_EQ(open("xverse", "").render({{"user", "1"}}, true), "Human: 1\n\nAssistant: ");
  EXPECT_EQ(open("index", "").render({{"system", "2"}, {"user", "1"}}, true), "<unk>2reserved_01reserved_1");
  ChatFormat none = open("aquila", "");
  EXPECT_FALSE(none.chat_template);
  EXPECT_EQ(error_of([&] {
              none.render({{"user", "1"}}, true);
            }),
            directory_.string() +
                ": the model carries no chat template; choose one with --chat-template, a file or one of: "
                "xverse, aquila-chat, aquila, aquila-legacy, aquila-v1, aquila-v2, index");
}

TEST_F(ChatFormats, ASpaceFollowsAquilasPrompt) {
  ChatFormat chat = open("aquila", "aquila-v1");
  EXPECT_EQ(chat.render({{"user", "1"}}, true), "<|startofpiece|>1<|endofpiece|> ");
  EXPECT_EQ(chat.render({{"user", "1"}}, false), "<|startofpiece|>1");
  EXPECT_EQ(chat.stops, (std::vector<std::string>{"</s>", "<|endoftext|>"}));
  EXPECT_TRUE(open("xverse", "").stops.empty());
}

TEST_F(ChatFormats, TheUsersChoiceComesBeforeTheModelsOwn) {
  make_family(directory_, "aquila", false);
  write_file_atomic(directory_ / "tokenizer_config.json",
                    R"({"bos_token": {"content": "<33>"}, "chat_template": "{{ bos_token }}own"})");
  Checkpoint checkpoint = open_metadata(directory_);
  EXPECT_EQ(load_prompt_maker(checkpoint, "").chat.render({{"user", "1"}}, true), "<33>own");
  EXPECT_EQ(load_prompt_maker(checkpoint, "xverse").chat.render({{"user", "1"}}, true),
            "Human: 1\n\nAssistant: ");
  write_file_atomic(directory_ / "mine.jinja", "{{ messages[0].content }}!{{ eos_token }}");
  EXPECT_EQ(
      load_prompt_maker(checkpoint, (directory_ / "mine.jinja").string()).chat.render({{"user", "1"}}, true),
      "1!");
  EXPECT_NE(error_of([&] {
              load_prompt_maker(checkpoint, "nowhere");
            }).find("\"nowhere\" is neither a file nor one of: xverse"),
            std::string::npos);
}

TEST_F(ChatFormats, AConversationIsReadWithoutTheTokenizersOwnSpecialTokens) {
  make_family(directory_, "aquila", false);
  write_file_atomic(
      directory_ / "tokenizer_config.json",
      R"({"bos_token": "<32>", "add_bos_token": true, "chat_template": "<32>{{ messages[0].content }}"})");
  PromptMaker prompts = load_prompt_maker(open_metadata(directory_), "");
  EXPECT_EQ(prompts.encode({{"user", "12"}}), (std::vector<int32_t>{32, '1' - ' ', '2' - ' '}));
}

TEST_F(ChatFormats, EndsOfAnAnswerComeFromAllFilesAndTheTemplate) {
  make_family(directory_, "gqa", false);  // its config.json: eos_token_id 2
  write_file_atomic(directory_ / "tokenizer_config.json",
                    R"({"eos_token": "<40>", "chat_template": "{{ messages[-1].content }} <41>"})");
  write_file_atomic(directory_ / "generation_config.json", R"({"eos_token_id": [43, 42]})");
  PromptMaker prompts = load_prompt_maker(open_metadata(directory_), "");
  EXPECT_EQ(prompts.tokenizer.stop_ids(), (std::vector<int32_t>{40, 43, 42, 41}));
  EXPECT_EQ(prompts.tokenizer.specials().ends.back().from, "the chat template");
  EXPECT_EQ(prompts.chat.variables["eos_token"], "<40>");
  fs::remove(directory_ / "generation_config.json");
  EXPECT_EQ(load_tokenizer(open_metadata(directory_)).stop_ids(), (std::vector<int32_t>{40, 2}));
}

TEST_F(ChatFormats, VocabAndMergesStandForTokenizerJson) {
  make_family(directory_, "qwen2", false);
  fs::remove(directory_ / "tokenizer.json");
  EXPECT_NE(error_of([&] { load_tokenizer(open_metadata(directory_)); }).find("merges.txt"),
            std::string::npos);
  write_file_atomic(directory_ / "vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  write_file_atomic(directory_ / "merges.txt", "#version: 0.2\na b\n");
  write_file_atomic(directory_ / "added_tokens.json", R"({"<|im_end|>": 3})");
  write_file_atomic(directory_ / "special_tokens_map.json", R"({"eos_token": "<|im_end|>"})");
  Tokenizer tokenizer = load_tokenizer(open_metadata(directory_));
  EXPECT_EQ(tokenizer.encode("aab<|im_end|>b"), (std::vector<int32_t>{0, 2, 3, 1}));
  EXPECT_EQ(tokenizer.eos_id(), 3);
}

}  // namespace
}  // namespace longspan
