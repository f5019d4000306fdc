// Decoders of tokenizer.json: token spellings -> text. They run in order over the list of tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pretokenize.h"

namespace longspan {

struct DecoderStep {
  enum class Kind {
    ByteLevel,     // GPT-2's printable characters back to bytes, all tokens joined
    Metaspace,     // `content` (▁) to a space, dropped from the first token when `start` is 1
    ByteFallback,  // runs of <0xHH> to text; every byte of a run that is not UTF-8 becomes U+FFFD
    Fuse,          // all tokens joined
    Replace,       // pattern by content
    WordPiece,     // `content` (##) dropped, other tokens but the first after a space; `start` 1: cleaned up
    Strip,         // up to `start` and `stop` characters `content` from the ends of each token
  };
  Kind kind = Kind::Fuse;
  std::string content;
  Pattern pattern;
  size_t start = 0, stop = 0;
};

/// Without steps tokens are joined by spaces, as the library does. The result is well-formed UTF-8.
std::string decode_tokens(const std::vector<DecoderStep>& steps, std::vector<std::string> tokens);

/// The bytes that one token in the middle of a text stands for.
std::string decode_one_token(const std::vector<DecoderStep>& steps, const std::string& token);

/// The byte that "<0x0A>" names, -1 for any other spelling.
int named_byte(std::string_view token);

}  // namespace longspan
