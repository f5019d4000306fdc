// What a client asks for, read from JSON: OpenAI's fields, and those that vLLM's and llama.cpp's servers add
// to them under their names (top_k, min_p, repetition_penalty or repeat_penalty, ignore_eos, priority,
// chat_template_kwargs, return_progress, grammar). Each reader is an ApiError (400) away from bytes that make
// no sense; fields that it does not know are ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "generate/token_choice.h"
#include "retrieval/context.h"
#include "tokenizer/chat_template.h"

namespace longspan::server {

constexpr int64_t kMostChoices = 16;        // n
constexpr size_t kMostPrompts = 256;        // of one request
constexpr int64_t kMostLogprobs = 20;       // alternatives beside a token
constexpr int64_t kDefaultTextTokens = 16;  // of a plain completion, as OpenAI has it

/// What chats and plain completions have in common.
struct Call {
  std::string model;  // "": the one that is served
  ChoiceOptions choice;
  std::optional<uint64_t> seed;
  std::optional<int64_t> max_tokens;
  int64_t n = 1;
  bool stream = false, include_usage = false;
  bool progress = false;   // chunks of a stream say how far the prompt has been read
  bool attention = false;  // where the first answer looked in the prompt is told with its end
  int priority = 0;
  std::string user;
  double timeout_s = 0;         // 0: the server's
  int64_t declared_length = 0;  // 0: prompt and answer
  // What the answer must look like (constraint.h): null, or response_format; "" or a grammar.
  Json response_format;
  std::string grammar;
};

/// "retrieval" of a chat: the last question is answered from the server's index.
struct RetrievalCall {
  int64_t budget = retrieval::kDefaultBudget;  // tokens of passages, at most
  int64_t passages = 0;                        // 0: as many as the budget holds
};

struct ChatCall : Call {
  std::vector<ChatMessage> messages;
  std::optional<RetrievalCall> retrieval;
  Json tools;               // null: none
  std::string tool_choice;  // "auto", "none", "required", or the name of a function after "function:"
  Json template_variables = Json::object();
};

struct TextCall : Call {
  struct Prompt {
    std::string text;
    std::optional<std::vector<int32_t>> ids;  // in place of the text
  };
  std::vector<Prompt> prompts;
  bool echo = false;
};

ChatCall read_chat_call(const Json& request);
TextCall read_text_call(const Json& request);

/// "messages" alone, for /apply-template and /tokenize.
std::vector<ChatMessage> read_messages(const Json& request);
/// A list of token ids under that key; null when it is absent.
std::optional<std::vector<int32_t>> read_ids(const Json& request, const std::string& key);

}  // namespace longspan::server
