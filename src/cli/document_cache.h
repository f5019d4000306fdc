// What `ask` and `chat` have read of a document: in the sequence, and in the store of readings on disk.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/options.h"
#include "generate/reading_store.h"

namespace longspan::cli {

/// --cache, --cache-size, --no-cache.
void add_cache_options(CLI::App& app, Options& o);

/// The tokens of a prompt, of which the first `document` are those of its document: whatever is asked about
/// it, they are the same. They are read in passes of their own, so that an answer does not depend on where
/// they come from.
struct Prompt {
  std::vector<int32_t> ids;
  int64_t document = 0;  // 0: too short to be kept, or its method cannot be kept
};

/// Two questions that do not begin alike, so that any other differs from one of them at its first token.
constexpr std::array<const char*, 2> kUnlikeQuestions = {"A", "1"};

/// Ids of a prompt about a document; `question` null: the one that is asked.
using PromptAbout = std::function<std::vector<int32_t>(const std::string& document, const char* question)>;

/// Tokens at the beginning of `ids`, the prompt that `prompt` makes of the document and the question asked,
/// that every question shares. A long document is not split into tokens again: where its end decides by
/// itself how it is split, prompts about the end suffice.
int64_t shared_tokens(std::span<const int32_t> ids, const std::string& document, const PromptAbout& prompt);

/// shared_tokens, or 0: too few to be kept, or the position method cannot be kept.
int64_t document_tokens(const Engine& engine, std::span<const int32_t> ids, const std::string& document,
                        const PromptAbout& prompt);

/// The length to prepare for when the prompts about a document of `document` tokens, with their answers, are
/// at most `needed` long: document + 512, 1,024, 2,048, ..., so that questions of different lengths meet the
/// same frequencies and can share what was read. `needed` where there is nothing to share.
int64_t shared_length(int64_t document, int64_t needed);

/// The document of one sequence.
class DocumentCache {
 public:
  /// Opens the store that the options ask for. Error when the folder of --cache cannot be used; without the
  /// folder of the user's cache documents are simply read again.
  DocumentCache(const Engine& engine, const Options& o);

  struct Held {
    int64_t tokens = 0;  // of the prompt that the sequence holds and that need not be fed
    int64_t stored = 0;  // of them from the store
  };
  /// Makes the sequence hold as much of the prompt as was read before, and nothing else.
  Held recall(Sequence& sequence, const Prompt& prompt);

  /// To be told how many of the prompt's tokens the sequence has been fed.
  void read(const Prompt& prompt, int64_t tokens);

  /// Puts the document of a sequence that holds it into the store, if it is not there.
  void keep(const Sequence& sequence);

 private:
  const Engine& engine_;
  const Options& o_;
  std::optional<ReadingStore> store_;
  int64_t document_ = 0;  // tokens of the document that the sequence holds, in passes of their own
  bool kept_ = true;      // whether the store has these tokens
};

}  // namespace longspan::cli
