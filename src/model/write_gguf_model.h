// Writing a model as one GGUF file: from a Hugging Face directory, or from another GGUF file in other types.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "model/config.h"

namespace longspan {

struct GgufWish {
  std::filesystem::path file;
  // Of the matrices; gguf_mix.h says which get another one. Nothing: every tensor keeps its own.
  std::optional<DType> type;
  std::optional<PositionConfig> position;  // nothing: the model's own
  int64_t window = 0;                      // window to declare; 0: what the position method reaches
};

/// Vocabulary, special tokens and chat template go along; a GGUF file's metadata are taken over. Returns
/// sentences for the user about the result. Error when the file exists, when there is not enough space, when
/// something of the model has no equal in GGUF, or when `progress` (in bytes) asks to stop; then no file is
/// left behind.
std::vector<std::string> write_gguf_model(const Checkpoint& from, const ModelConfig& config,
                                          const GgufWish& wish, const Progress& progress = {});

}  // namespace longspan
