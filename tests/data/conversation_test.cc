// What a conversation trains on: for the chat templates of real models, against what each format's
// description says the assistant writes; borders within tokens; masked spans; what makes a conversation bad.
#include "data/conversation.h"

#include <iterator>
#include <set>

#include "base/error.h"
#include "base/random.h"
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

const std::vector<ChatMessage> kTwoTurns = {
    {"user", "Hi!"}, {"assistant", "Hello, friend."}, {"user", "Is it?\n"}, {"assistant", "  True.\n"}};

/// What each format has the assistant write: white space that the template puts between the prompt and the
/// answer, or before the end, is the assistant's, too; GLM's turns have no end of their own but the eos.
struct Format {
  const char* name;
  std::vector<std::string> special;
  const char* expected;
};

const Format kFormats[] = {
    {"smollm2", {"<|im_start|>", "<|im_end|>"}, "Hello, friend.<|im_end|>|  True.\n<|im_end|>"},
    {"qwen2.5", {"<|im_start|>", "<|im_end|>"}, "Hello, friend.<|im_end|>|  True.\n<|im_end|>"},
    {"qwen3",
     {"<|im_start|>", "<|im_end|>"},
     "Hello, friend.<|im_end|>|<think>\n\n</think>\n\n  True.\n<|im_end|>"},
    {"llama-2", {"<s>", "</s>"}, " Hello, friend. </s>| True. </s>"},
    {"llama-2-system", {"<s>", "</s>"}, " Hello, friend. </s>| True. </s>"},
    {"llama-3",
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     "Hello, friend.<|eot_id|>|True.<|eot_id|>"},
    {"llama-3.1",
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     "Hello, friend.<|eot_id|>|True.<|eot_id|>"},
    {"llama-3.2",
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     "Hello, friend.<|eot_id|>|True.<|eot_id|>"},
    {"mistral-v0.1", {"<s>", "</s>"}, "Hello, friend.</s>|  True.\n</s>"},
    {"mistral-v0.3", {"<s>", "</s>", "[INST]", "[/INST]"}, " Hello, friend.</s>| True.</s>"},
    {"mistral-nemo", {"<s>", "</s>", "[INST]", "[/INST]"}, "Hello, friend.</s>|  True.\n</s>"},
    {"gemma-2", {"<start_of_turn>", "<end_of_turn>"}, "Hello, friend.<end_of_turn>|True.<end_of_turn>"},
    {"phi-3.5", {"<|user|>", "<|assistant|>", "<|end|>", "</s>"}, "Hello, friend.<|end|>|  True.\n<|end|>"},
    {"phi-4", {"<|im_start|>", "<|im_sep|>", "<|im_end|>"}, "Hello, friend.<|im_end|>|  True.\n<|im_end|>"},
    {"granite-3.3",
     {"<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"},
     "Hello, friend.<|end_of_text|>|  True.\n<|end_of_text|>"},
    {"hermes-3-tools", {"<|im_start|>", "<|im_end|>"}, "Hello, friend.<|im_end|>|  True.\n<|im_end|>"},
    {"glm-4.6",
     {"<|user|>", "<|assistant|>"},
     "\n<think></think>\nHello, friend.<eos>|\n<think></think>\nTrue.<eos>"},
    {"kimi-k2",
     {"<|im_user|>", "<|im_assistant|>", "<|im_middle|>", "<|im_end|>"},
     "Hello, friend.<|im_end|>|  True.\n<|im_end|>"},
    {"gpt-oss",
     {"<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>"},
     "<|channel|>final<|message|>Hello, friend.<|end|>|<|channel|>final<|message|>  True.\n<|return|>"},
    {"seed-oss", {"<seed:bos>", "<seed:eos>"}, "Hello, friend.<seed:eos>|True.<seed:eos>"},
    {"deepseek-v2", {"<｜begin▁of▁sentence｜>", "</s>"}, " Hello, friend.</s>|   True.\n</s>"},
    {"deepseek-r1-distill",
     {"<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"},
     "Hello, friend.<｜end▁of▁sentence｜>|  True.\n<｜end▁of▁sentence｜>"},
};

ChatFormat format_of(const std::string& jinja, const Json& variables = Json::object()) {
  return {.chat_template = ChatTemplate(jinja, "template"), .variables = variables};
}

ChatFormat real_format(const std::string& name, const Json& variables) {
  return format_of(read_file(LONGSPAN_GOLDEN "/chat/templates/" + name + ".jinja"), variables);
}

TEST(ConversationMasks, OfRealTemplatesAreWhatTheAssistantWrites) {
  Json variables = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"tools", Json::array()}};
  for (const Format& format : kFormats) {
    Tokenizer tokenizer = byte_tokenizer(format.special);
    if (format.name != std::string("hermes-3-tools")) variables["tools"] = nullptr;
    ChatFormat chat = real_format(format.name, variables);
    Conversation c = ConversationMaker(tokenizer, chat).make(record(kTwoTurns), {});
    EXPECT_EQ(trained(c, tokenizer), format.expected) << format.name;
    variables["tools"] = Json::array();
    // What is fed is the rendered text, whole.
    std::string fed;
    for (int32_t id : c.ids)
      fed += tokenizer.is_special(id) ? tokenizer.token_text(id) : tokenizer.token_bytes(id);
    EXPECT_NE(fed.find("Is it?"), std::string::npos) << format.name;
    EXPECT_EQ(c.ids.size(), c.targets.size());
  }
}

TEST(ConversationMasks, OfBuiltinTemplates) {
  auto of = [](const char* name, std::vector<std::string> special) {
    ChatFormat chat = builtin_chat_format(*builtin_chat_template(name));
    Tokenizer tokenizer = byte_tokenizer(special);
    return trained(ConversationMaker(tokenizer, chat).make(record(kTwoTurns), {}), tokenizer);
  };
  EXPECT_EQ(of("xverse", {"<|endoftext|>"}), "Hello, friend.<|endoftext|>|  True.\n<|endoftext|>");
  // An end that is ordinary text is written by the assistant as well; the blank after "Assistant:" is the
  // suffix of the prompt.
  EXPECT_EQ(of("aquila-chat", {}), "Hello, friend.###|  True.\n###");
  EXPECT_EQ(of("aquila-v2", {"<|startofpiece|>", "<|endofpiece|>", "</s>"}),
            "Hello, friend.</s>|  True.\n</s>");
  EXPECT_EQ(of("index", {"reserved_0", "reserved_1", "<unk>"}), "Hello, friend.<eos>|  True.\n<eos>");
}

std::string chat_ml(const std::string& gap) {
  return "{% for m in messages %}<|im_start|>{{ m.role }}" + gap + "{{ m.content }}<|im_end|>" + gap +
         "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant" + gap + "{% endif %}";
}
const std::string kChatMl = chat_ml("\n");

std::string random_text(Random& random) {
  static const char* const parts[] = {"the ", "time", " ",   "\n", "\n\n", "  ",
                                      "它是", "é",    "123", ".",  "x_y",  "\t"};
  std::string text;
  for (uint64_t n = 1 + random.below(12); n > 0; --n) text += parts[random.below(std::size(parts))];
  return text + "e";  // an answer of white space only is refused
}

/// By the definition: a token is trained when it begins where an answer's text does or later (or reaches into
/// it with nothing but white space before), and not behind the answer's end token.
std::vector<bool> expected_mask(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  const std::string open = "<|im_start|>assistant\n", close = "<|im_end|>";
  std::string text = tokenizer.decode(ids);
  std::vector<std::pair<size_t, size_t>> answers;
  for (size_t at = 0; (at = text.find(open, at)) != std::string::npos;) {
    at += open.size();
    answers.emplace_back(at, text.find(close, at) + close.size());
  }
  std::vector<bool> mask;
  size_t begin = 0;
  for (int32_t id : ids) {
    size_t end =
        begin + (tokenizer.is_special(id) ? tokenizer.token_text(id) : tokenizer.token_bytes(id)).size();
    mask.push_back(std::any_of(answers.begin(), answers.end(), [&](const auto& a) {
      bool reaches_in = begin < a.first && a.first < end &&
                        text.substr(begin, a.first - begin).find_first_not_of(" \n\t") == std::string::npos;
      return reaches_in || (a.first <= begin && begin < a.second);
    }));
    begin = end;
  }
  return mask;
}

TEST(ConversationMasks, BordersWithinTokensAgreeWithBruteForce) {
  Tokenizer tokenizer = golden_tokenizer("byte_level");
  ChatFormat chat = format_of(kChatMl);
  ConversationMaker maker(tokenizer, chat);
  Random random(7);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<ChatMessage> messages;
    if (random.below(2)) messages.push_back({"system", random_text(random)});
    for (uint64_t turns = 1 + random.below(4); turns > 0; --turns) {
      messages.push_back({"user", random_text(random)});
      messages.push_back({"assistant", random_text(random)});
    }
    Conversation c = maker.make(record(messages), {});
    std::vector<bool> mask = expected_mask(tokenizer, c.ids);
    for (size_t t = 0; t + 1 < c.ids.size(); ++t) {
      ASSERT_EQ(c.weights[t], mask[t + 1] ? 1.0f : 0.0f) << trial << " token " << t;
      ASSERT_EQ(c.targets[t], c.ids[t + 1]);
    }
    ASSERT_EQ(c.targets.back(), -1);
  }
}

TEST(ConversationMasks, HoldForTokenizersThatPutABlankBeforeWords) {
  // The unigram model's normalizer makes a blank of a line feed, which no answer may begin behind.
  for (auto [name, gap] : {std::pair("byte_fallback", "\n"), std::pair("unigram", ": ")}) {
    ChatFormat chat = format_of(chat_ml(gap));
    Tokenizer tokenizer = golden_tokenizer(name);
    Conversation c = ConversationMaker(tokenizer, chat)
                         .make(record({{"user", "what is it"}, {"assistant", "the time of it"}}), {});
    // Where the blank is part of the answer's first token, that token is the answer's.
    EXPECT_EQ(trained(c, tokenizer),
              std::string(gap == std::string("\n") ? "" : " ") + "the time of it<|im_end|>")
        << name;
  }
}

TEST(ConversationMasks, TextThatIsNormalizedIsTrainedButNotCut) {
  Tokenizer tokenizer = golden_tokenizer("byte_level");  // NFC
  ChatFormat chat = format_of(kChatMl);
  ConversationMaker maker(tokenizer, chat);
  Json decomposed = record({{"user", "cafe\u0301 or not"}, {"assistant", "cafe\u0301 it is"}});
  EXPECT_EQ(trained(maker.make(decomposed, {}), tokenizer), "caf\u00e9 it is<|im_end|>");
  decomposed["masked"] = {{6, 8}};  // inside what was rewritten
  EXPECT_THROW(maker.make(decomposed, {}), Error);
}

TEST(ConversationMasks, TextHasItsWeightAndMaskedSpansNone) {
  Tokenizer tokenizer = byte_tokenizer({"<|im_start|>", "<|im_end|>"});
  ChatFormat chat = format_of(kChatMl);
  Json conversation =
      record({{"user", "在it FACT is"}, {"assistant", "yes"}, {"user", "so"}, {"assistant", "ok"}});
  conversation["masked"] = {{4, 8}};  // characters, not bytes
  Conversation c = ConversationMaker(tokenizer, chat).make(conversation, {.answer = 1, .text = 0.25});
  EXPECT_EQ(trained(c, tokenizer), "yes<|im_end|>|ok<|im_end|>");
  EXPECT_EQ(trained(c, tokenizer, 0.25f), "在it | is|so");
}

TEST(ConversationMasks, MaskedSpansFollowAStrippedMessage) {
  Tokenizer tokenizer = byte_tokenizer({"<start_of_turn>", "<end_of_turn>"});
  ChatFormat chat = real_format("gemma-2", {{"bos_token", "<s>"}});
  Json conversation = record({{"user", "\n  it FACT is \n"}, {"assistant", "yes"}});
  conversation["masked"] = {{0, 2}, {6, 10}, {13, 15}};
  Conversation c = ConversationMaker(tokenizer, chat).make(conversation, {.answer = 1, .text = 0.5});
  EXPECT_EQ(trained(c, tokenizer, 0.5f), "it | is");
}

TEST(Conversations, ThatCannotBeTrainedOnAreErrors) {
  Tokenizer tokenizer = byte_tokenizer();
  auto fault = [&](const std::string& jinja, const Json& conversation) -> std::string {
    ChatFormat chat = format_of(jinja);
    try {
      ConversationMaker(tokenizer, chat).make(conversation, {});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  Json good = record(kTwoTurns);
  EXPECT_EQ(fault(kChatMl, good), "");
  EXPECT_NE(fault(kChatMl, Json::object()).find("\"messages\""), std::string::npos);
  EXPECT_NE(fault(kChatMl, record({{"user", "x"}})).find("no message of the assistant"), std::string::npos);
  EXPECT_NE(fault(kChatMl, record({{"user", "x"}, {"assistant", " \n"}})).find("empty answer"),
            std::string::npos);
  Json bad_span = good;
  for (const Json& span : {Json{{0, 4}}, Json{{-1, 2}}, Json{{1}}, Json{{"a", 1}}, Json{1}, Json("x")}) {
    bad_span["masked"] = span;
    EXPECT_NE(fault(kChatMl, bad_span), "") << span;
  }
  // Templates that cannot say what is trained: an answer dropped, shown twice, rewritten, with different
  // ends.
  EXPECT_NE(fault("{{ messages[0].content }}", good).find("not at all"), std::string::npos);
  EXPECT_NE(
      fault("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", good).find("more than once"),
      std::string::npos);
  EXPECT_NE(fault("{% for m in messages %}{{ m.content | replace('e', 'E') }}.{% endfor %}",
                  record({{"user", "x"}, {"assistant", "red"}})),
            "");
  EXPECT_NE(fault("{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ '!' if loop.last "
                  "else '?' }}"
                  "{% endif %}\n{% endfor %}",
                  good)
                .find("differently depending on what follows"),
            std::string::npos);
}

/// ChatML with a byte tokenizer: what the answers of a record train.
std::string learnt(const Json& record, float weight = 1) {
  Tokenizer tokenizer = byte_tokenizer({"<|im_start|>", "<|im_end|>"});
  ChatFormat chat = format_of(kChatMl);
  return trained(ConversationMaker(tokenizer, chat).make(record, {}), tokenizer, weight);
}

Json turns(const char* key, const Json& value) {
  return {{"messages",
           {{{"role", "user"}, {"content", "a"}},
            {{"role", "assistant"}, {"content", "one"}, {key, value}},
            {{"role", "user"}, {"content", "b"}},
            {{"role", "assistant"}, {"content", "two"}}}}};
}

TEST(ChatRecords, TurnsThatAreNotToBeLearntAreNot) {
  const std::string both = "one<|im_end|>|two<|im_end|>", second = "two<|im_end|>";
  for (const char* key : {"weight", "loss_weight", "train", "training", "trainable", "loss", "learn"}) {
    for (const Json& no : {Json(0), Json(false), Json(0.0)}) EXPECT_EQ(learnt(turns(key, no)), second) << key;
    for (const Json& yes : {Json(1), Json(true), Json()}) EXPECT_EQ(learnt(turns(key, yes)), both) << key;
  }
  for (const char* key : {"mask", "masked"}) {
    EXPECT_EQ(learnt(turns(key, true)), second) << key;
    EXPECT_EQ(learnt(turns(key, false)), both) << key;
  }
  EXPECT_EQ(learnt(turns("weight", 0.5), 0.5f), "one<|im_end|>");
  Json whole = turns("weight", 1);
  whole["weight"] = 0.25;
  EXPECT_EQ(learnt(whole, 0.25f), both);
  // What is chosen by name is learnt, whoever speaks (axolotl, ms-swift); a weight only scales.
  Json asked = turns("weight", 1);
  asked["messages"][2]["train"] = true;
  EXPECT_EQ(learnt(asked), "one<|im_end|>|b|two<|im_end|>");
  asked = turns("weight", 1), asked["messages"][2]["weight"] = 1;
  EXPECT_EQ(learnt(asked), both);
}

TEST(ChatRecords, UnknownKeysThatMayChangeWhatIsLearntAreErrors) {
  auto fault = [](const Json& record) -> std::string {
    try {
      learnt(record);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(fault(turns("train_detail", Json::array({1}))).find("\"train_detail\""), std::string::npos);
  EXPECT_NE(fault(turns("token_weights", {1, 2})).find("\"token_weights\""), std::string::npos);
  EXPECT_NE(fault(turns("weight", "0")).find("\"weight\""), std::string::npos);
  EXPECT_NE(fault(turns("weight", -1)).find("\"weight\""), std::string::npos);
  EXPECT_NE(fault(turns("mask", 0.5)).find("\"mask\""), std::string::npos);
  EXPECT_EQ(fault(turns("language", "en")), "");
  Json nothing = turns("weight", 0);
  nothing["messages"][3]["weight"] = 0;
  EXPECT_NE(fault(nothing).find("nothing to learn"), std::string::npos);
  Json record = turns("weight", 1);
  record["train_on_input"] = true;
  EXPECT_NE(fault(record).find("\"train_on_input\""), std::string::npos);
}

TEST(ChatRecords, OtherShapesAreTheSameConversation) {
  const std::string answers = "Hello.<|im_end|>|Yes.<|im_end|>";
  Json sharegpt = {{"conversations",
                    {{{"from", "human"}, {"value", "Hi!"}},
                     {{"from", "gpt"}, {"value", "Hello."}},
                     {{"from", "human"}, {"value", "So?"}},
                     {{"from", "gpt"}, {"value", "Yes."}}}},
                   {"system", "Be brief."}};
  Json messages = {{"messages",
                    {{{"role", "system"}, {"content", "Be brief."}},
                     {{"role", "user"}, {"content", "Hi!"}},
                     {{"role", "assistant"}, {"content", "Hello."}},
                     {{"role", "user"}, {"content", "So?"}},
                     {{"role", "assistant"}, {"content", "Yes."}}}}};
  Json alpaca = {{"instruction", "So?"},
                 {"input", ""},
                 {"output", "Yes."},
                 {"system", "Be brief."},
                 {"history", Json::array({{"Hi!", "Hello."}})}};
  Json parts = messages;
  parts["messages"][1]["content"] = Json::array({{{"type", "text"}, {"text", "Hi!"}}});
  Json trl = {{"prompt", Json(messages["messages"])}, {"completion", Json::array({messages["messages"][4]})}};
  trl["prompt"].erase(4);
  Tokenizer tokenizer = byte_tokenizer({"<|im_start|>", "<|im_end|>"});
  ChatFormat chat = format_of(kChatMl);
  ConversationMaker maker(tokenizer, chat);
  std::vector<int32_t> expected = maker.make(messages, {}).ids;
  for (const Json& record : {sharegpt, messages, alpaca, parts, trl}) {
    Conversation c = maker.make(record, {});
    EXPECT_EQ(c.ids, expected) << record;
    EXPECT_EQ(trained(c, tokenizer), answers) << record;
  }
  // The input follows the instruction, as LLaMA-Factory and its data sets have it.
  Json plain = {{"instruction", "Add."}, {"input", "1 2"}, {"output", "3"}};
  Conversation c = maker.make(plain, {.answer = 1, .text = 0.5});
  EXPECT_EQ(trained(c, tokenizer, 0.5f), "Add.\n1 2");
  EXPECT_EQ(trained(c, tokenizer), "3<|im_end|>");
  Json picture = messages;
  picture["messages"][1]["content"] = Json::array({{{"type", "image_url"}, {"image_url", "x"}}});
  EXPECT_THROW(maker.make(picture, {}), Error);
  sharegpt["conversations"][0]["from"] = "narrator";
  EXPECT_THROW(maker.make(sharegpt, {}), Error);
}

TEST(ChatRecords, PartsAreJoinedAsTheTemplateJoinsThem) {
  auto joined = [](const std::string& jinja) { return part_joiner(format_of(jinja)); };
  EXPECT_EQ(joined(kChatMl), "\n");  // it would write the list as Python prints it
  EXPECT_EQ(joined("{% for m in messages %}<{% if m.content is string %}{{ m.content }}{% else %}{% for p in "
                   "m.content %}{{ p.text }}+{% endfor %}{% endif %}>{% endfor %}"),
            "\n");  // and would write more after a list than after a text
  EXPECT_EQ(joined("{% for m in messages %}<{% if m.content is string %}{{ m.content }}{% else %}{{ "
                   "m.content | map(attribute='text') | join(' ') }}{% endif %}>{% endfor %}"),
            " ");
}

TEST(ChatRecords, CallsOfToolsAreLearntAsTheTemplateWritesThem) {
  const std::string call =
      "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"x\": 1}}\n</tool_call><|im_end|>";
  Json calls =
      Json::array({{{"type", "function"}, {"function", {{"name", "get"}, {"arguments", {{"x", 1}}}}}}});
  Json record = {{"tools", Json::array({{{"type", "function"}, {"function", {{"name", "get"}}}}})},
                 {"messages",
                  {{{"role", "user"}, {"content", "How much?"}},
                   {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", calls}},
                   {{"role", "tool"}, {"content", "12\n"}},
                   {{"role", "assistant"}, {"content", "Wait."}, {"tool_calls", calls}},
                   {{"role", "tool"}, {"content", "\"13\""}},
                   {{"role", "assistant"}, {"content", "13 euros."}}}}};
  Tokenizer tokenizer = byte_tokenizer({"<|im_start|>", "<|im_end|>"});
  ChatFormat chat = real_format("qwen2.5", {{"eos_token", "<|im_end|>"}});
  ConversationMaker maker(tokenizer, chat);
  Conversation c = maker.make(record, {});
  EXPECT_EQ(trained(c, tokenizer), call + "|Wait.\n" + call + "|13 euros.<|im_end|>");
  std::string fed;
  for (int32_t id : c.ids) fed += tokenizer.is_special(id) ? "" : tokenizer.token_bytes(id);
  EXPECT_NE(fed.find("<tools>\n{\"type\": \"function\""), std::string::npos);
  // The same in ShareGPT's names, with the tools as text.
  Json sharegpt = {{"tools", dump_json(record["tools"])},
                   {"conversations",
                    {{{"from", "human"}, {"value", "How much?"}},
                     {{"from", "function_call"}, {"value", R"({"name": "get", "arguments": {"x": 1}})"}},
                     {{"from", "observation"}, {"value", "12\n"}},
                     {{"from", "gpt"}, {"value", "12 euros."}}}}};
  EXPECT_EQ(trained(maker.make(sharegpt, {}), tokenizer), call + "|12 euros.<|im_end|>");
  // A call that is not to be learnt, and one at the end.
  record["messages"][1]["weight"] = 0;
  EXPECT_EQ(trained(maker.make(record, {}), tokenizer), "Wait.\n" + call + "|13 euros.<|im_end|>");
  Json last = {{"messages", {record["messages"][0], record["messages"][3]}}};
  last["messages"][1].erase("content");
  EXPECT_EQ(trained(maker.make(last, {}), tokenizer), call);
}

TEST(ChatRecords, FieldsThatATemplateReadsAreGivenToIt) {
  Tokenizer tokenizer = byte_tokenizer({"<|im_start|>", "<|im_end|>"});
  ChatFormat chat = real_format("qwen3", {{"eos_token", "<|im_end|>"}});
  Json record = {{"messages",
                  {{{"role", "user"}, {"content", "2 + 2?"}},
                   {{"role", "assistant"}, {"content", "4"}, {"reasoning_content", "Easy."}}}}};
  EXPECT_EQ(trained(ConversationMaker(tokenizer, chat).make(record, {}), tokenizer),
            "<think>\nEasy.\n</think>\n\n4<|im_end|>");
}

TEST(ConversationShare, TheTextHasItsShareOfTheWeight) {
  Tokenizer tokenizer = byte_tokenizer({"<|im_start|>", "<|im_end|>"});
  ChatFormat chat = format_of(kChatMl);
  Json r = record({{"user", "Some text [a fact] and more."},
                   {"assistant", "Yes."},
                   {"user", "And?"},
                   {"assistant", "No."}});
  r["masked"] = {{10, 18}};
  Conversation c = ConversationMaker(tokenizer, chat).make(r, {.answer = 2, .text_share = 0.25});
  double text = 0, answers = 0;
  std::set<float> weights;
  for (float w : c.weights) (w == 2 ? answers : text) += static_cast<double>(w), weights.insert(w);
  EXPECT_EQ(answers, 2 * (5 + 4));  // with the ends of the turns
  EXPECT_NEAR(text, answers / 3, 1e-5);
  EXPECT_EQ(weights.size(), 3u);  // nothing, one for every token of text, and 2
  EXPECT_EQ(trained(c, tokenizer, 2), "Yes.<|im_end|>|No.<|im_end|>");
}

TEST(FrozenConversations, FaultsAreNamed) {
  Tokenizer tokenizer = byte_tokenizer({"<|im_start|>", "<|im_end|>"});
  ChatFormat chat = format_of(kChatMl);
  auto fault = [&](Json r, const Json& at) {
    if (!at.is_null()) r["question_at"] = at;
    try {
      ConversationMaker(tokenizer, chat).make_frozen(r, {});
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  Json good = record({{"user", "Text.\n\nWhat?"}, {"assistant", "That."}});
  EXPECT_EQ(fault(good, 7), "");
  EXPECT_NE(fault(good, nullptr).find("has no \"question_at\""), std::string::npos);
  EXPECT_NE(fault(good, 12).find("beyond its first message"), std::string::npos);
  EXPECT_NE(fault(good, 900).find("beyond its first message"), std::string::npos);
  EXPECT_NE(fault(good, "7").find("not a number of characters"), std::string::npos);
  EXPECT_NE(fault(record({{"user", "\n\nWhat?"}, {"assistant", "That."}}), 2).find("empty context"),
            std::string::npos);
  EXPECT_NE(fault(record({{"user", "Text.\n\nWhat?"}, {"assistant", "That."}, {"user", "And?"}}), 7)
                .find("a question has no answer"),
            std::string::npos);
  EXPECT_NE(fault(record({{"assistant", "Text.\n\nWhat?"}, {"user", "That."}}), 7).find("do not alternate"),
            std::string::npos);
}

}  // namespace
}  // namespace longspan
