#include "base/nearest.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace longspan {

namespace {

/// Insertions, deletions, replacements and exchanges of neighbours that turn a into b.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i)
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

/// Capitals, blanks and the choice between - and _ make no difference.
std::string plain(std::string_view name) {
  std::string out(name);
  for (char& c : out)
    c = c == '_' || c == ' ' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& known) {
  constexpr size_t kLongest = 64, kLeastBeginning = 3;
  if (name.size() > kLongest) return "";
  std::string best, typed = plain(name);
  // Of names that are equally near, as all that begin with what was typed, the one with fewer changes.
  std::pair<size_t, size_t> distance{std::max<size_t>(1, name.size() / 3) + 1, 0};
  for (const std::string& other : known) {
    std::string candidate = plain(other);
    size_t edits = edit_distance(typed, candidate), d = edits;
    if (typed.size() >= kLeastBeginning && candidate.starts_with(typed)) d = std::min<size_t>(d, 1);
    if (std::pair(d, edits) < distance && d < typed.size()) {
      distance = {d, edits};
      best = other;
    }
  }
  return best;
}

std::string meant_name(std::string_view name, const std::vector<std::string>& known) {
  std::string best = nearest_name(name, known);
  return best.empty() ? "" : " (did you mean " + best + "?)";
}

}  // namespace longspan
