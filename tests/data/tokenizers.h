// Tokenizers for tests of the data room: one of single bytes, in which no token reaches over any border, and
// the trained ones of tests/golden/tokenizer.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

/// tokenizer.json of a token for each byte, id = byte, then the special ones, then `spare` that no text
/// becomes.
inline Json byte_tokenizer_file(const std::vector<std::string>& special, int spare = 0) {
  Json vocab = Json::object(), added = Json::array();
  for (int byte = 0; byte < 256; ++byte) {
    std::string piece;
    append_utf8(piece, byte_to_char(static_cast<unsigned char>(byte)));
    vocab[piece] = byte;
  }
  for (const std::string& token : special) {
    int id = 256 + static_cast<int>(added.size());
    vocab.get_ref<Json::object_t&>().emplace_back(token,
                                                  id);  // not looked up among the others: there may be many
    added.push_back({{"id", id},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  auto& rows = vocab.get_ref<Json::object_t&>();  // appended to, for [] looks through all of them
  for (int i = 0; i < spare; ++i) rows.emplace_back(fmt::format("spare{}", i), static_cast<int>(rows.size()));
  Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
}

/// The same as a tokenizer; the eos is "<eos>" unless it is among the special ones. `config`: more keys of
/// tokenizer_config.json.
inline Tokenizer byte_tokenizer(std::vector<std::string> special = {}, const std::string& eos = "<eos>",
                                int spare = 0, Json config = Json::object()) {
  if (std::find(special.begin(), special.end(), eos) == special.end()) special.push_back(eos);
  config["eos_token"] = eos;
  return tokenizer_from_json(byte_tokenizer_file(special, spare), {.tokenizer_config = config},
                             "byte_tokenizer");
}

/// tests/golden/tokenizer/NAME.json: byte_level, byte_fallback, unigram, of 2,000 tokens each.
inline Tokenizer golden_tokenizer(const std::string& name) {
  std::string path = LONGSPAN_GOLDEN "/tokenizer/" + name + ".json";
  return tokenizer_from_json(parse_json_file(path), {.tokenizer_config = {{"eos_token", "<|im_end|>"}}},
                             path);
}

/// A directory of the test's own.
class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = std::filesystem::temp_directory_path() /
           ("longspan-" + std::to_string(::getpid()) + "-" + info->name());
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::filesystem::path write(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name, std::ios::binary) << bytes;
    return dir_ / name;
  }
  std::filesystem::path dir_;
};

}  // namespace longspan
