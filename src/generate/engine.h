// Engine: a loaded model with its tokenizer and chat format. Sequence: one text on it, with its cache.
// A sequence declares its length when it starts: that fixes its frequencies for life, so that feeding a text
// at once, in chunks or token by token gives the same logits (length-dependent methods included). Only
// length=current breaks this on purpose: each feed takes the frequencies of the text so far while older keys
// keep theirs, as transformers' generate and XVERSE's released code do.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "generate/sampler.h"
#include "model/forward.h"
#include "tokenizer/chat_format.h"

namespace longspan {

struct EngineOptions {
  std::string position;            // --position text; empty: the model's own
  DType cache_dtype = DType::F16;  // F32, F16, BF16
  std::optional<Compute> compute;  // default: preferred_compute of the kernels
  std::string kernels;             // name; empty: the best
  std::string chat_template;       // built-in name or file; empty: the model's own
  int64_t chunk = 512;             // tokens a forward pass
  std::filesystem::path adapter;  // directory of one that stands beside the weights; its positions become the
                                  // model's own
};

/// What an engine is made of beside its weights: enough to make prompts and to say what would compute.
struct EngineSetup {
  ModelConfig config;  // with the position method of --position, else of the adapter, else the model's own
  const Kernels* kernels = nullptr;
  Compute compute = Compute::F32;
  PromptMaker prompts;
};
/// Reads no weights: a checkpoint of open_metadata is enough. Error as config, tokenizer and template say.
EngineSetup engine_setup(const Checkpoint& checkpoint, const EngineOptions& options);

class Engine {
 public:
  /// Opens the checkpoint, reads config, tokenizer and template, loads the weights. Error as those say.
  Engine(const std::filesystem::path& path, const EngineOptions& options);
  /// Loads the weights of an opened checkpoint; what its metadata holds is dropped. `setup` was read from it
  /// with the same options.
  Engine(Checkpoint&& checkpoint, EngineSetup setup, const EngineOptions& options);

  const Model& model() const { return model_; }
  const ModelConfig& config() const { return model_.config; }
  const PromptMaker& prompts() const { return prompts_; }
  const Tokenizer& tokenizer() const { return prompts_.tokenizer; }
  const ChatFormat& chat() const { return prompts_.chat; }
  const EngineOptions& options() const { return options_; }

 private:
  Engine(Checkpoint&& checkpoint, const EngineOptions& options);

  EngineOptions options_;
  Model model_;
  PromptMaker prompts_;
  std::vector<MappedFile> files_;  // weights that were not converted lie here
};

class Sequence {
 public:
  /// `declared_length`: tokens that the text may reach. A method that depends on the length uses it, unless
  /// --position gave length=. The engine must outlive the sequence.
  Sequence(const Engine& engine, int64_t declared_length);
  /// Under another position method than the engine's.
  Sequence(const Engine& engine, int64_t declared_length, const PositionConfig& position);

  /// Feeds ids in chunks; afterwards logits() is for the last one. False when progress asked to stop (what
  /// was fed stays). Error when the declared length is exceeded.
  bool feed(std::span<const int32_t> ids, const Progress& progress = {});

  /// Feeds ids and appends log p(ids[i] | all before it), natural log, for from <= i < n (from >= 1: what was
  /// fed before does not predict the first). False when progress asked to stop: `out` then holds those
  /// computed.
  bool score(std::span<const int32_t> ids, std::vector<float>& out, const Progress& progress = {},
             size_t from = 1);
  /// Seconds that score() spent on the logits of the tokens it scored: the rest of its time went into
  /// reading.
  double head_seconds() const { return head_seconds_; }

  /// [V] after the last token fed.
  std::span<float> logits() { return logits_; }
  /// Forgets all but the first n tokens; logits() is void until the next feed.
  void truncate(int64_t n);
  const std::vector<int32_t>& ids() const { return ids_; }
  int64_t declared_length() const { return declared_; }
  const PositionSpec& spec() const { return spec_; }

 private:
  Tensor forward_chunk(std::span<const int32_t> ids);
  void append_log_probs(Tensor hidden, std::span<const int32_t> next, std::vector<float>& out);
  void follow_current_length(size_t more);

  const Engine& engine_;
  PositionConfig position_;
  int64_t declared_;
  PositionSpec spec_;
  KvCache cache_;
  Activations activations_;
  std::vector<int32_t> ids_;
  std::vector<float> logits_;
  double head_seconds_ = 0;
};

enum class StopReason { Length, EndToken, StopString, Interrupted };

struct Generation {
  std::vector<int32_t> ids;  // without the end token
  std::string text;          // valid UTF-8, without the stop string
  StopReason reason = StopReason::Length;
  double seconds = 0;  // decoding, without what was fed before
};

/// Samples up to max_tokens tokens after what the sequence was fed. on_text receives text as soon as it is
/// whole UTF-8 and cannot be the beginning of a stop string; returning false interrupts.
Generation generate(Sequence& sequence, const Engine& engine, int64_t max_tokens,
                    const SamplingOptions& sampling,
                    const std::function<bool(std::string_view)>& on_text = {});

}  // namespace longspan
