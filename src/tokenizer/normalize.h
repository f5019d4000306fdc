// Normalizers of tokenizer.json: text -> text, before the text is split.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/charsmap.h"
#include "tokenizer/pretokenize.h"

namespace longspan {

struct NormalizerStep {
  enum class Kind {
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Lowercase,
    Prepend,
    Replace,
    Strip,
    StripAccents,
    Nmt,
    BertClean,        // control characters and U+FFFD dropped, white space becomes a space
    BertHan,          // a space on each side of a Chinese character
    StripNonspacing,  // nonspacing marks dropped
    Precompiled
  };
  Kind kind = Kind::Nfc;
  std::string text;                  // Prepend, Replace: what is inserted
  Pattern pattern;                   // Replace: what is replaced
  bool left = false, right = false;  // Strip
  std::shared_ptr<const Charsmap> charsmap;
};

/// Input and output are well-formed UTF-8.
std::string normalize(const std::vector<NormalizerStep>& steps, std::string_view text);

/// Whether normalizing drops the first character of `text`, so that the result no longer begins where the
/// text does.
bool drops_first_character(const std::vector<NormalizerStep>& steps, std::string_view text);

/// Replaces every match of the pattern.
std::string replace_all(std::string_view text, const Pattern& pattern, std::string_view by);

}  // namespace longspan
