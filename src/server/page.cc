#include "server/page.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/resource.h"

namespace longspan::server {

namespace {

std::string content_type(const std::string& name) {
  static const std::map<std::string, std::string> types = {{"html", "text/html; charset=utf-8"},
                                                           {"js", "text/javascript; charset=utf-8"},
                                                           {"css", "text/css; charset=utf-8"},
                                                           {"svg", "image/svg+xml"},
                                                           {"json", "application/json"},
                                                           {"png", "image/png"},
                                                           {"ico", "image/x-icon"},
                                                           {"txt", "text/plain; charset=utf-8"}};
  auto found = types.find(name.substr(name.rfind('.') + 1));
  return found == types.end() ? "application/octet-stream" : found->second;
}

}  // namespace

std::optional<PageFile> page_file(const std::string& path) {
  static const std::vector<std::string> names = resource_names("page/");
  std::string name = "page" + (path == "/" ? "/index.html" : path);
  if (!std::binary_search(names.begin(), names.end(), name)) return {};
  return PageFile{resource(name), content_type(name)};
}

}  // namespace longspan::server
