// Writing a model directory: what `extend` and `convert` do. It is built in DIRECTORY.partial and renamed
// when complete; existing files are never touched.
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
  int64_t window = 0;                      // window to declare; 0: what the position method reaches
  // Tensors in the place of those of the same names (Hugging Face's): trained or merged ones. If there are
  // any, all weights are written again.
  std::vector<NamedTensor> replaced = {};
  std::optional<DType> type;  // F32, F16, BF16; nothing: as a directory has it, and BF16 from GGUF
  // Weights that stay as they are become symbolic links, which cost no space on any file system.
  bool symbolic = false;
};

/// All files of a Hugging Face directory are taken over, with config.json and model_max_length updated:
/// weights by hard link where the file system allows, else by copy, or converted when `type` is given. From
/// GGUF everything is generated. Returns sentences for the user about the result. Error when the directory
/// exists and is not empty, when there is not enough space (needed, free, missing bytes), or when `progress`
/// (in bytes) asks to stop; then nothing is left behind.
std::vector<std::string> write_model(const Checkpoint& from, const ModelConfig& config, const ModelWish& wish,
                                     const Progress& progress = {});

}  // namespace longspan
