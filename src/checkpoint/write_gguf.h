// Writing GGUF, version 3: the inverse of gguf.cc. The types of metadata values are those that llama.cpp asks
// for: whole numbers from 0 on are unsigned, numbers in lists are I32, decimals are F32.
#pragma once

#include <filesystem>
#include <span>

#include "base/json.h"
#include "checkpoint/tensor_source.h"

namespace longspan {

/// `metadata`: a flat object as Checkpoint::metadata has it; null values are left out. Tensors keep their
/// order; each begins at a multiple of general.alignment (32 where it is not given). Error naming the file
/// when writing fails, or when `progress` (in bytes) asks to stop: then no file remains.
void write_gguf(const std::filesystem::path& path, const Json& metadata,
                std::span<const TensorSource> tensors, const Progress& progress = {});

}  // namespace longspan
