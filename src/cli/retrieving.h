// Retrieval on the command line: the embedder of an index, and prompts made of the passages found.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cli/answering.h"
#include "cli/options.h"
#include "embed/embedder.h"
#include "retrieval/context.h"
#include "retrieval/memory.h"
#include "retrieval/search.h"

namespace longspan::cli {

/// What the user says of an embedder; "": the default, or what the index was made with.
struct EmbedderChoice {
  std::string name, task, pooling;
};
/// --embedder, --task, --pooling.
void add_embedder_options(CLI::App& app, EmbedderChoice& choice);

/// LLM-Embedder's instructions for what a command does with it (rows of embed/instructions.h).
constexpr const char *kKnowledgeTask = "qa", *kMemoryTask = "chat", *kToolTask = "tool";
/// Of an index that exists, what the user left open; of a new one the defaults: MiniLM; LLM-Embedder, which
/// is known by its name, gets its pooling and the instructions `task`, other embedders those of their own.
EmbedderChoice settled(const EmbedderChoice& choice, const std::optional<retrieval::Making>& held,
                       const char* task = kKnowledgeTask);

/// Loads it; sets the number of threads. Error as resolve_model and Embedder.
Embedder open_embedder(const Options& o, const EmbedderChoice& choice);

/// What an index made with this embedder states. `cutting` with 0 tokens: as many as the embedder reads, 256
/// at most; with an overlap below 0: 32 tokens, a quarter of a passage at most. Error for a cutting that
/// cannot be.
retrieval::Making making_of(const Embedder& embedder, const EmbedderChoice& choice, const char* kind,
                            retrieval::Cutting cutting);

/// The memory in a directory, which is made where there is none, with LLM-Embedder's instructions for long
/// memory. `kind`: retrieval::kConversation or kSteps. Error as open_embedder and Memory.
std::unique_ptr<retrieval::Memory> open_memory(const Options& o, const std::filesystem::path& directory,
                                               const EmbedderChoice& choice, const char* kind);

/// An index that is asked many questions, one after the other.
class OpenIndex {
 public:
  /// Loads the embedder that the index was made with. Error when one of them cannot be read, or they do not
  /// belong together.
  OpenIndex(const Options& o, const std::filesystem::path& directory, const EmbedderChoice& choice = {});
  /// At most `most` passages, the best first, also of what was added since. Error when there are none at all.
  std::vector<retrieval::Hit> find(const std::string& question, int64_t most);

 private:
  std::mutex mutex_;
  retrieval::Store store_;
  Embedder embedder_;
  retrieval::VectorIndex vectors_;
};
/// So many that a budget of tokens is filled, even where passages are short.
int64_t passages_for(int64_t budget);

/// What ask --index reads for a question.
struct FoundPrompt {
  Prompt prompt;
  std::vector<retrieval::Source> sources;
};

/// A prompt for each question about what was found for it, within `budget` tokens (0:
/// retrieval::kDefaultBudget) and the window. `prompt(q, text)`: ids of question q about the text. Error when
/// the window or the budget holds not even one passage, or the memory does not suffice.
std::vector<FoundPrompt> fit_passages(
    Engine& engine, const Options& o, const std::vector<std::vector<retrieval::Hit>>& found, int64_t budget,
    int64_t answer, const std::function<std::vector<int32_t>(size_t, const std::string&)>& prompt);

/// The sources of an answer: lines for people; a list for --json.
void print_sources(const std::vector<retrieval::Source>& sources);
Json sources_json(const std::vector<retrieval::Source>& sources);

}  // namespace longspan::cli
