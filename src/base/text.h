// UTF-8 and small text helpers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace longspan {

/// Decodes one code point at text[i] and advances i. Malformed input gives U+FFFD and advances by the maximal
/// ill-formed subpart (Unicode 3.9, as Python's errors="replace" does). Requires i < text.size().
char32_t next_code_point(std::string_view text, size_t& i);

/// Appends the UTF-8 form of a code point.
void append_utf8(std::string& out, char32_t code_point);

/// Replaces every ill-formed sequence by U+FFFD; well-formed text is returned unchanged.
std::string valid_utf8(std::string_view text);

/// Length of the longest prefix that does not end within a UTF-8 sequence: what a stream may print now.
size_t complete_utf8_prefix(std::string_view text);

/// Foreign text (from a file, a server, the command line) made fit for a message: the first `most` characters
/// on one line. Control characters, line separators, marks that turn the writing direction, and bytes that
/// are not UTF-8 are escaped (\n, \x1b, \u{202e}); printable characters stay as they are. Text that was cut
/// ends in "… (100,000 bytes)", its whole length.
std::string excerpt(std::string_view text, size_t most = 80);

/// The same in double quotes; quotes and backslashes inside are escaped by a backslash. (Not named quoted:
/// std::quoted would win by argument-dependent lookup wherever <iomanip> is included.)
std::string in_quotes(std::string_view text, size_t most = 80);

/// Replaces every `from` (not empty) by `to`; replacements are not searched again.
std::string replaced(std::string text, std::string_view from, std::string_view to);

/// 1234567 -> "1,234,567".
std::string grouped(int64_t n);

/// "93.8 MiB", "1.2 GiB".
std::string human_bytes(double bytes);

/// "2m 03s", "0.8s", "1h 02m".
std::string human_seconds(double seconds);

}  // namespace longspan
