#include "checkpoint/tensor_source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kPieceBytes = 4 << 20;  // produced at a time

[[noreturn]] void fail_writing(const fs::path& path) {
  fail("{}: writing failed: {}", path.string(), std::strerror(errno));
}

}  // namespace

int64_t TensorSource::rows() const {
  int64_t n = 1;
  for (size_t i = 0; i + 1 < sizes.size(); ++i) n *= sizes[i];
  return n;
}

int64_t TensorSource::bytes() const { return rows() * dtype_bytes(dtype, sizes.back()); }

TensorSource as_it_lies(const NamedTensor& named) {
  const Tensor& t = named.tensor;
  return {named.name, t.dtype, {t.size, t.size + t.dims}, [t](std::byte* out, int64_t row, int64_t rows) {
            std::memcpy(out, t.row<std::byte>(row), static_cast<size_t>(rows * t.row_stride));
          }};
}

int64_t total_bytes(std::span<const TensorSource> tensors) {
  int64_t n = 0;
  for (const TensorSource& t : tensors) n += t.bytes();
  return n;
}

void WriteProgress::add(int64_t bytes, const fs::path& path) {
  done += bytes;
  if (progress && !progress(done, total)) fail("{}: writing was interrupted", path.string());
}

void write_rows(std::ofstream& out, const TensorSource& t, const fs::path& path, WriteProgress& progress) {
  int64_t row_bytes = t.bytes() / t.rows(), step = std::max<int64_t>(1, kPieceBytes / row_bytes);
  std::vector<std::byte> piece;
  for (int64_t row = 0; row < t.rows(); row += step) {
    int64_t rows = std::min(step, t.rows() - row);
    piece.resize(static_cast<size_t>(rows * row_bytes));
    t.fill(piece.data(), row, rows);
    out.write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
    if (!out) fail_writing(path);
    progress.add(rows * row_bytes, path);
  }
}

void write_whole(const fs::path& path, const std::function<void(std::ofstream&)>& write) {
  fs::path part = path;
  part += ".part";
  std::error_code error;
  try {
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    if (!out) fail_writing(path);
    write(out);
    out.close();
    if (!out) fail_writing(path);
    fs::rename(part, path, error);
    if (error) fail("{}: cannot be put in place: {}", path.string(), error.message());
  } catch (...) {
    fs::remove(part, error);
    throw;
  }
}

}  // namespace longspan
