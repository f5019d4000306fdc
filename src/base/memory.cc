#include "base/memory.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace longspan {

namespace {

namespace fs = std::filesystem;

/// How one version of control groups names its files. Limits that are unset are "max", or a number beyond any
/// memory.
struct GroupFiles {
  std::vector<const char*> limits;
  const char* usage;
  std::vector<const char*> page_cache;  // keys of memory.stat; without tmpfs, which cannot be dropped
};
const GroupFiles kVersion1 = {
    {"memory.limit_in_bytes"}, "memory.usage_in_bytes", {"total_inactive_file", "total_active_file"}};
const GroupFiles kVersion2 = {
    {"memory.max", "memory.high"}, "memory.current", {"inactive_file", "active_file"}};

std::optional<int64_t> number_in(const fs::path& file) {
  int64_t number = 0;
  if (std::ifstream in(file); in >> number) return number;
  return std::nullopt;
}

/// The number that follows `key` on a line of its own; 0 without.
int64_t value_of(const fs::path& file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name;
    if (int64_t value = 0; words >> name >> value && name == key) return value;
  }
  return 0;
}

/// What is left below the limit of one group; nothing where it has none.
std::optional<int64_t> left_in(const fs::path& group, const GroupFiles& files) {
  std::optional<int64_t> limit, usage = number_in(group / files.usage);
  for (const char* name : files.limits)
    if (auto one = number_in(group / name)) limit = std::min(limit.value_or(*one), *one);
  if (!limit || !usage) return std::nullopt;
  int64_t cached = 0;
  for (const char* key : files.page_cache) cached += value_of(group / "memory.stat", key);
  return std::clamp<int64_t>(*limit - std::max<int64_t>(0, *usage - cached), 0, *limit);
}

/// The least of `group` and all above it. Inside a container the path may be the one that the host sees:
/// groups that do not exist here are passed over, the uppermost one is then the container's own.
std::optional<int64_t> left_up_to_root(const fs::path& mount, const fs::path& group,
                                       const GroupFiles& files) {
  std::optional<int64_t> least;
  for (fs::path at = group.lexically_normal().relative_path();; at = at.parent_path()) {
    if (auto left = left_in(mount / at, files)) least = std::min(least.value_or(*left), *left);
    if (at.empty()) return least;
  }
}

}  // namespace

std::optional<int64_t> available_memory(const fs::path& root) {
  std::optional<int64_t> least;
  auto consider = [&](std::optional<int64_t> bytes) {
    if (bytes) least = std::min(least.value_or(*bytes), *bytes);
  };
  if (int64_t kib = value_of(root / "proc/meminfo", "MemAvailable:"); kib > 0) consider(kib * 1024);
  const fs::path mounted = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");  // lines ID:CONTROLLERS:PATH; version 2 has no controllers
  for (std::string line; std::getline(groups, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (controllers.empty()) {
      consider(left_up_to_root(mounted, path, kVersion2));
      consider(left_up_to_root(mounted / "unified", path, kVersion2));
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      consider(left_up_to_root(mounted / "memory", path, kVersion1));
    }
  }
  return least;
}

}  // namespace longspan
