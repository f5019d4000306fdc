// Tokenizers: text <-> ids, exactly as the Python `tokenizers` and `sentencepiece` libraries do it. One
// class, three sources: tokenizer.json, GGUF metadata, SentencePiece tokenizer.model. Thread-safe after
// construction (encode and decode are const; their caches are locked or per call).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tokenizer/special_tokens.h"

namespace longspan {

struct EncodeOptions {
  bool add_special = true;    // BOS/EOS as the tokenizer's post-processor or add_bos_token says
  bool parse_special = true;  // "<|im_start|>" in the text becomes its id; false: it is ordinary text
};

class Tokenizer {
 public:
  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl);

  /// Any bytes are accepted; what is not UTF-8 is read as U+FFFD (as Python's
  /// bytes.decode(errors="replace")).
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  /// As tokenizers' decode(skip_special_tokens=skip_special), ill-formed bytes as U+FFFD.
  /// Error when an id is outside the vocabulary.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;
  /// The raw bytes that one id adds to a running text ("" for special tokens, and for ids beyond the
  /// vocabulary, which models with padded embeddings may write): what streaming appends.
  /// Concatenated over an answer they give decode() but for a leading space that some decoders strip.
  std::string token_bytes(int32_t id) const;
  /// The vocabulary's own spelling ("Ġthe", "▁the", "<0x0A>").
  std::string token_text(int32_t id) const;
  /// -1 when there is no such token.
  int32_t token_id(std::string_view text) const;

  int64_t vocab_size() const;
  int32_t bos_id() const;  // -1: none
  int32_t eos_id() const;  // -1: none
  bool is_special(int32_t id) const;
  /// Taken out of a text before the model sees it: special tokens and other added ones.
  bool is_added(int32_t id) const;
  /// What add_special puts before and after a text.
  const std::vector<int32_t>& prefix() const;
  const std::vector<int32_t>& suffix() const;
  /// Ids that end an answer: eos, and the model's other ends (<|im_end|>, <|eot_id|>, ...).
  std::vector<int32_t> stop_ids() const;
  /// The special tokens and the ends, and which file gave them.
  const SpecialTokens& specials() const { return *specials_; }
  /// One more end; nothing changes when it is one already.
  void add_end(int32_t id, const std::string& from);
  /// "byte-level BPE", "SentencePiece BPE", "SentencePiece unigram", "WordPiece".
  std::string kind() const;

 private:
  std::shared_ptr<const Impl> impl_;
  std::shared_ptr<const SpecialTokens> specials_;
};

/// `source` names the file in errors. `files` give added tokens, bos/eos, ends, and add_bos_token where
/// tokenizer.json is silent.
Tokenizer tokenizer_from_json(const Json& tokenizer_json, const SpecialFiles& files,
                              const std::string& source);
/// vocab.json and the text of merges.txt: byte-level BPE whose pre-tokenizer is that of the tokenizer's class
/// (tokenizer_config.json's tokenizer_class, else that of config.json's model_type). Error naming the known
/// classes.
Tokenizer tokenizer_from_vocab(const Json& vocab, std::string_view merges, SpecialFiles files,
                               const std::string& source);
/// The tokenizer.json that tokenizer_from_vocab reads; `files` gets the named tokens of the tokenizer's
/// class.
Json tokenizer_json_of_vocab(const Json& vocab, std::string_view merges, SpecialFiles& files,
                             const std::string& source);
/// vocab.txt of a BERT model, a token a line; tokenizer_config.json says whether text is lower-cased.
Tokenizer tokenizer_from_vocab_txt(std::string_view vocab, const SpecialFiles& files,
                                   const std::string& source);
/// The tokenizer.ggml.* keys.
Tokenizer tokenizer_from_gguf(const Json& metadata, const std::string& source);
/// A SentencePiece ModelProto.
Tokenizer tokenizer_from_sentencepiece(std::string_view bytes, const SpecialFiles& files,
                                       const std::string& source);

}  // namespace longspan
