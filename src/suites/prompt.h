// From the text of a case to token ids: turns rendered by the chat template, followed by the given beginning
// of the answer, and cut as the row says.
#pragma once

#include <string>
#include <vector>

#include "suites/cases.h"

namespace longspan {

struct Prompt {
  std::string text;  // what the model reads, special tokens spelled out; after cutting ids: decoded
  std::vector<int32_t> ids;
  size_t bos = 0;   // bytes at the start of `text` that spell a BOS token that the tokenizer adds to texts
  int64_t cut = 0;  // tokens that truncation removed
  // The turns, for servers that apply the template themselves; the given beginning of the answer ends the
  // user's turn. None when ids were cut.
  std::vector<ChatMessage> messages;
};

/// The prompt of an Answer or Choice case, at most `room` tokens long (0: no bound). Without a chat template,
/// or when the row says chat = false, system and user turn are joined by a blank line. If the template
/// refuses a system turn, it is put at the start of the user's. Error with tokens, room and the way out when
/// the prompt does not fit and the row refuses, or when cutting the document is not enough.
Prompt make_prompt(const PromptMaker& prompts, const Task& task, const CaseText& text, int64_t room);

/// Tokens of the whole prompt: what makers fit to a length. The text carries the prompt from then on, so that
/// make_prompt does not make it a second time.
int64_t prompt_tokens(const PromptMaker& prompts, const Task& task, CaseText& text);

/// System, user and prefix of the row with its slots filled from `fields`; document range set.
CaseText fill_task(const Task& task, const Json& fields, const std::string& where);

}  // namespace longspan
