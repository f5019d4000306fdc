// What a conversation trains on: for the chat templates of real models, against what each format's description
// says the assistant writes; borders within tokens; masked spans; what makes a conversation bad.
#include "data/conversation.h"

#include "base/error.h"
#include "data/tokenizers.h"

namespace longspan {
namespace {

/// The texts of the targets of weight `weight`, runs in the row parted by "|".
std::string trained(const Conversation& c, const Tokenizer& tokenizer, float weight = 1) {
  std::string out;
  bool before = false;
  for (size_t t = 0; t < c.ids.size(); ++t) {
    bool now = c.weights[t] == weight && c.targets[t] >= 0;
    if (now && !before && !out.empty()) out += "|";
    if (now)
      out += tokenizer.is_special(c.targets[t]) ? tokenizer.token_text(c.targets[t])
                                                : tokenizer.token_bytes(c.targets[t]);
    before = now;
  }
  return out;
}

Json record(std::vector<ChatMessage> messages) {
  Json list = Json::array();
  for (const ChatMessage& m : messages) list.push_back({{"role", m.role}, {"content", m.content}});
  return {{"messages", list}};
}

const std::vector<ChatMessage> kTwoTurns = {{"user", "Hi!"},
                                            {"assistant", "Hello, friend."},
                                            {"user", "Is it?\n"},
                                            {"assistant", "  True.\n"}};

struct Format {
  const char* name;
  std::vector<std::string> special;
  const char* expected;
};

const Format kFormats[] = {
    {"smollm2", {"<|im_start|>", "<|im_end|>"}, ""},
    {"qwen2.5", {"<|im_start|>", "<|im_end|>"}, ""},
    {"qwen3", {"<|im_start|>", "<|im_end|>"}, ""},
    {"llama-2", {"<s>", "</s>"}, ""},
    {"llama-2-system", {"<s>", "</s>"}, ""},
    {"llama-3", {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, ""},
    {"llama-3.1", {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, ""},
    {"llama-3.2", {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, ""},
    {"mistral-v0.1", {"<s>", "</s>"}, ""},
    {"mistral-v0.3", {"<s>", "</s>", "[INST]", "[/INST]"}, ""},
    {"mistral-nemo", {"<s>", "</s>", "[INST]", "[/INST]"}, ""},
    {"gemma-2", {"<start_of_turn>", "<end_of_turn>"}, ""},
    {"phi-3.5", {"<|user|>", "<|assistant|>", "<|end|>", "</s>"}, ""},
    {"phi-4", {"<|im_start|>", "<|im_sep|>", "<|im_end|>"}, ""},
    {"granite-3.3", {"<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"}, ""},
    {"hermes-3-tools", {"<|im_start|>", "<|im_end|>"}, ""},
    {"glm-4.6", {"<|user|>", "<|assistant|>"}, ""},
    {"kimi-k2", {"<|im_user|>", "<|im_assistant|>", "<|im_middle|>", "<|im_end|>"}, ""},
    {"gpt-oss", {"<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>"}, ""},
    {"seed-oss", {"<seed:bos>", "<seed:eos>"}, ""},
    {"deepseek-v2", {"<｜begin▁of▁sentence｜>", "</s>"}, ""},
    {"deepseek-r1-distill", {"<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"}, ""},
};

TEST(ConversationMasks, OfRealTemplatesAreWhatTheAssistantWrites) {
  for (const Format& format : kFormats) {
    std::string path = LONGSPAN_GOLDEN "/chat/templates/" + std::string(format.name) + ".jinja";
    ChatTemplate chat(read_file(path), path);
    Tokenizer tokenizer = byte_tokenizer(format.special);
    Json variables = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
    try {
      Conversation c = ConversationMaker(tokenizer, chat, variables).make(record(kTwoTurns), {});
      EXPECT_EQ(trained(c, tokenizer), format.expected) << format.name;
    } catch (const Error& e) {
      ADD_FAILURE() << format.name << ": " << e.what();
    }
  }
}

}  // namespace
}  // namespace longspan
