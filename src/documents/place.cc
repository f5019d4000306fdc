#include "documents/place.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace longspan::documents {

namespace {

/// What stands between "[NAME" and "]" of a line.
std::optional<std::string_view> mark_of(std::string_view line, std::string_view name) {
  if (!line.starts_with('[') || !line.ends_with(']')) return std::nullopt;
  line = line.substr(1, line.size() - 2);
  if (!line.starts_with(name)) return std::nullopt;
  return line.substr(name.size());
}

std::optional<int64_t> number_of(std::string_view digits) {
  int64_t number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < 1) return std::nullopt;
  return number;
}

}  // namespace

Places::Places(std::string_view text) {
  Place place;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    Place before = place;
    if (auto file = mark_of(line, "file: ")) {
      place = {.file = std::string(*file)};
    } else if (auto page = mark_of(line, "page ")) {
      if (auto number = number_of(*page)) place.page = *number;
    } else if (auto chapter = mark_of(line, "chapter ")) {
      if (auto number = number_of(*chapter)) place.chapter = *number;
    }
    if (place != before) marks_.push_back({begin, place});
    begin = end + 1;
  }
}

Place Places::at(size_t offset) const {
  auto after = std::upper_bound(marks_.begin(), marks_.end(), offset,
                                [](size_t at, const Mark& mark) { return at < mark.offset; });
  return after == marks_.begin() ? Place{} : std::prev(after)->place;
}

}  // namespace longspan::documents
