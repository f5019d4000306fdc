// Engine: a loaded model with its tokenizer and chat format, and the buffers of its steps.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "generate/eviction.h"
#include "grammar/token_trie.h"
#include "model/forward.h"
#include "model/memory.h"
#include "tokenizer/chat_format.h"

namespace longspan {

/// Whether tokens that a text may go on with are guessed and verified several in a pass (ngram_draft.h).
enum class Drafts : uint8_t { Off, Ngram };
/// "off", "ngram".
const char* name(Drafts drafts);

struct EngineOptions {
  std::string position;    // --position text; empty: the model's own
  CacheTypes cache_types;  // of keys and values
  WeightReading weights = WeightReading::Auto;
  std::optional<Compute> compute;  // default: what suits the kernels
  float sparse = 0;                // AttentionShape::sparse: 0, or the share of attention that is computed
  std::string kernels;             // of the processor, by name; empty: the best
  std::string device = "cpu";      // as device_named reads it
  std::string chat_template;       // built-in name or file; empty: the model's own
  int64_t chunk = 512;             // tokens a forward pass
  Drafts drafts = Drafts::Off;     // while a text is written
  Eviction eviction;               // before a text is written
  std::filesystem::path adapter;   // directory of an adapter for the weights; its position method becomes the
                                   // model's own
  std::optional<int64_t> free_memory;  // bytes; default what the device says
};

/// What an engine is made of apart from its weights: enough to make prompts and to say what would compute.
struct EngineSetup {
  ModelConfig config;  // with the position method of --position, else of the adapter, else the model's own
  // The positions that --position stretches, where it leaves its factor to the length (needs_length): the
  // config has those for the trained window until Engine::stretch_to.
  std::optional<PositionConfig> unstretched;
  std::shared_ptr<Device> device;  // where it computes
  Compute compute = Compute::F32;
  PromptMaker prompts;
};
/// Under length=current keys are rotated by the frequencies of the text as it was when they were fed: a
/// sequence cannot take tokens back and go on as if it had never had them.
bool keys_depend_on_history(const PositionConfig& position);

/// Where these options ask to compute. Error as device_named and kernels_named say.
std::shared_ptr<Device> device_of(const EngineOptions& options);

/// Reads no weights: a checkpoint of open_metadata is enough. Error as config, tokenizer and template say,
/// and for drafts under positions that forbid them.
EngineSetup engine_setup(const Checkpoint& checkpoint, const EngineOptions& options);

class Engine {
 public:
  /// Opens the checkpoint, reads config, tokenizer and template, loads the weights. Errors are theirs.
  Engine(const std::filesystem::path& path, const EngineOptions& options);
  /// Loads the weights of an opened checkpoint and drops its metadata. Error, before anything is loaded, when
  /// there is not even memory for a text of one page. `setup` was read from it with the same
  /// options.
  Engine(Checkpoint&& checkpoint, EngineSetup setup, const EngineOptions& options);

  const Model& model() const { return model_; }
  const ModelConfig& config() const { return model_.config; }
  const PromptMaker& prompts() const { return prompts_; }
  const Tokenizer& tokenizer() const { return prompts_.tokenizer; }
  const ChatFormat& chat() const { return prompts_.chat; }
  const EngineOptions& options() const { return options_; }
  /// The files that the weights came from, the adapter's last; and of a Hugging Face directory its
  /// config.json. Together they decide everything that the model computes.
  std::span<const MappedFile> files() const { return files_; }
  const std::string& config_text() const { return config_text_; }
  /// Where --position left its factor to the length (EngineSetup::unstretched): the positions become those
  /// for texts of `tokens` tokens. To be called before there is a sequence; without effect elsewhere. Returns
  /// what
  /// --position would have been told, or "".
  std::string stretch_to(int64_t tokens);
  /// What `use` needs, under the engine's positions or others, against the memory that was free before the
  /// weights were loaded.
  MemoryFit memory_for(const MemoryUse& use) const { return memory_for(use, model_.config.position); }
  MemoryFit memory_for(const MemoryUse& use, const PositionConfig& position) const;
  /// The buffers of a step under `spec`: one set for all sequences whose specs need as many rotations, which
  /// therefore take turns.
  Activations& step_buffers(const PositionSpec& spec) const;
  /// Memory for the caches of sequences that need `copies` rotations of their keys, with room for `tokens`
  /// tokens (or for what the machine could ever hold).
  std::shared_ptr<KvPool> make_pool(int64_t copies, int64_t tokens) const;
  /// The tokenizer's, made when it is first asked for. Thread-safe.
  std::shared_ptr<const TokenTrie> token_trie() const;

 private:
  Engine(Checkpoint&& checkpoint, const EngineOptions& options);

  EngineOptions options_;
  std::optional<int64_t> free_;  // bytes, before the weights were loaded
  WeightsPlan weights_;          // in memory
  std::optional<PositionConfig> unstretched_;
  Model model_;
  PromptMaker prompts_;
  struct LazyTrie {
    std::mutex mutex;
    std::shared_ptr<const TokenTrie> trie;
  };
  std::shared_ptr<LazyTrie> lazy_trie_ = std::make_shared<LazyTrie>();
  mutable std::map<std::array<int64_t, 3>, Activations> buffers_;  // key: how many rotations a spec has
  std::vector<MappedFile> files_;  // weights that were not converted are views into these
  std::string config_text_;
};

}  // namespace longspan
