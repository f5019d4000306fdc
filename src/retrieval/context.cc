#include "retrieval/context.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "base/text.h"

namespace longspan::retrieval {

std::vector<Source> join(std::span<const Hit> hits) {
  std::vector<const Hit*> ordered;
  for (const Hit& hit : hits) ordered.push_back(&hit);
  std::sort(ordered.begin(), ordered.end(), [](const Hit* a, const Hit* b) {
    return std::pair(a->passage.document, a->passage.begin) <
           std::pair(b->passage.document, b->passage.begin);
  });
  std::vector<Source> all;
  for (const Hit* hit : ordered) {
    const StoredPassage& p = hit->passage;
    if (all.empty() || all.back().document != p.document || p.begin > all.back().end) {
      all.push_back({p.path, p.document, p.begin, p.end, p.line, p.last_line, p.page, p.chapter, hit->score,
                     1, p.text});
      continue;
    }
    Source& source = all.back();
    source.score = std::max(source.score, hit->score);
    ++source.passages;
    if (p.end <= source.end) continue;
    source.text += p.text.substr(std::min(static_cast<size_t>(source.end - p.begin), p.text.size()));
    source.end = p.end;
    source.last_line = p.last_line;
  }
  return all;
}

std::string shown_path(const std::string& path) {
  std::error_code error;
  std::filesystem::path here = std::filesystem::current_path(error);
  std::string relative = error ? path : std::filesystem::path(path).lexically_relative(here).string();
  return excerpt(relative.empty() || relative.starts_with("..") ? path : relative, 200);
}

namespace {

std::string place_text(const std::string& path, int64_t page, int64_t chapter, int64_t line,
                       int64_t last_line) {
  std::string out = shown_path(path);
  if (page > 0) out += fmt::format(", page {}", page);
  if (chapter > 0) out += fmt::format(", chapter {}", chapter);
  return out +
         (line == last_line ? fmt::format(", line {}", line) : fmt::format(", lines {}-{}", line, last_line));
}

}  // namespace

std::string place_of(const Source& s) { return place_text(s.path, s.page, s.chapter, s.line, s.last_line); }
std::string place_of(const StoredPassage& p) {
  return place_text(p.path, p.page, p.chapter, p.line, p.last_line);
}

std::string context_text(std::span<const Source> sources) {
  std::string out;
  for (size_t i = 0; i < sources.size(); ++i) {
    std::string_view text = sources[i].text;
    text = text.substr(0, text.find_last_not_of(" \t\n") + 1);
    out += fmt::format("{}[{}: {}]\n{}", i == 0 ? "" : "\n\n", i + 1, place_of(sources[i]), text);
  }
  return out;
}

std::vector<Source> choose(std::span<const Hit> hits, int64_t budget,
                           const std::function<int64_t(const std::string&)>& count) {
  auto fits = [&](size_t hits_taken) { return count(context_text(join(hits.first(hits_taken)))) <= budget; };
  // Nothing much longer than the budget is ever counted.
  size_t taken = 0, over = 1;
  while (over <= hits.size() && fits(over)) taken = over, over *= 2;
  over = std::min(over, hits.size() + 1);
  while (over - taken > 1) {
    size_t middle = taken + (over - taken) / 2;
    (fits(middle) ? taken : over) = middle;
  }
  return join(hits.first(taken));
}

}  // namespace longspan::retrieval
