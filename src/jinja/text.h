// Python's str operations on UTF-8: positions and lengths count code points, white space is Unicode's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longspan::jinja {

bool is_space(char32_t code_point);
/// Bytes of white space at the start and at the end of `text`.
size_t leading_space(std::string_view text);
size_t trailing_space(std::string_view text);

size_t code_points(std::string_view text);
std::vector<char32_t> decode(std::string_view text);
std::string encode(char32_t code_point);
/// Each code point as its own string.
std::vector<std::string_view> characters(std::string_view text);

/// strip, lstrip, rstrip; without `chars`, white space is stripped.
std::string strip(std::string_view text, const std::optional<std::string>& chars, bool left, bool right);
/// split and rsplit; an empty `separator` means runs of white space; limit < 0: no limit.
std::vector<std::string> split(std::string_view text, std::string_view separator, int64_t limit,
                               bool from_right);
std::vector<std::string> split_lines(std::string_view text, bool keep_ends);
/// limit < 0: all. An empty `from` matches between all characters.
std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit);
int64_t count(std::string_view text, std::string_view needle);
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
/// str.title(): upper case after everything that is not a letter.
std::string title(std::string_view text);
/// Jinja's title filter: upper case at the start and after white space, '-', '(', '{', '[' or '<'.
std::string title_words(std::string_view text);
/// str.isupper() and str.islower().
bool is_upper(std::string_view text);
bool is_lower(std::string_view text);
/// Runs of letters, digits and '_'.
int64_t count_words(std::string_view text);
/// & < > " ' as entities, as MarkupSafe writes them.
std::string escape_html(std::string_view text);
/// repr() of a str.
std::string python_quoted(std::string_view text);

}  // namespace longspan::jinja
