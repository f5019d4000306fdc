// The strings and hashes of tests/golden/tokenizer, as tools/make_tokenizer_golden.py defines them: string k
// is made of fragments by splitmix64 seeded with k, and an answer is kept as FNV-1a over ids and decoded
// text.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "tokenizer/tokenizer.h"

namespace longspan::golden {

constexpr int kStrings = 10500, kVariantEvery = 30;  // the variants are tried on every 30th string

inline std::string folder() { return LONGSPAN_GOLDEN "/tokenizer/"; }

class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed) {}
  uint64_t below(uint64_t n) {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (z ^ z >> 31) % n;
  }

 private:
  uint64_t state_;
};

inline std::string one_piece(Numbers& numbers, const std::vector<std::string>& parts) {
  uint64_t kind = numbers.below(24);
  std::string piece;
  if (kind == 0) {
    uint64_t code = numbers.below(numbers.below(2) ? 0x110000 : 0x3000);
    if (code >= 0xD800 && code < 0xE000) return "\xED\xA0\x80";  // a surrogate is no UTF-8
    append_utf8(piece, static_cast<char32_t>(code));
  } else if (kind == 1) {
    piece.push_back(static_cast<char>(128 + numbers.below(128)));
  } else if (kind < 6) {
    piece.assign(1 + numbers.below(3), ' ');
  } else {
    piece = parts[numbers.below(parts.size())];
  }
  return piece;
}

inline std::vector<std::string> strings() {
  auto parts = parse_json_file(folder() + "fragments.json").get<std::vector<std::string>>();
  std::vector<std::string> out(parts);
  for (size_t k = parts.size(); k < kStrings; ++k) {
    Numbers numbers(k);
    std::string text;
    for (uint64_t n = 1 + numbers.below(8); n > 0; --n) {
      std::string piece = one_piece(numbers, parts);
      uint64_t times = numbers.below(6) == 0 ? 1 + numbers.below(4) : 1;
      while (times-- > 0) text += piece;
    }
    out.push_back(text);
  }
  return out;
}

inline uint32_t fnv(uint32_t h, std::string_view bytes) {
  for (unsigned char c : bytes) h = (h ^ c) * 0x01000193u;
  return h;
}

inline uint32_t hash_ids(uint32_t h, const std::vector<int32_t>& ids) {
  auto count = static_cast<int32_t>(ids.size());
  h = fnv(h, {reinterpret_cast<const char*>(&count), 4});
  return fnv(h, {reinterpret_cast<const char*>(ids.data()), ids.size() * 4});
}

/// Against `tokenizers`: ids with special tokens, both decodings, ids as ordinary text.
inline uint32_t answer_hash(const Tokenizer& tokenizer, const std::string& text) {
  auto ids = tokenizer.encode(text, {.add_special = true, .parse_special = true});
  uint32_t h = hash_ids(0x811C9DC5u, ids);
  for (bool skip : {false, true}) h = fnv(h, tokenizer.decode(ids, skip));
  return hash_ids(h, tokenizer.encode(text, {.add_special = false, .parse_special = false}));
}

/// Against `sentencepiece`: ids only.
inline uint32_t ids_hash(const Tokenizer& tokenizer, const std::string& text) {
  return hash_ids(0x811C9DC5u, tokenizer.encode(text, {.add_special = false, .parse_special = false}));
}

inline std::vector<uint32_t> hashes(const std::string& name) {
  auto bytes = read_file(folder() + name + ".hashes");
  std::vector<uint32_t> out(bytes.size() / 4);
  std::memcpy(out.data(), bytes.data(), out.size() * 4);
  return out;
}

/// Compares the answers to texts[0..count) with expected[first..first+count).
template <typename Hash>
void expect_equal(const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                  const std::vector<uint32_t>& expected, size_t first, size_t count, Hash hash) {
  ASSERT_LE(first + count, expected.size());
  int wrong = 0;
  for (size_t k = 0; k < count; ++k) {
    if (hash(tokenizer, texts[k]) == expected[first + k]) continue;
    if (++wrong > 3) continue;
    std::string ids;
    for (int32_t id : tokenizer.encode(texts[k])) ids += " " + std::to_string(id);
    ADD_FAILURE() << "string " << k << " " << dump_json(texts[k]) << " gives" << ids;
  }
  EXPECT_EQ(wrong, 0) << "of " << count << " strings";
}

}  // namespace longspan::golden
