#include "cli/unzip.h"

#include <zip.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace longspan::cli {

namespace {

constexpr size_t kPiece = 1 << 20;

std::string reason_of(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  return text;
}

}  // namespace

void unzip(const std::filesystem::path& archive, const std::string& member, const std::filesystem::path& to) {
  int code = 0;
  std::unique_ptr<zip_t, void (*)(zip_t*)> zip(zip_open(archive.c_str(), ZIP_RDONLY, &code), zip_discard);
  if (!zip) fail("{}: cannot be unpacked: {}", archive.string(), reason_of(code));
  std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(zip_fopen(zip.get(), member.c_str(), 0), zip_fclose);
  if (!file)
    fail("{}: holds no file {} that can be read: {}", archive.string(), in_quotes(member, 300),
         zip_error_strerror(zip_get_error(zip.get())));
  std::ofstream out(to, std::ios::binary | std::ios::trunc);
  std::vector<char> piece(kPiece);
  zip_int64_t n = 0;
  while (out && (n = zip_fread(file.get(), piece.data(), piece.size())) > 0)
    out.write(piece.data(), static_cast<std::streamsize>(n));
  if (n < 0) fail("{}: {} is damaged: {}", archive.string(), excerpt(member), zip_file_strerror(file.get()));
  out.close();
  if (!out) fail("{}: writing failed: {}", to.string(), std::strerror(errno));
}

}  // namespace longspan::cli
