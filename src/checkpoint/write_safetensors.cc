#include "checkpoint/write_safetensors.h"

#include <cassert>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kPieceBytes = 4 << 20;  // produced at a time

/// Counts bytes over several files and passes them on.
struct Counter {
  const Progress& progress;
  int64_t done = 0, total = 0;

  void add(int64_t bytes, const fs::path& path) {
    done += bytes;
    if (progress && !progress(done, total)) fail("{}: writing was interrupted", path.string());
  }
};

int64_t all_bytes(std::span<const TensorSource> tensors) {
  int64_t n = 0;
  for (const TensorSource& t : tensors) n += t.bytes();
  return n;
}

std::string header(std::span<const TensorSource> tensors, const Json& metadata) {
  Json entries = Json::object();
  auto& object = entries.get_ref<Json::object_t&>();
  if (!metadata.is_null()) object.emplace_back("__metadata__", metadata);
  int64_t at = 0;
  for (const TensorSource& t : tensors) {
    int64_t end = at + t.bytes();
    object.emplace_back(
        t.name, Json{{"dtype", name(t.dtype)}, {"shape", t.sizes}, {"data_offsets", Json::array({at, end})}});
    at = end;
  }
  std::string text = dump_json(entries);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  auto length = static_cast<uint64_t>(text.size());
  return std::string(reinterpret_cast<const char*>(&length), 8) + text;
}

void write_tensor(std::ofstream& out, const TensorSource& t, const fs::path& path, Counter& counter) {
  assert(!is_quantised(t.dtype) && t.dtype != DType::I32);
  int64_t row_bytes = t.bytes() / t.rows(), step = std::max<int64_t>(1, kPieceBytes / row_bytes);
  std::vector<std::byte> piece;
  for (int64_t row = 0; row < t.rows(); row += step) {
    int64_t rows = std::min(step, t.rows() - row);
    piece.resize(static_cast<size_t>(rows * row_bytes));
    t.fill(piece.data(), row, rows);
    out.write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
    if (!out) fail("{}: writing failed: {}", path.string(), std::strerror(errno));
    counter.add(rows * row_bytes, path);
  }
}

void write_file(const fs::path& path, std::span<const TensorSource> tensors, const Json& metadata,
                Counter& counter) {
  fs::path part = path;
  part += ".part";
  std::error_code error;
  try {
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    out << header(tensors, metadata);
    for (const TensorSource& t : tensors) write_tensor(out, t, path, counter);
    out.close();
    if (!out) fail("{}: writing failed: {}", path.string(), std::strerror(errno));
    fs::rename(part, path, error);
    if (error) fail("{}: cannot be put in place: {}", path.string(), error.message());
  } catch (...) {
    fs::remove(part, error);
    throw;
  }
}

/// Where each shard begins, in order, and the end.
std::vector<size_t> cut(std::span<const TensorSource> tensors, int64_t shard_bytes) {
  std::vector<size_t> begins = {0};
  int64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (bytes > 0 && bytes + tensors[i].bytes() > shard_bytes) begins.push_back(i), bytes = 0;
    bytes += tensors[i].bytes();
  }
  begins.push_back(tensors.size());
  return begins;
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

void write_safetensors(const fs::path& path, std::span<const TensorSource> tensors, const Json& metadata,
                       const Progress& progress) {
  Counter counter{progress, 0, all_bytes(tensors)};
  write_file(path, tensors, metadata, counter);
}

void write_shards(const fs::path& directory, std::span<const TensorSource> tensors, const Json& metadata,
                  int64_t shard_bytes, const Progress& progress) {
  Counter counter{progress, 0, all_bytes(tensors)};
  std::vector<size_t> begins = cut(tensors, shard_bytes);
  size_t shards = begins.size() - 1;
  if (shards == 1) return write_file(directory / "model.safetensors", tensors, metadata, counter);
  Json index = {{"metadata", {{"total_size", counter.total}}}, {"weight_map", Json::object()}};
  auto& map = index["weight_map"].get_ref<Json::object_t&>();
  for (size_t i = 0; i < shards; ++i) {
    std::string file = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards);
    auto part = tensors.subspan(begins[i], begins[i + 1] - begins[i]);
    write_file(directory / file, part, metadata, counter);
    for (const TensorSource& t : part) map.emplace_back(t.name, file);
  }
  write_file_atomic(directory / "model.safetensors.index.json", dump_json(index));
}

}  // namespace longspan
