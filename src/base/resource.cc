#include "base/resource.h"

#include "base/error.h"

namespace longspan {

std::string_view resource(std::string_view name) {
  for (int i = 0; i < kResourceCount; ++i)
    if (name == kResources[i].name)
      return {kResources[i].begin, static_cast<size_t>(kResources[i].end - kResources[i].begin)};
  fail("the program holds no file named {}", name);
}

std::vector<std::string> resource_names(std::string_view prefix) {
  std::vector<std::string> names;  // sorted by the build
  for (int i = 0; i < kResourceCount; ++i)
    if (std::string_view(kResources[i].name).starts_with(prefix)) names.emplace_back(kResources[i].name);
  return names;
}

}  // namespace longspan
