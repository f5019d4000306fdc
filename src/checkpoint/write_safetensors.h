// Writing safetensors: the header first, then each tensor's bytes as its source produces them, a few rows at
// a time, so that a model larger than memory can be written. Files get their final names only when they are
// complete.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "checkpoint/checkpoint.h"

namespace longspan {

/// A tensor that does not exist yet: its entry in the header, and the function that produces its rows.
struct TensorSource {
  std::string name;
  DType dtype = DType::F32;  // F32, F16 or BF16
  std::vector<int64_t> sizes;
  /// Writes rows [row, row + rows), contiguous, in `dtype`.
  std::function<void(std::byte* out, int64_t row, int64_t rows)> fill;

  int64_t rows() const;  // all sizes but the last one, multiplied
  int64_t bytes() const;
};

/// Writes the tensor's own bytes; it must be F32, F16 or BF16.
TensorSource as_it_lies(const NamedTensor& tensor);

/// One file. The data begins at a multiple of 8 bytes. `metadata` is the object of strings that goes under
/// "__metadata__"; null leaves it out. Error naming the file when writing fails, or when `progress` (in
/// bytes) asks to stop: then no file remains.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorSource> tensors,
                       const Json& metadata, const Progress& progress = {});

/// Writes model.safetensors in `directory`; or, if it would be larger than `shard_bytes`,
/// model-00001-of-0000N.safetensors and so on with model.safetensors.index.json. Tensors are not split and
/// keep their order.
void write_shards(const std::filesystem::path& directory, std::span<const TensorSource> tensors,
                  const Json& metadata, int64_t shard_bytes, const Progress& progress = {});

}  // namespace longspan
