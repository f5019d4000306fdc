#include "cli/digest.h"

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace longspan::cli {

std::string sha256_of(const std::filesystem::path& file) {
  constexpr size_t kChunk = size_t{1} << 20;
  InputFile in(file, InputFile::Pipes::Refused);
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool well = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  std::vector<char> buffer(kChunk);
  while (size_t n = well ? in.read(buffer.data(), buffer.size()) : 0)
    well = EVP_DigestUpdate(context.get(), buffer.data(), n) == 1;
  std::array<unsigned char, 32> digest{};
  if (!well || EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1)
    fail("{}: OpenSSL could not compute its SHA-256", file.string());
  std::string text;
  for (unsigned char byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace longspan::cli
