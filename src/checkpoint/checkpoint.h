// Checkpoint: a model on disk as metadata plus named tensors, whatever the format. Files are memory-mapped;
// opening validates every size and offset and copies no tensor. Nothing in a file is trusted: every fault is
// an Error, one sentence that names the file and, where possible, the tensor.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "tensor/tensor.h"

namespace longspan {

struct NamedTensor {
  std::string name;
  Tensor tensor;  // view into the mapping, sizes outermost first (GGUF's order is reversed on reading);
                  // read-only memory
};

enum class CheckpointFormat { Gguf, HuggingFace };

struct Checkpoint {
  std::filesystem::path path;  // the file or directory as given
  CheckpointFormat format = CheckpointFormat::Gguf;
  Json metadata;  // GGUF key/values as one flat object ("llama.block_count": 30), of several parts those of
                  // the first; HF: config.json
  std::vector<NamedTensor> tensors;
  std::unordered_map<std::string, size_t> index;  // name -> position in tensors
  // HF: tensors that are not float weights, name -> reason, for example "type \"I64\"".
  std::unordered_map<std::string, std::string> skipped;
  // Sharded: tensors that the index names but no file holds, name -> the sentence that says so. A model that
  // does not need them can be read.
  std::unordered_map<std::string, std::string> missing;
  std::vector<MappedFile> files;

  /// Null tensor when absent.
  Tensor find(std::string_view name) const;
  /// Error naming file and tensor when absent, or saying why it was skipped.
  Tensor require(std::string_view name) const;
  int64_t tensor_bytes() const;
  int64_t parameters() const;
};

/// Opens a GGUF file (v2, v3; of a split model, NAME-00001-of-0000N.gguf, any part) or a Hugging Face
/// directory (config.json + model.safetensors or pytorch_model.bin, whole or as index and shards). Error
/// otherwise.
Checkpoint open_checkpoint(const std::filesystem::path& path);

/// What a checkpoint says beside its tensors. Of a directory only config.json is read, and the weights need
/// not be there; a GGUF file, whose config is partly read off its tensors, is opened whole. Error otherwise.
Checkpoint open_metadata(const std::filesystem::path& path);

/// The parsers over bytes, for tests and fuzzing; `name` opens every error sentence. Tensors point into
/// `bytes`.
struct ParsedTensors {
  Json metadata;
  std::vector<NamedTensor> tensors;
  std::unordered_map<std::string, std::string> skipped;  // as in Checkpoint
};
/// GGUF: one part of a split model holds its own tensors only.
ParsedTensors parse_gguf(std::span<const std::byte> bytes, const std::string& name);
ParsedTensors parse_safetensors(std::span<const std::byte> bytes, const std::string& name);
/// Tensors may share bytes here. Non-contiguous ones are skipped.
ParsedTensors parse_torch_bin(std::span<const std::byte> bytes, const std::string& name);

/// Throws Error naming the tensor when a scale or a value is NaN or infinite. Reads the whole tensor.
void check_finite(const NamedTensor& tensor, const std::string& file);

}  // namespace longspan
