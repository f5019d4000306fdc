// One record of chat data in the forms that people have: "messages" (OpenAI, Hugging Face), "conversations"
// (ShareGPT: from, value), Alpaca's instruction, input and output, TRL's prompt and completion. Keys of a
// turn that its template may read (name, tool_calls, reasoning_content, ...) are kept for it; keys that say
// what is learnt are honoured, or refused by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_template.h"

namespace longspan {

struct ChatTurn {
  ChatMessage message;
  double weight = 1;    // of what is learnt of it: the data's "weight", "train", "loss", "mask", ...
  bool chosen = false;  // the data says that it is learnt, whoever speaks
  bool calls = false;   // of tools; the content may be empty
};

struct ChatRecord {
  std::vector<ChatTurn> turns;
  Json tools;         // for the template; null: none
  size_t first = 0;   // the first of the record's own turns: 1 after a "system" beside them
  double weight = 1;  // of the whole record
};

/// Only spaces, tabs and line ends.
bool blank(std::string_view text);

/// `joiner` is put between the parts of a content that is a list of them. Error saying what is wrong.
ChatRecord read_chat_record(const Json& record, const std::string& joiner);

}  // namespace longspan
