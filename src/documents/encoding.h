// Encodings: which one bytes are in, and from it to UTF-8. ICU knows the encodings and guesses; a guess
// counts only when the bytes decode strictly and what comes out reads like writing (plausible.h). Nothing is
// ever replaced by U+FFFD: bytes that cannot be decoded are an Error with their offset.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace longspan::documents {

/// The name of an encoding as remarks write it: "GB18030" of "gbk" and "cp936", "Windows-1252" of "latin1",
/// as on the web. Error with examples when there is no such encoding.
std::string encoding_name(const std::string& name);

/// Byte order mark at the beginning: the encoding it says and its bytes; {"", 0} when there is none.
struct Mark {
  std::string encoding;
  size_t bytes = 0;
};
Mark byte_order_mark(std::string_view bytes);

/// Offset of the first byte that is not UTF-8; npos when all is.
size_t utf8_fault(std::string_view bytes);

/// The encoding of a text, or why there is none.
struct Guess {
  enum class Kind {
    kKnown,
    kBinary,   // not text at all
    kDamaged,  // `encoding`, but for a few bytes, the first of which is at `at`
    kUnknown,  // no encoding fits; `at` is the first byte that is not UTF-8
  };
  Kind kind = Kind::kKnown;
  std::string encoding = "UTF-8";  // of kKnown, kDamaged
  size_t at = 0;                   // of the others
};
/// `bytes` without byte order mark: a whole text, or (`cut`) its beginning, whose last character may be
/// incomplete.
Guess guess_encoding(std::string_view bytes, bool cut = false);

/// What to say of a guess that is not kKnown: "holds a NUL at byte 7: ...".
std::string guess_fault(const Guess& guess, std::string_view bytes);

/// Bytes in pieces to UTF-8. Error naming `source`, the byte and the way out when bytes cannot be decoded.
class Decoder {
 public:
  /// `offset`: of the first bytes in the source.
  Decoder(const std::string& encoding, std::string source, bool named_by_user, size_t offset = 0);
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  /// Appends the text of the bytes; `last`: nothing follows, so that an incomplete character is an Error.
  void decode(std::string_view bytes, std::string& out, bool last);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The text of all bytes; npos in `fault`, or the offset of the first byte that cannot be decoded. With `cut`
/// an incomplete last character is no fault.
std::string decoded(std::string_view bytes, const std::string& encoding, bool cut, size_t& fault);

/// CR LF and lone CR become LF.
void normalise_line_ends(std::string& text);

}  // namespace longspan::documents
