// Writing safetensors: the header first, then each tensor's bytes as its source makes them, some rows at a
// time, so that a model larger than memory can be written. Files appear under their names only when they are
// whole.
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

/// A tensor that does not exist yet: what the header says of it, and how its rows come about.
struct TensorSource {
  std::string name;
  DType dtype = DType::F32;  // F32, F16 or BF16
  std::vector<int64_t> sizes;
  /// Writes rows [row, row + rows), contiguous, in `dtype`.
  std::function<void(std::byte* out, int64_t row, int64_t rows)> fill;

  int64_t rows() const;  // all sizes but the last one, multiplied
  int64_t bytes() const;
};

/// The tensor as it lies, which must be F32, F16 or BF16.
TensorSource as_it_lies(const NamedTensor& tensor);

/// One file. The data begins at a multiple of 8 bytes. `metadata` is the object of strings that goes under
/// "__metadata__"; null leaves it out. Error naming the file when writing fails, or when `progress` (in
/// bytes) asks to stop: then nothing is left.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorSource> tensors,
                       const Json& metadata, const Progress& progress = {});

/// model.safetensors in `directory`; or, when it would be larger than `shard_bytes`,
/// model-00001-of-0000N.safetensors and so on beside model.safetensors.index.json. Tensors stay whole and in
/// order.
void write_shards(const std::filesystem::path& directory, std::span<const TensorSource> tensors,
                  const Json& metadata, int64_t shard_bytes, const Progress& progress = {});

}  // namespace longspan
