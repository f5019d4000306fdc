// What a tokenizer consists of once its source has been read; tokenizer.cc runs it. The path of a text: raw
// added tokens are taken out, the rest is normalized, normalized added tokens are taken out, the rest is
// split into pieces, and the model turns each piece into ids.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/decode.h"
#include "tokenizer/normalize.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unigram.h"
#include "tokenizer/word_cache.h"
#include "tokenizer/wordpiece.h"

namespace longspan {

/// What one encode call writes to besides its result. Kept in the tokenizer between calls, one for each
/// thread that encodes.
struct EncodeState {
  WordCache cache;
  BpeScratch bpe;
  std::vector<UnigramNode> unigram;
};

/// How a piece becomes ids.
enum class Algorithm : uint8_t { Bpe, Unigram, WordPiece };

struct Tokenizer::Impl {
  std::string source;
  std::string kind;

  std::vector<std::string> tokens;               // by id; "" where an id has no token
  std::unordered_map<std::string, int32_t> ids;  // tokens of the model and added ones
  std::vector<bool> special, added;              // by id
  AddedTokenMatcher raw_added, normalized_added;

  std::unique_ptr<const SentencePieceNormalizer> sentencepiece;  // null: `normalizer` holds
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  Algorithm algorithm = Algorithm::Bpe;
  Bpe bpe;
  Unigram unigram;
  WordPiece wordpiece;
  Trie frozen;                          // SentencePiece BPE: user-defined pieces, which never join
  std::vector<int32_t> prefix, suffix;  // add_special
  std::vector<DecoderStep> decoder;

  SpecialTokens specials;
  int32_t bos = -1, eos = -1;

  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<EncodeState>> idle;

  std::string normalize_text(std::string_view text) const;
  void encode_raw(std::string_view text, bool at_start, bool parse_special, EncodeState& state,
                  std::vector<int32_t>& out) const;
  void encode_normalized(std::string_view text, bool at_start, EncodeState& state,
                         std::vector<int32_t>& out) const;
  void encode_piece(std::string_view piece, EncodeState& state, std::vector<int32_t>& out) const;
  void encode_part(std::string_view part, EncodeState& state, std::vector<int32_t>& out) const;
  void encode_word(std::string_view word, EncodeState& state, std::vector<int32_t>& out) const;
};

// build.cc: what the three readers share.

/// Gives `text` the id. Error when the id is negative, far beyond the number of tokens, or already taken by
/// another text.
void set_token(Tokenizer::Impl& impl, int64_t id, const std::string& text, size_t expected_tokens);
/// Marks the token as added (its id must be set) and adds it to the matchers. Call once the normalizer is
/// known.
void add_added_token(Tokenizer::Impl& impl, const AddedToken& token);
/// Fills pairs and characters (or bytes, when the last pre-tokenizer step is the byte map) of a BPE over
/// `vocabulary`. A merge is "left right" with one space between.
void build_bpe(Tokenizer::Impl& impl, const std::vector<std::pair<std::string, std::string>>& merges,
               bool ignore_merges);
/// Fills the tries of a WordPiece model from the tokens that there are; those that begin with `prefix`
/// continue a word. Error when `unknown` is not among them.
void build_wordpiece(Tokenizer::Impl& impl, const std::string& prefix, const std::string& unknown);
/// Everything from a SentencePiece model or its GGUF form.
void build_sentencepiece(Tokenizer::Impl& impl, const SentencePieceModel& model);
/// Fills byte_token from the spellings <0x00> to <0xFF>.
void find_byte_tokens(const Tokenizer::Impl& impl, std::array<int32_t, 256>& byte_token);
/// Gives the gathered tokens (impl.specials) their ids and puts them among the added ones, after `listed`,
/// those of tokenizer.json. A token that is in the vocabulary keeps its id, whatever the entry says; a named
/// one that no file gives an id takes the next one if a model of `rows` tokens has it. Called once the model
/// has been read.
void place_special_tokens(Tokenizer::Impl& impl, std::vector<AddedToken> listed, int64_t rows);
/// Computes the ends and whatever else needs the complete vocabulary. Every reader calls it last.
Tokenizer finish(std::shared_ptr<Tokenizer::Impl> impl);

}  // namespace longspan
