// What a chat template writes around the messages. Found with a marker word in place of every message, it
// depends on the roles only; laid on a rendered conversation it says where each message stands, and which
// part of the text the assistant has to write: from the end of the generation prompt to the end of its turn.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_format.h"

namespace longspan {

struct ChatFrame {
  std::vector<size_t> order;       // messages as the template shows them (a system text may move)
  std::vector<std::string> texts;  // before, between and after them: order.size() + 1
  // Of each message; both empty for those that are no answer.
  std::vector<std::string>
      prompts;                    // ends the prompt when this answer is asked for: follows the message before
  std::vector<std::string> ends;  // follows this answer when nothing else does
};

/// Error when the template refuses these roles, or shows a message not at all or more than once.
ChatFrame chat_frame(const ChatFormat& chat, const std::vector<std::string>& roles);

/// Where one message stands in the rendered text, in bytes.
struct MessageSpan {
  size_t begin = 0, end = 0;  // its content
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
