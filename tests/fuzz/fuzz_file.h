// For parsers that open a file themselves: the bytes lie in a temporary file of this process, gone when the
// fuzzer exits.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace longspan {

/// Writes the bytes to a file whose name ends in `ending`; the next call with the same ending overwrites it.
inline std::filesystem::path fuzz_file(std::string_view bytes, const std::string& ending) {
  static const std::filesystem::path folder = [] {
    auto path = std::filesystem::temp_directory_path() / ("longspan-fuzz-" + std::to_string(::getpid()));
    std::filesystem::create_directories(path);
    return path;
  }();
  static const int registered = std::atexit([] {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  });
  static_cast<void>(registered);
  std::filesystem::path file = folder / ("input" + ending);
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return file;
}

}  // namespace longspan
