// Shared by the parsers: turns announced tensors (sizes and offsets as a file claims them) into views that
// are safe to read.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace longspan {

/// A tensor as a file announces it: its sizes are checked, but not yet that its bytes exist.
struct AnnouncedTensor {
  std::string name;
  Tensor tensor;       // data is null
  uint64_t begin = 0;  // relative to the start of the data
  uint64_t bytes = 0;
};

/// Sizes outermost first. Error when there are not 1 to 4 of them, one is 0, their product overflows, or the
/// innermost is not a multiple of the dtype's block.
AnnouncedTensor announce(std::string name, DType dtype, std::span<const uint64_t> sizes,
                         const std::string& file);

/// Gives each tensor its address in `bytes`, whose tensor data starts at data_start. Error when a name
/// appears twice, a tensor lies (partly) outside `bytes`, or two overlap.
std::vector<NamedTensor> place(std::vector<AnnouncedTensor> announced, std::span<const std::byte> bytes,
                               uint64_t data_start, const std::string& file);

/// Error that explains the fault when the file is a Git LFS pointer, the small text file that stands for a
/// large file that was not downloaded.
void refuse_lfs_pointer(std::span<const std::byte> bytes, const std::string& file);

/// config.json as a Checkpoint without tensors, path and index.
Checkpoint open_huggingface_config(const std::filesystem::path& directory);
/// The same with the tensors of its safetensors or .bin files (open_checkpoint adds path and index).
Checkpoint open_huggingface(const std::filesystem::path& directory);

}  // namespace longspan
