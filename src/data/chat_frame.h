// What a chat template writes around the messages. It is found by rendering a marker word in place of every
// message's text, so it depends on the roles and on the other fields of the messages only. Matched against a
// rendered conversation it shows where each message is, and which part of the text the assistant has to
// write: from the end of the generation prompt to the end of its turn.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_format.h"

namespace longspan {

struct ChatFrame {
  // Messages with a text as the template shows them (a system text may move). An answer without one, which
  // only calls tools, is part of the texts between.
  std::vector<size_t> order;
  std::vector<std::string> texts;  // before, between and after them: order.size() + 1
  // For each message, both "" for those that are not answers. prompts: the end of the prompt that asks for
  // this answer, after the previous message. ends: what follows this answer when it is the last message.
  std::vector<std::string> prompts, ends;
};

/// Of messages whose texts do not matter, but for answers without one. Error when the template refuses them,
/// or shows a message not at all or more than once.
ChatFrame chat_frame(const ChatFormat& chat, const std::vector<ChatMessage>& messages, const Json& tools);

/// What the template writes between two parts of text where a content is a list of them; a line feed where it
/// does not read such lists.
std::string part_joiner(const ChatFormat& chat);

/// Where one message is in the rendered text, in bytes.
struct MessageSpan {
  size_t begin = 0, end = 0;  // its content; of an answer without text, what stands for it (its calls)
  size_t stripped = 0;        // bytes of the content that the template dropped before `begin`
  size_t answer_begin = 0;    // of an answer: where the generation prompt ends
  std::string_view after;     // what the template writes between `end` and the next message
};

/// Of each message, in the order of the conversation. Error when `rendered` is not the frame around the
/// messages (white space at their ends may be gone): the template changed a message, or writes otherwise
/// around this one.
std::vector<MessageSpan> lay_frame(const ChatFrame& frame, const std::vector<ChatMessage>& messages,
                                   std::string_view rendered);

}  // namespace longspan
