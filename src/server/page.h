// The files of the page: what is built into the program below resources/page/, served at /.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace longspan::server {

struct PageFile {
  std::string_view bytes;
  std::string content_type;
};

/// The file at a path of the server: "/" is index.html. Only names of built-in files exist, so no path leads
/// elsewhere.
std::optional<PageFile> page_file(const std::string& path);

}  // namespace longspan::server
