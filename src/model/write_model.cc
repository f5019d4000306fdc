#include "model/write_model.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "model/export.h"
#include "model/model_files.h"
#include "tokenizer/write_json.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kShardBytes = 5'000'000'000;  // what Hugging Face's tools split at

/// What the new directory will hold.
struct Plan {
  Json config;
  std::vector<std::pair<std::string, Json>> texts;  // files made of JSON
  std::vector<TensorSource> tensors;                // to be written; empty: the weights are among the files
  std::vector<fs::path> files;                      // to be linked or copied
  bool symbolic = false;                            // weights among them become symbolic links
  Weights weights;                                  // what tensors read from
};

bool ends_with_any(const std::string& name, std::initializer_list<const char*> endings) {
  for (const char* ending : endings)
    if (name.ends_with(ending)) return true;
  return false;
}

/// Files large enough to be shared rather than copied, and never edited by hand.
bool is_weights(const fs::path& file) {
  return ends_with_any(file.filename().string(), {".safetensors", ".bin", ".pt", ".pth", ".gguf"});
}

/// The tensor of that name that replaces `t`, or `t`. Counts what was replaced.
NamedTensor replaced(const NamedTensor& t, const ModelWish& wish, size_t& count) {
  for (const NamedTensor& other : wish.replaced)
    if (other.name == t.name) {
      ++count;
      return other;
    }
  return t;
}

/// A head that differs from the embedding of a model that shared them: `plan` gets it as a tensor of its own.
void add_untied_head(Plan& plan, const ModelWish& wish, const std::vector<std::string>& names, DType type,
                     size_t& count) {
  for (const NamedTensor& t : wish.replaced) {
    if (t.name != "lm_head.weight" || std::find(names.begin(), names.end(), t.name) != names.end()) continue;
    plan.tensors.push_back(converted(t, type));
    plan.config["tie_word_embeddings"] = false;
    ++count;
  }
}

void check_replaced(const Checkpoint& from, const ModelWish& wish, size_t count) {
  if (count != wish.replaced.size())
    fail(
        "{}: {} of {} trained tensors have no place among the model's: this family cannot be written with "
        "them",
        from.path.string(), wish.replaced.size() - count, wish.replaced.size());
}

Plan plan_from_gguf(const Checkpoint& from, const ModelConfig& config, const ModelWish& wish) {
  DType type = wish.type.value_or(DType::BF16);
  Plan plan;
  TokenizerFiles tokenizer = tokenizer_files_from_gguf(from.metadata, from.path.string());
  Tokenizer loaded = load_tokenizer(from);
  plan.weights = load_weights(from, config);
  plan.config = config_to_hf(config, plan.weights, loaded, type);
  size_t count = 0;
  std::vector<std::string> names;
  for (const NamedTensor& t : named_weights(plan.weights, config)) {
    plan.tensors.push_back(converted(replaced(t, wish, count), type));
    names.push_back(t.name);
  }
  add_untied_head(plan, wish, names, type, count);
  check_replaced(from, wish, count);
  plan.texts = {{"tokenizer.json", std::move(tokenizer.tokenizer)},
                {"tokenizer_config.json", std::move(tokenizer.config)},
                {"generation_config.json", generation_config(loaded)}};
  return plan;
}

/// Of the tensors that a new one has to suit.
DType embedding_type(const Checkpoint& from) {
  Tensor embedding = from.find("model.embed_tokens.weight");
  return embedding ? embedding.dtype : DType::F32;
}

Plan plan_from_directory(const Checkpoint& from, const ModelConfig& config, const ModelWish& wish) {
  Plan plan;
  bool anew = wish.type || !wish.replaced.empty();
  plan.config = from.metadata;
  for (const auto& entry : fs::directory_iterator(from.path)) {
    std::string name = entry.path().filename().string();
    if (!entry.is_regular_file() || name == "config.json") continue;
    if (anew && (is_weights(entry.path()) || name.ends_with(".index.json"))) continue;
    if (name == "tokenizer_config.json") {
      plan.texts.emplace_back(name, parse_json_file(entry.path()));
    } else {
      plan.files.push_back(entry.path());
    }
  }
  if (!anew) return plan;
  size_t count = 0;
  std::vector<std::string> names;
  for (const NamedTensor& t : from.tensors) {
    plan.tensors.push_back(converted(replaced(t, wish, count), wish.type.value_or(t.tensor.dtype)));
    names.push_back(t.name);
  }
  if (config.tie_word_embeddings)
    add_untied_head(plan, wish, names, wish.type.value_or(embedding_type(from)), count);
  check_replaced(from, wish, count);
  if (!wish.type) return plan;
  for (const char* key : {"torch_dtype", "dtype"})
    if (plan.config.contains(key)) plan.config.erase(key);
  plan.config["torch_dtype"] = *wish.type == DType::F32   ? "float32"
                               : *wish.type == DType::F16 ? "float16"
                                                          : "bfloat16";
  return plan;
}

/// Puts the position and the window into the plan's JSON files.
std::vector<std::string> set_position(Plan& plan, const ModelConfig& config, const ModelWish& wish,
                                      bool renew) {
  std::vector<std::string> remarks;
  const PositionConfig& position = wish.position ? *wish.position : config.position;
  int64_t window = wish.window > 0 ? wish.window : extended_context(position);
  if (window == 0)
    fail("{} has no window of its own: say with --to how many tokens to promise", describe(position));
  if (renew) {
    WrittenPosition written =
        position_to_hf(std::move(plan.config), position, config.head_shape(), window, UnknownMethod::Keep);
    plan.config = std::move(written.config);
    remarks = std::move(written.remarks);
  }
  for (auto& [name, json] : plan.texts)
    if (name == "tokenizer_config.json" && renew) json["model_max_length"] = window;
  return remarks;
}

fs::path existing_parent(const fs::path& path) {
  fs::path p = fs::absolute(path).parent_path();
  while (!fs::exists(p) && p != p.parent_path()) p = p.parent_path();
  return p;
}

bool same_device(const fs::path& a, const fs::path& b) {
  struct stat x {
  }, y{};
  return ::stat(a.c_str(), &x) == 0 && ::stat(b.c_str(), &y) == 0 && x.st_dev == y.st_dev;
}

void check_space(const Plan& plan, const fs::path& directory) {
  fs::path parent = existing_parent(directory);
  uintmax_t needed = 1 << 20;  // for the small files, whose sizes are not known yet
  for (const TensorSource& t : plan.tensors) needed += static_cast<uintmax_t>(t.bytes());
  for (const fs::path& file : plan.files)
    if (!is_weights(file) || !(plan.symbolic || same_device(file, parent))) needed += fs::file_size(file);
  std::error_code error;
  fs::space_info space = fs::space(parent, error);
  if (error || space.available >= needed) return;
  auto human = [](uintmax_t bytes) { return human_bytes(static_cast<double>(bytes)); };
  fail("{}: the model needs {}, {} are free there, {} are missing; free them or choose another place",
       directory.string(), human(needed), human(space.available), human(needed - space.available));
}

void link_or_copy(const fs::path& file, const fs::path& directory, bool symbolic) {
  fs::path to = directory / file.filename();
  std::error_code error;
  if (is_weights(file) && symbolic) {
    fs::create_symlink(fs::canonical(file), to, error);
    if (!error) return;
  }
  if (is_weights(file)) {
    // Hugging Face's cache keeps symbolic links: their targets are linked.
    fs::create_hard_link(fs::canonical(file), to, error);
    if (!error) return;
  }
  fs::copy_file(file, to, error);
  if (error) fail("{}: cannot be copied to {}: {}", file.string(), directory.string(), error.message());
}

void write_plan(const Plan& plan, const fs::path& directory, const Progress& progress) {
  for (const fs::path& file : plan.files) {
    link_or_copy(file, directory, plan.symbolic);
    if (progress && !progress(0, 0)) fail("{}: writing was interrupted", directory.string());
  }
  if (!plan.tensors.empty()) write_shards(directory, plan.tensors, {{"format", "pt"}}, kShardBytes, progress);
  for (const auto& [name, json] : plan.texts)
    write_file_atomic(directory / name, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  write_file_atomic(directory / "config.json",
                    plan.config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

/// Error unless the directory can be made: it is not there, or empty.
void check_target(const fs::path& directory, const fs::path& partial) {
  std::error_code error;
  if (fs::exists(directory, error) && !(fs::is_directory(directory, error) && fs::is_empty(directory, error)))
    fail("{}: exists already and is not an empty directory; choose another name", directory.string());
  if (fs::exists(partial, error))
    fail("{}: is left of an interrupted run, or another one is at work there; remove it if none is",
         partial.string());
}

}  // namespace

std::vector<std::string> write_model(const Checkpoint& from, const ModelConfig& config, const ModelWish& wish,
                                     const Progress& progress) {
  fs::path directory = wish.directory.lexically_normal();
  if (!directory.has_filename()) directory = directory.parent_path();  // "new/"
  fs::path partial = directory;
  partial += ".partial";
  check_target(directory, partial);
  bool gguf = from.format == CheckpointFormat::Gguf;
  Plan plan = gguf ? plan_from_gguf(from, config, wish) : plan_from_directory(from, config, wish);
  plan.symbolic = wish.symbolic;
  std::vector<std::string> remarks = set_position(plan, config, wish, gguf || wish.position);
  check_space(plan, directory);
  std::error_code error;
  fs::create_directories(partial, error);
  if (error) fail("{}: cannot be made: {}", partial.string(), error.message());
  try {
    write_plan(plan, partial, progress);
    fs::rename(partial, directory, error);
    if (error) fail("{}: cannot be put in place: {}", directory.string(), error.message());
  } catch (...) {
    fs::remove_all(partial, error);
    throw;
  }
  return remarks;
}

}  // namespace longspan
