// Chinese word segmentation with jieba's algorithm (version 0.42.1, cut with HMM), because LongBench's
// Chinese scores are F1 and ROUGE over its words. A text is split along the most probable path through
// the dictionary words in it; runs of single characters then go through a hidden Markov model. The dictionary
// of version 0.42.1, which the published scores depend on, is built into the program.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "score/words.h"

namespace longspan {

class Segmenter {
 public:
  /// `folder` ("": the program's own files) holds, plain or packed (.zst, .xz), the dictionary dict.txt
  /// (jieba's name) or jieba.dict.utf8 (cppjieba's), lines "word frequency [tag]", and the model hmm.json
  /// {"start": {"B": p}, "trans": {"B": {"E": p}}, "emit": {"B":
  /// {"一": p}}} with logarithms, or cppjieba's hmm_model.utf8. Error names file and line.
  explicit Segmenter(const std::filesystem::path& folder);

  /// The words in order; concatenated they give the text.
  Words cut(std::u32string_view text) const;

 private:
  enum State { kBegin, kMiddle, kEnd, kSingle, kStates };

  void read_dictionary(const std::filesystem::path& file, std::string_view text);
  void read_json_model(const std::filesystem::path& file, std::string_view text);
  void read_text_model(const std::filesystem::path& file, std::string_view text);
  int32_t child(int32_t node, char32_t c) const;
  bool is_word(std::u32string_view text) const;
  void cut_block(std::u32string_view block, Words& words) const;
  void cut_singles(std::u32string_view singles, Words& words) const;
  void cut_han(std::u32string_view han, Words& words) const;

  // A trie: children_ maps (node << 21 | code point) to a node, frequency_[node] > 0 ends a word.
  std::unordered_map<uint64_t, int32_t> children_;
  std::vector<int64_t> frequency_;
  double log_total_ = 0;
  std::array<double, kStates> start_;
  std::array<std::array<double, kStates>, kStates> transition_;  // [from][to]
  std::array<std::unordered_map<char32_t, double>, kStates> emission_;
};

/// The folder of the segmenter's files: `given` if not empty, else $LONGSPAN_JIEBA, else "" (built in).
std::filesystem::path jieba_folder(const std::filesystem::path& given);

}  // namespace longspan
