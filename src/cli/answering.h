// From messages to an answer: shared by generate, ask and chat.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/document_cache.h"
#include "cli/options.h"

namespace longspan::cli {

/// The user's message about a document: the task, the document, and last the question, next to where the
/// answer begins.
std::string document_message(const std::string& document, const std::string& question);

/// The sampling of an answer in the model's chat format: --stop and what ends its answers.
SamplingOptions chat_sampling(const ChatFormat& chat, SamplingOptions sampling);

using Prompts = std::vector<Prompt>;
/// Tokens of the longest prompt, and of the longest document that one begins with; 0 where there is none.
int64_t longest(const Prompts& prompts);
int64_t longest_document(const Prompts& prompts);

/// The prompts that `prompts` makes of the document, which is cut by --truncate with a remark until the
/// longest of them and `answer` tokens fit the window; a factor that is left to the length is that of
/// shared_length. Error when they do not and it may not be cut, when nothing of it would be left, or when
/// the memory does not suffice.
Prompts fit_document(Engine& engine, const Options& o, const std::string& document, int64_t answer,
                     const std::function<Prompts(const std::string&)>& prompts);

struct Prefill {
  int64_t tokens = 0;  // of the prompt
  int64_t reused = 0;  // of them already in the cache
  int64_t stored = 0;  // of these from the disk
  double seconds = 0;
  bool complete = true;  // false: Ctrl-C
};
/// Makes the sequence hold exactly `ids`; feeds only what follows the common prefix. Shows a progress bar.
Prefill feed_prompt(Sequence& sequence, const std::vector<int32_t>& ids, const Options& o);
/// The same with the document of the prompt, which may come from the disk.
Prefill feed_prompt(Sequence& sequence, const Prompt& prompt, DocumentCache& cache, const Options& o);

/// generate() that shows the text on stdout as it comes (not with --json) and stops at Ctrl-C.
/// What was evicted for it is in the sequence again afterwards.
Generation answer(Sequence& sequence, const Engine& engine, int64_t max_tokens,
                  const SamplingOptions& sampling, const Options& o);

/// How fast it went, for people: "read 812 tokens (700 of them before) in 0.2s (560/s), wrote ...".
std::string speed(const Prefill& prefill, const Generation& generation);

/// --json: prints `fields` and the common fields of answers (prompt_tokens, prefill_s, decode_s, ...) as one
/// object. Otherwise prints the speed, for people.
void report_answer(const Options& o, Json fields, const Prefill& prefill, const Generation& generation);

/// A remark when the limit of -n tokens stopped an answer.
void remark_limit(const Options& o, const Generation& generation, int64_t n);

}  // namespace longspan::cli
