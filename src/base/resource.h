// Files built into the program: everything below resources/, so that it runs from one file. What has .zst in
// its name lies there compressed (data/compressed.h unpacks it).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longspan {

/// The bytes of a file by its path below resources/, as "suites/needle.toml". Error when there is none.
std::string_view resource(std::string_view name);
/// Names that begin with `prefix`, sorted.
std::vector<std::string> resource_names(std::string_view prefix);

/// What the build makes of resources/: the table that the two functions above read.
struct Resource {
  const char* name;
  const char* begin;
  const char* end;
};
extern const Resource kResources[];
extern const int kResourceCount;

}  // namespace longspan
