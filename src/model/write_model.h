// Writing a model directory: what `extend` and `convert` do. It is built in DIRECTORY.partial and renamed
// when it is whole; what was there before is never touched.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "model/config.h"

namespace longspan {

struct ModelWish {
  std::filesystem::path directory;
  std::optional<PositionConfig> position;  // nothing: the model's own
  int64_t window = 0;                      // tokens to promise; 0: what the position method reaches
  std::optional<DType> type;  // F32, F16, BF16; nothing: as a directory has it, and BF16 from GGUF
};

/// From a Hugging Face directory all its files come along, config.json and model_max_length renewed: weights
/// by hard link where the file system allows, else by copy; or converted, where a type is wished. From GGUF
/// everything is made. Returns what is to be said of the result. Error when the directory exists and is not
/// empty, when the space does not suffice (needed, free, missing bytes), or when `progress` (in bytes) asks
/// to stop; then nothing is left.
std::vector<std::string> write_model(const Checkpoint& from, const ModelConfig& config, const ModelWish& wish,
                                     const Progress& progress = {});

}  // namespace longspan
