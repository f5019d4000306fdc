#include "server/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace longspan::server {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

ApiKeys::Digest ApiKeys::digest_of(std::string_view key) {
  Digest digest{};
  if (EVP_Digest(key.data(), key.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1)
    fail("OpenSSL could not compute a SHA-256");
  return digest;
}

ApiKeys::ApiKeys(const std::filesystem::path& file) {
  std::istringstream in(read_file(file));
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    constexpr std::string_view kPrefix = "sha256:";
    Key key{};
    bool well = line.starts_with(kPrefix) && line.size() >= kPrefix.size() + 64;
    for (size_t i = 0; well && i < key.digest.size(); ++i) {
      int high = hex_digit(line[kPrefix.size() + 2 * i]), low = hex_digit(line[kPrefix.size() + 2 * i + 1]);
      well = high >= 0 && low >= 0;
      key.digest[i] = static_cast<unsigned char>(high * 16 + low);
    }
    size_t end = kPrefix.size() + 64;
    well = well && (line.size() == end || line[end] == ' ');
    if (!well)
      fail(
          "{}:{}: expected sha256: and 64 hexadecimal digits, then a name; printf %s KEY | sha256sum makes "
          "them",
          file.string(), number);
    key.name = line.size() > end + 1 ? line.substr(end + 1) : "key " + std::to_string(keys_.size() + 1);
    keys_.push_back(std::move(key));
  }
  if (keys_.empty()) fail("{}: holds no keys", file.string());
}

std::optional<std::string> ApiKeys::owner(std::string_view key) const {
  Digest digest = digest_of(key);
  const Key* found = nullptr;
  // All of them, whichever it is.
  for (const Key& known : keys_)
    if (CRYPTO_memcmp(known.digest.data(), digest.data(), digest.size()) == 0) found = &known;
  if (!found) return {};
  return found->name;
}

}  // namespace longspan::server
