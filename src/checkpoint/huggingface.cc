// A Hugging Face directory: config.json and model.safetensors, or shards and the index that maps tensors to
// them. Without these, pytorch_model.bin or its index and shards.
#include <algorithm>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/layout.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

/// The names of an unsplit model, the preferred one first; with ".index.json" appended, those of the index of
/// shards.
constexpr const char* kWeights[] = {"model.safetensors", "pytorch_model.bin"};

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

/// The alphabetically first file of the directory with that ending; empty if there is none.
std::string first_with_ending(const fs::path& directory, std::string_view ending) {
  std::string first;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    std::string name = entry.path().filename().string();
    if (name.ends_with(ending) && (first.empty() || name < first)) first = name;
  }
  return first;
}

Json read_small_json(const fs::path& path) {
  constexpr uintmax_t kMost = 100'000'000;
  std::error_code error;
  uintmax_t bytes = fs::file_size(path, error);
  if (!error && bytes > kMost) fail("{}: has {} bytes, far too many for such a file", path.string(), bytes);
  Json json = parse_json_file(path);
  if (!json.is_object()) fail("{}: is not a JSON object", path.string());
  return json;
}

[[noreturn]] void fail_without_weights(const fs::path& directory) {
  for (const char* name : kWeights)
    if (std::string shard = first_with_ending(directory, fs::path(name).extension().string()); !shard.empty())
      fail("{}: holds {} but no index that says which tensor lies in which file; download {}.index.json",
           directory.string(), shard, name);
  fail("{}: has a config.json but no weights (model.safetensors or pytorch_model.bin, whole or in shards)",
       directory.string());
}

/// Maps and parses one file, keeps the mapping in c.
ParsedTensors read_shard(Checkpoint& c, const fs::path& path) {
  c.files.emplace_back(path);
  auto parse = path.extension() == ".bin" ? parse_torch_bin : parse_safetensors;
  return parse(c.files.back().bytes(), path.string());
}

void read_single(Checkpoint& c, const fs::path& path) {
  ParsedTensors parsed = read_shard(c, path);
  c.tensors = std::move(parsed.tensors);
  c.skipped = std::move(parsed.skipped);
}

struct Shard {
  std::unordered_map<std::string, Tensor> tensors;
  std::unordered_map<std::string, std::string> skipped;
};

/// Nothing when the file is not there: the model may not need its tensors.
std::optional<Shard> read_listed_shard(Checkpoint& c, const fs::path& index, const std::string& name,
                                       const std::string& tensor) {
  if (name.empty() || name.find('/') != std::string::npos || name.find("..") != std::string::npos ||
      name.find('\0') != std::string::npos)
    fail("{}: names the file {} for tensor {}; only files of the same directory are opened", index.string(),
         in_quotes(name), in_quotes(tensor));
  if (!is_file(index.parent_path() / name)) return std::nullopt;
  ParsedTensors parsed = read_shard(c, index.parent_path() / name);
  Shard shard{{}, std::move(parsed.skipped)};
  for (NamedTensor& t : parsed.tensors) shard.tensors.emplace(std::move(t.name), t.tensor);
  return shard;
}

/// Takes the tensor from one of the shards. False when none of them holds it.
bool take(Checkpoint& c, const std::string& tensor, const Shard& shard) {
  if (auto t = shard.tensors.find(tensor); t != shard.tensors.end()) {
    c.tensors.push_back({tensor, t->second});
    return true;
  }
  auto s = shard.skipped.find(tensor);
  if (s != shard.skipped.end()) c.skipped.insert(*s);
  return s != shard.skipped.end();
}

/// Savers copy old indices: a tensor that the index names wrongly is looked for in all shards, and what no
/// shard holds (such as a tied head) is a fault only if the model asks for it.
void read_shards(Checkpoint& c, const fs::path& index) {
  Json json = read_small_json(index);
  auto weight_map = json.find("weight_map");
  if (weight_map == json.end() || !weight_map->is_object())
    fail("{}: has no object \"weight_map\"", index.string());
  std::map<std::string, std::optional<Shard>> shards;
  for (const auto& [tensor, file] : weight_map->items()) {
    if (!file.is_string()) fail("{}: names no file for tensor {}", index.string(), in_quotes(tensor));
    auto name = file.get<std::string>();
    if (!shards.contains(name)) shards.emplace(name, read_listed_shard(c, index, name, tensor));
  }
  for (const auto& [tensor, file] : weight_map->items()) {
    auto name = file.get<std::string>();
    const std::optional<Shard>& listed = shards.at(name);
    if (listed && take(c, tensor, *listed)) continue;
    bool elsewhere = std::any_of(shards.begin(), shards.end(), [&, &tensor = tensor](const auto& shard) {
      return shard.second && take(c, tensor, *shard.second);
    });
    if (elsewhere) continue;
    c.missing[tensor] = listed ? fmt::format("{}: tensor {} should lie in {}, which does not hold it",
                                             index.string(), in_quotes(tensor), in_quotes(name))
                               : fmt::format("{}: the shard {} with tensor {} is missing; download it",
                                             index.string(), in_quotes(name), in_quotes(tensor));
  }
}

}  // namespace

Checkpoint open_huggingface_config(const fs::path& directory) {
  if (!is_file(directory / "config.json")) {
    if (is_file(directory / "adapter_config.json"))
      fail("{}: is an adapter, not a model; give its base as the model, and this directory with --adapter",
           directory.string());
    if (std::string gguf = first_with_ending(directory, ".gguf"); !gguf.empty())
      fail("{}: is a directory without config.json; to open a GGUF file in it give its name, for example {}",
           directory.string(), (directory / gguf).string());
    fail("{}: is a directory without config.json; a Hugging Face model has config.json and model.safetensors",
         directory.string());
  }
  Checkpoint c;
  c.format = CheckpointFormat::HuggingFace;
  c.metadata = read_small_json(directory / "config.json");
  return c;
}

Checkpoint open_huggingface(const fs::path& directory) {
  Checkpoint c = open_huggingface_config(directory);
  for (const char* name : kWeights) {
    fs::path single = directory / name, index = directory / (std::string(name) + ".index.json");
    if (is_file(single)) {
      read_single(c, single);
      return c;
    }
    if (is_file(index)) {
      read_shards(c, index);
      return c;
    }
  }
  fail_without_weights(directory);
}

}  // namespace longspan
