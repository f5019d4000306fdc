// Directories of golden model families, which carry no chat template, with a tokenizer of 64 tokens.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace longspan {

constexpr int kFamilyCharacters = 32;  // ids 0 to 31: the characters from ' ' to '?'; the others are special

/// The first special tokens are `names`, the others "<ID>".
inline std::string family_token(int id, const std::vector<std::string>& names) {
  auto n = static_cast<size_t>(id - kFamilyCharacters);
  return n < names.size() ? names[n] : "<" + std::to_string(id) + ">";
}

/// Copies config.json of tests/golden/model/FAMILY and, if asked, its weights; writes tokenizer.json.
inline void make_family(const std::filesystem::path& directory, const std::string& family, bool weights,
                        const std::vector<std::string>& names = {}) {
  namespace fs = std::filesystem;
  fs::create_directories(directory);
  std::vector<const char*> files = {"config.json"};
  if (weights) files.push_back("model.safetensors");
  for (const char* file : files)
    fs::copy_file(fs::path(LONGSPAN_GOLDEN) / "model" / family / file, directory / file,
                  fs::copy_options::overwrite_existing);
  Json vocab = Json::object(), added = Json::array();
  for (int id = 0; id < 64; ++id) {
    if (id < kFamilyCharacters) {
      vocab[std::string(1, static_cast<char>(' ' + id))] = id;
      continue;
    }
    vocab[family_token(id, names)] = id;
    added.push_back({{"id", id},
                     {"content", family_token(id, names)},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  Json tokenizer = {{"added_tokens", added},
                    {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
  write_file_atomic(directory / "tokenizer.json", dump_json(tokenizer));
}

}  // namespace longspan
