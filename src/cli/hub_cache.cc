#include "cli/hub_cache.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace longspan::cli {

namespace fs = std::filesystem;

namespace {

/// A word of an id: letters, digits, "-", "_", "."; neither "." nor "..".
bool is_word(const std::string& text) {
  auto good = [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; };
  return !text.empty() && text.size() <= 96 && text[0] != '.' && std::all_of(text.begin(), text.end(), good);
}

/// What follows the first `mark` leaves `text`; "" when there is none.
std::string cut_after(std::string& text, char mark) {
  size_t at = text.find(mark);
  if (at == text.npos) return "";
  std::string rest = text.substr(at + 1);
  text.resize(at);
  return rest;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

fs::path repository_of(const HubId& id) {
  std::string folder = id.repository;
  folder.replace(folder.find('/'), 1, "--");
  return hub_cache() / ("models--" + folder);
}

std::string way_out(const HubId& id) {
  std::string revision = id.revision == "main" ? "" : " --revision " + id.revision;
  return fmt::format("download it with `hf download {}{}` (of older releases: huggingface-cli download)",
                     id.repository, revision);
}

fs::path snapshot_of(const HubId& id) {
  std::error_code ignored;
  fs::path repository = repository_of(id), snapshots = repository / "snapshots",
           ref = repository / "refs" / id.revision;
  if (!fs::is_directory(repository, ignored))
    fail("{}: no such file or directory, and no model of that name is in the hub's cache ({}); {}",
         excerpt(id.text, 300), hub_cache().string(), way_out(id));
  if (fs::is_regular_file(ref, ignored)) {
    fs::path snapshot = snapshots / trimmed(read_file(ref));
    if (fs::is_directory(snapshot, ignored)) return snapshot;
  }
  if (fs::is_directory(snapshots / id.revision, ignored)) return snapshots / id.revision;
  fail("{}: the hub's cache holds nothing of its revision {} ({}); {}", id.repository, id.revision,
       repository.string(), way_out(id));
}

/// Names of the GGUF files of a snapshot, of split ones the first part.
std::vector<std::string> gguf_files(const fs::path& snapshot) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(snapshot)) {
    std::string name = fs::relative(entry.path(), snapshot).string();
    size_t part = name.find("-of-");
    bool later = part != name.npos && part >= 6 && name.substr(part - 6, 6) != "-00001";
    if (name.ends_with(".gguf") && !later) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

fs::path file_of(const HubId& id, const fs::path& snapshot) {
  std::error_code ignored;
  if (fs::exists(snapshot / id.file, ignored)) return snapshot / id.file;
  fail("{}: the hub's cache does not hold its file {}; download it with `hf download {} {}`", id.repository,
       id.file, id.repository, id.file);
}

fs::path gguf_of(const HubId& id, const fs::path& snapshot) {
  std::vector<std::string> all = gguf_files(snapshot), found;
  for (const std::string& name : all)
    if (id.tag.empty() || lower(name).find(lower(id.tag)) != name.npos) found.push_back(name);
  if (found.size() == 1) return snapshot / found[0];
  if (all.empty())
    fail("{}: its snapshot in the hub's cache holds neither config.json nor a GGUF file ({}); {}",
         id.repository, snapshot.string(), way_out(id));
  if (found.empty())
    fail("{}: no file of its snapshot has {} in its name; there are {}", id.repository, in_quotes(id.tag),
         fmt::join(all, ", "));
  fail("{}: {} files of its snapshot could be meant: {}; name one, as in {}/{}", id.repository, found.size(),
       fmt::join(found, ", "), id.repository, found[0]);
}

}  // namespace

std::optional<HubId> hub_id(const std::string& text) {
  HubId id;
  id.text = text;
  std::string rest = text;
  size_t slash = rest.find('/');
  if (slash == rest.npos) return std::nullopt;
  std::string owner = rest.substr(0, slash);
  rest = rest.substr(slash + 1);
  id.file = cut_after(rest, '/');
  id.tag = cut_after(rest, ':');
  id.revision = cut_after(rest, '@');
  if (!is_word(owner) || !is_word(rest)) return std::nullopt;
  if (!id.revision.empty() && !is_word(id.revision)) return std::nullopt;
  if (id.file.find("..") != id.file.npos || id.file.starts_with('/')) return std::nullopt;
  if (!id.file.empty() && !id.tag.empty()) return std::nullopt;
  if (id.revision.empty()) id.revision = "main";
  id.repository = owner + "/" + rest;
  return id;
}

fs::path hub_cache() {
  if (std::string given = from_environment("HF_HUB_CACHE"); !given.empty()) return given;
  if (std::string home = from_environment("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  if (std::string cache = from_environment("XDG_CACHE_HOME"); !cache.empty())
    return fs::path(cache) / "huggingface" / "hub";
  return fs::path(from_environment("HOME")) / ".cache" / "huggingface" / "hub";
}

fs::path resolve_hub(const HubId& id) {
  fs::path snapshot = snapshot_of(id);
  if (!id.file.empty()) return file_of(id, snapshot);
  std::error_code ignored;
  if (id.tag.empty() && fs::exists(snapshot / "config.json", ignored)) return snapshot;
  return gguf_of(id, snapshot);
}

}  // namespace longspan::cli
