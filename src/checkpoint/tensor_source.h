// Tensors on their way into a file: what a header says of them, and a function that produces their bytes a
// few rows at a time, so that a model larger than memory can be written.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "checkpoint/checkpoint.h"

namespace longspan {

/// A tensor that does not exist yet: its entry in the header, and the function that produces its rows.
struct TensorSource {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> sizes;  // outermost first
  /// Writes rows [row, row + rows), contiguous, in `dtype`.
  std::function<void(std::byte* out, int64_t row, int64_t rows)> fill;

  int64_t rows() const;  // all sizes but the last one, multiplied
  int64_t bytes() const;
};

/// Writes the tensor's own bytes, whatever its type.
TensorSource as_it_lies(const NamedTensor& tensor);

int64_t total_bytes(std::span<const TensorSource> tensors);

/// Counts the bytes of one or several files.
struct WriteProgress {
  const Progress& progress;
  int64_t done = 0, total = 0;

  /// Error naming the file when `progress` asks to stop.
  void add(int64_t bytes, const std::filesystem::path& path);
};

/// Appends the tensor's bytes. Error naming the file when writing fails.
void write_rows(std::ofstream& out, const TensorSource& tensor, const std::filesystem::path& path,
                WriteProgress& progress);

/// Calls `write` with a stream to PATH.part and renames it to PATH when that returns; otherwise no file
/// remains. Error naming the file when writing fails.
void write_whole(const std::filesystem::path& path, const std::function<void(std::ofstream&)>& write);

}  // namespace longspan
