// Embedder: texts to vectors of length 1 whose products say how near the texts are in meaning. BERT encoders
// (MiniLM, BGE, LLM-Embedder) and decoders whose last token is the text (Qwen3-Embedding), from GGUF files
// and Hugging Face directories. The model itself says how its rows become one vector; the table in
// embed/instructions.h says how queries and keys are introduced.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"

namespace longspan {

/// The two sides of retrieval: models with instructions address them differently.
enum class EmbedSide : uint8_t { Query, Key };

struct EmbedderOptions {
  std::string task = "";       // row of the table of instructions; empty: the model's own default
  std::string device = "cpu";  // as --device
  std::string kernels = "";    // as --kernels; empty: the best one here
  int64_t batch_tokens = 8192;
  std::string pooling = "";        // "cls", "mean", "last"; empty: as the model's files say
  Compute compute = Compute::F32;  // BF16: factors rounded once, less precise
};

class Embedder {
 public:
  /// path: GGUF file or Hugging Face directory. Error naming the file when it holds no embedder, and the rows
  /// when there is no such task.
  Embedder(const std::filesystem::path& path, const EmbedderOptions& options);
  ~Embedder();
  Embedder(Embedder&&) noexcept;
  Embedder& operator=(Embedder&&) noexcept;

  int64_t dimensions() const;
  /// Of a text, special tokens and instruction included; longer texts are cut at their end.
  int64_t max_tokens() const;
  /// Digest of weights, pooling and task: what an index stores to refuse another embedder's vectors.
  const std::string& identity() const;
  /// For people: architecture, dimensions, tokens, pooling, instructions.
  std::string description() const;
  /// Of the text alone, without special tokens and instruction.
  int64_t count_tokens(std::string_view text) const;
  /// [S, dimensions], L2-normalised; long lists are sorted by length and batched by batch_tokens. A text
  /// gives the same vector (to rounding) alone and among others. Calls from several threads wait for each
  /// other.
  std::vector<float> embed(std::span<const std::string> texts, EmbedSide side) const;

  /// The two steps of embed. Ids as the model reads them: instruction and special tokens around the text, or
  /// around ids of one, cut to max_tokens; `cut` receives how many were left out. Error names an id outside
  /// the vocabulary.
  std::vector<int32_t> encode(std::string_view text, EmbedSide side, int64_t* cut = nullptr) const;
  std::vector<int32_t> encode_ids(std::span<const int32_t> ids, EmbedSide side, int64_t* cut = nullptr) const;
  /// [S, dimensions] of texts that encode made.
  std::vector<float> embed_encoded(std::span<const std::vector<int32_t>> texts) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace longspan
