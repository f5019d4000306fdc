// Writing safetensors: the header first, then each tensor's bytes as its source produces them. Files get
// their final names only when they are complete.
#pragma once

#include <filesystem>
#include <span>

#include "base/json.h"
#include "checkpoint/tensor_source.h"

namespace longspan {

/// One file of F32, F16 and BF16 tensors. The data begins at a multiple of 8 bytes. `metadata` is the object
/// of strings that goes under
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
