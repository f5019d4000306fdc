// SentencePiece: its ModelProto, parsed by hand from untrusted bytes, and its normalizer. Its models are Bpe
// and Unigram.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/charsmap.h"
#include "tokenizer/trie.h"

namespace longspan {

/// The numbers are those of the ModelProto and of GGUF's token_type.
enum class PieceType { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 };

struct SentencePieceNormalizer {
  std::shared_ptr<const Charsmap> charsmap;  // null: characters stay unchanged
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
  bool whitespace_as_suffix = false;
  Trie user_defined;  // pieces that pass through unchanged

  /// Well-formed UTF-8 in and out; spaces come out as "▁".
  std::string normalize(std::string_view text) const;

 private:
  /// The replacement of the beginning of `text`, and how many bytes it replaces.
  std::string_view first(std::string_view text, size_t& consumed) const;
};

struct SentencePieceModel {
  std::vector<std::string> pieces;
  std::vector<float> scores;
  std::vector<PieceType> types;
  enum class Kind { Unigram = 1, Bpe = 2, Word = 3, Char = 4 } kind = Kind::Unigram;
  bool byte_fallback = false, whitespace_as_suffix = false;
  std::string unknown = "<unk>", bos = "<s>", eos = "</s>";
  std::string charsmap;
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
};

/// Error naming `source` when the bytes are not a ModelProto.
SentencePieceModel parse_sentencepiece(std::string_view bytes, const std::string& source);

}  // namespace longspan
