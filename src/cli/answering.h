// From messages to an answer: shared by generate, ask and chat.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/options.h"

namespace longspan {

/// The user's message about a document: the task, the document, and last the question, next to where the
/// answer begins.
std::string document_message(const std::string& document, const std::string& question);

/// Ids of a conversation, ready for the assistant's answer.
std::vector<int32_t> encode_messages(const Engine& engine, const std::vector<ChatMessage>& messages);

/// The sampling of an answer in the model's chat format: --stop and what ends its answers.
SamplingOptions chat_sampling(const Engine& engine, SamplingOptions sampling);

/// The document, cut by --truncate with a remark if the prompt that `prompt` makes of it and `answer` tokens
/// would not fit the window. Error when it does not fit and may not be cut, or nothing of it would be left.
std::string fit_document(const Engine& engine, const Options& o, const std::string& document, int64_t answer,
                         const std::function<std::vector<int32_t>(const std::string&)>& prompt);

struct Prefill {
  int64_t tokens = 0;  // of the prompt
  int64_t reused = 0;  // of them already in the cache
  double seconds = 0;
  bool complete = true;  // false: Ctrl-C
};
/// Makes the sequence hold exactly `ids`; feeds only what follows the common prefix. Shows a progress bar.
Prefill feed_prompt(Sequence& sequence, const std::vector<int32_t>& ids, const Options& o);

/// generate() that shows the text on stdout as it comes (not with --json) and stops at Ctrl-C.
Generation answer(Sequence& sequence, const Engine& engine, int64_t max_tokens,
                  const SamplingOptions& sampling, const Options& o);

/// --json: prints `fields` and the common fields of answers (prompt_tokens, prefill_s, decode_s, ...) as one
/// object. Otherwise prints the speed, for people.
void report_answer(const Options& o, Json fields, const Prefill& prefill, const Generation& generation);

}  // namespace longspan
