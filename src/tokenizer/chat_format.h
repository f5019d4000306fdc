// How a model is spoken to: its chat template, what the template reads beside the messages, what follows the
// rendered prompt, and the strings that end an answer. No weights: suites, servers and documents need this
// and a tokenizer only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

struct ChatFormat {
  std::optional<ChatTemplate> chat_template;  // none: the model carries none, and none was chosen
  Json variables = Json::object();            // bos_token, eos_token and the other named tokens
  std::vector<std::string> stops = {};        // an answer ends before any of these, and at the end tokens
  std::string suffix = {};                    // follows the rendered text when an answer is asked for
  std::string model = {};                     // whose format it is, for errors

  /// `tools`: what the assistant may call, as JSON schemas; null: nothing. Error when there is no template,
  /// or the template refuses the messages.
  std::string render(const std::vector<ChatMessage>& messages, bool add_generation_prompt,
                     const Json& tools = {}) const;
};

/// A built-in one; `variables` and `model` are the caller's to set.
ChatFormat builtin_chat_format(const BuiltinChatTemplate& builtin);

/// Ids of a rendered conversation. The tokenizer adds no special tokens, as in transformers'
/// apply_chat_template: the template writes the BOS itself where the model wants one.
std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, std::string_view rendered);

/// The token with which the template ends the assistant's turn: the first added one that it writes after the
/// text of an answer. -1 when it writes none there, or refuses the probe.
int32_t end_of_turn(const ChatFormat& chat, const Tokenizer& tokenizer);

/// What turns words into the ids that a model reads. Copies are cheap: they share the tokenizer and the
/// template.
struct PromptMaker {
  Tokenizer tokenizer;
  ChatFormat chat;

  /// Ids of a conversation, ready for the assistant's answer. Error as ChatFormat::render.
  std::vector<int32_t> encode(const std::vector<ChatMessage>& messages) const;
};

}  // namespace longspan
