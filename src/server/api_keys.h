// API keys: a file of their SHA-256 digests, a line each, "sha256:HEX NAME". Nobody who reads the file learns
// a key, and a key is compared in a time that does not depend on it.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longspan::server {

class ApiKeys {
 public:
  /// No keys: everybody may ask.
  ApiKeys() = default;
  /// Error naming the file and the line; a line that is not a digest is refused without being shown. Empty
  /// lines and those that begin with # are comments.
  explicit ApiKeys(const std::filesystem::path& file);

  bool required() const { return !keys_.empty(); }
  /// The name of the key's owner; nothing when it is unknown.
  std::optional<std::string> owner(std::string_view key) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Key {
    Digest digest;
    std::string name;
  };
  static Digest digest_of(std::string_view key);

  std::vector<Key> keys_;
};

}  // namespace longspan::server
