// Engine: a loaded model that scores, continues and answers. One sequence at a time for now: prefill in chunks, decode, sample.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "generate/sampler.h"
#include "model/forward.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

struct EngineOptions {
  std::string position;              // --position text; empty: the model's own
  DType cache_dtype = DType::F16;
  std::optional<Compute> compute;    // default: preferred_compute(kernels())
  std::string kernels;               // name; empty: the best
  int64_t chunk = 512;               // tokens a forward pass
};

/// What a model is and what it will cost, known before any tensor is read.
struct MemoryPlan {
  int64_t weights = 0;      // mapped bytes
  int64_t copied = 0;       // tensors the loader must transform
  int64_t packed = 0;       // second layouts of the kernels
  int64_t kv_cache = 0;
  int64_t activations = 0;
  int64_t program = 0;      // code, libraries, tokenizer: measured once, see engine.cc
  int64_t total() const { return weights + copied + packed + kv_cache + activations + program; }
};

struct ModelFiles;  // checkpoint + tokenizer sources

class Engine {
 public:
  /// Opens the checkpoint, reads config, tokenizer and template; loads weights. Error as those say.
  Engine(const std::filesystem::path& path, const EngineOptions& options);

  const ModelConfig& config() const { return model_.config; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  const Model& model() const { return model_; }
  const EngineOptions& options() const { return options_; }
  /// Error when the model carries none.
  const ChatTemplate& chat_template() const;
  std::string render_chat(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;

 private:
  friend class Sequence;
  std::shared_ptr<Checkpoint> checkpoint_;
  EngineOptions options_;
  Model model_;
  Tokenizer tokenizer_;
  std::optional<ChatTemplate> template_;
  Json template_variables_;
};

/// One sequence: its declared length (which fixes its position spec for life), its cache and its ids.
class Sequence {
 public:
  /// `declared_length`: tokens that prompt and answer may reach. Methods that depend on the length use it, unless
  /// --position gave length=. Growing past it is an Error.
  Sequence(const Engine& engine, int64_t declared_length);

  /// Feeds ids in chunks; afterwards logits() is for the last one. False when progress asked to stop.
  bool feed(std::span<const int32_t> ids, const Progress& progress = {});
  /// Log-probabilities of ids[1..] given those before (the first has none): n - 1 values appended to `out`.
  bool score(std::span<const int32_t> ids, std::vector<float>& out, const Progress& progress = {});
  /// [V] of the last token fed; the sampler may change it.
  std::span<float> logits() { return {logits_}; }
  /// Forgets all but the first n tokens.
  void truncate(int64_t n);
  const std::vector<int32_t>& ids() const { return ids_; }
  int64_t declared_length() const { return declared_; }
  const PositionSpec& spec() const { return spec_; }

 private:
  const Engine& engine_;
  int64_t declared_;
  PositionSpec spec_;
  KvCache cache_;
  Activations activations_;
  std::vector<int32_t> ids_;
  std::vector<float> logits_;
};

enum class StopReason { Length, EndToken, StopString, Interrupted };

struct Generation {
  std::vector<int32_t> ids;   // without the end token
  std::string text;
  StopReason reason = StopReason::Length;
  double decode_s = 0;
};

/// Samples up to max_tokens after what the sequence was fed. on_text gets text as soon as it is whole UTF-8 and cannot
/// be the beginning of a stop string; returning false interrupts.
Generation generate(Sequence& sequence, const Engine& engine, int64_t max_tokens, const SamplingOptions& sampling,
                    const std::function<bool(std::string_view)>& on_text = {});

/// Memory for a context of `tokens`, from shapes alone.
MemoryPlan plan_memory(const std::filesystem::path& path, const EngineOptions& options, int64_t tokens);

}  // namespace longspan
