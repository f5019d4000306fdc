#include "checkpoint/write_safetensors.h"

#include <cassert>

#include "base/error.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

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

void write_file(const fs::path& path, std::span<const TensorSource> tensors, const Json& metadata,
                WriteProgress& progress) {
  write_whole(path, [&](std::ofstream& out) {
    out << header(tensors, metadata);
    for (const TensorSource& t : tensors) {
      assert(!is_quantised(t.dtype) && t.dtype != DType::I32);
      write_rows(out, t, path, progress);
    }
  });
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

void write_safetensors(const fs::path& path, std::span<const TensorSource> tensors, const Json& metadata,
                       const Progress& progress) {
  WriteProgress counter{progress, 0, total_bytes(tensors)};
  write_file(path, tensors, metadata, counter);
}

void write_shards(const fs::path& directory, std::span<const TensorSource> tensors, const Json& metadata,
                  int64_t shard_bytes, const Progress& progress) {
  WriteProgress counter{progress, 0, total_bytes(tensors)};
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
