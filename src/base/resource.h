// Files built into the program: everything below resources/, so that the program is one file. Names that end
// in .zst are compressed (base/compressed.h reads them).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longspan {

/// The bytes of the file with this path below resources/: "suites/needle.toml". Error when there is none.
std::string_view resource(std::string_view name);
/// Names that begin with `prefix`, sorted.
std::vector<std::string> resource_names(std::string_view prefix);

/// A row of the table that the build makes of resources/; the two functions above read it.
struct Resource {
  const char* name;
  const char* begin;
  const char* end;
};
extern const Resource kResources[];
extern const int kResourceCount;

}  // namespace longspan
