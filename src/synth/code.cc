// The kinds "code" (questions across source files) and "short" (an ordinary instruction).
#include <algorithm>
#include <cctype>
#include <cstring>
#include <map>
#include <set>

#include "base/error.h"
#include "synth/maker.h"

namespace longspan {

namespace {

struct File {
  std::string name;
  size_t begin = 0, end = 0;  // bytes of the context, without the header
};

/// The text from a random line on, if it has more than `needed` bytes; otherwise all of it.
std::string_view part_of(const std::string& text, size_t needed, Random& random) {
  std::string_view all = text;
  if (all.size() <= needed) return all;
  size_t line = all.find('\n', random.below(all.size() - needed));
  return line == std::string_view::npos ? all : all.substr(line + 1);
}

/// Appends lines of the file until `room` tokens are reached. Returns the number of tokens added.
int64_t append_file(SynthMaker& m, const SourceText& source, int64_t room, std::string& context,
                    std::vector<File>& files) {
  constexpr size_t kBytesPerToken = 3, kBlock = 800;
  std::string header = fmt::format("File: {}\n", source.id);
  int64_t had = m.tokens(header);
  context += header;
  files.push_back({source.id, context.size(), 0});
  std::string_view text =
      part_of(source.text, static_cast<size_t>(std::max<int64_t>(room, 0)) * kBytesPerToken, m.random);
  while (!text.empty() && had < room) {
    size_t end = text.find('\n', std::min(kBlock, text.size() - 1));
    std::string_view block = text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
    had += m.tokens(block);
    context += block;
    text.remove_prefix(block.size());
  }
  files.back().end = context.size();
  context += context.ends_with('\n') ? "\n" : "\n\n";
  return had;
}

/// Consecutive files, starting at a random one, until the context is full; their places.
std::vector<File> fill_with_files(SynthMaker& m, std::string& context) {
  std::vector<const SourceText*> all = m.texts("code");
  if (all.empty()) return {};
  std::vector<File> files;
  std::set<std::string> names;
  int64_t have = 0;
  size_t first = m.random.below(all.size());
  for (size_t i = 0; i < all.size() && have < m.context_tokens; ++i) {
    const SourceText& source = *all[(first + i) % all.size()];
    if (!stripped(source.text).empty() && names.insert(source.id).second)
      have += append_file(m, source, m.context_tokens - have, context, files);
  }
  if (have < m.context_tokens)
    fail(
        "code: the {} source files hold {} tokens and a context needs {}; give more --code or fewer --tokens",
        all.size(), have, m.context_tokens);
  return files;
}

/// The name that a line defines, or "".
std::string defined_by(std::string_view line) {
  line = stripped(line);
  for (const char* word : {"export ", "pub ", "public ", "static ", "async "})
    if (line.starts_with(word)) line.remove_prefix(std::strlen(word));
  for (const char* word : {"def ", "class ", "func ", "fn ", "struct ", "function ", "interface ", "enum "}) {
    if (!line.starts_with(word)) continue;
    line.remove_prefix(std::strlen(word));
    size_t n = 0;
    while (n < line.size() && (std::isalnum(static_cast<unsigned char>(line[n])) || line[n] == '_')) ++n;
    std::string_view behind = stripped(line.substr(n));
    bool opens = !behind.empty() && std::strchr("(:{<", behind[0]);
    return n >= 4 && opens ? std::string(line.substr(0, n)) : "";
  }
  return "";
}

struct Line {
  size_t begin = 0, end = 0, file = 0;
};

std::vector<Line> lines_of(std::string_view text, const std::vector<File>& files) {
  std::vector<Line> lines;
  for (size_t f = 0; f < files.size(); ++f)
    for (size_t at = files[f].begin; at < files[f].end;) {
      size_t end = std::min(text.find('\n', at), files[f].end);
      lines.push_back({at, end, f});
      at = end + 1;
    }
  return lines;
}

/// The `n` lines after line i; "" unless all of them are in the same file and none is blank.
std::string lines_after(std::string_view text, const std::vector<Line>& lines, size_t i, size_t n) {
  if (i + n >= lines.size()) return "";
  for (size_t j = i + 1; j <= i + n; ++j)
    if (lines[j].file != lines[i].file ||
        stripped(text.substr(lines[j].begin, lines[j].end - lines[j].begin)).empty())
      return "";
  return std::string(stripped(text.substr(lines[i + 1].begin, lines[i + n].end - lines[i + 1].begin)));
}

/// Names that are defined in exactly one file, each with its line.
std::vector<std::pair<std::string, size_t>> definitions(std::string_view text,
                                                        const std::vector<Line>& lines) {
  std::map<std::string, std::vector<size_t>> by_name;
  for (size_t i = 0; i < lines.size(); ++i)
    if (std::string name = defined_by(text.substr(lines[i].begin, lines[i].end - lines[i].begin));
        !name.empty())
      by_name[name].push_back(i);
  std::vector<std::pair<std::string, size_t>> unique;
  for (const auto& [name, at] : by_name) {
    size_t file = lines[at[0]].file;
    if (std::all_of(at.begin(), at.end(), [&](size_t i) { return lines[i].file == file; }))
      unique.emplace_back(name, at[0]);
  }
  std::sort(unique.begin(), unique.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return unique;
}

}  // namespace

SynthDraft make_code(SynthMaker& m) {
  constexpr double kAboutFiles = 0.4;
  constexpr size_t kLeast = 16, kMost = 160, kLeastAnswer = 8;
  SynthDraft draft{.opening = m.open(), .context = "", .turns = {}};
  std::vector<File> files = fill_with_files(m, draft.context);
  std::string_view text = draft.context;
  std::vector<Line> lines = lines_of(text, files);
  auto names = definitions(text, lines);
  std::vector<size_t> line_places, name_places;
  for (const Line& line : lines) line_places.push_back(line.begin);
  for (const auto& [name, line] : names) name_places.push_back(lines[line].begin);
  std::vector<bool> lines_used(lines.size()), names_used(names.size());
  auto size = static_cast<double>(text.size());
  while (static_cast<int64_t>(draft.turns.size()) < m.turns) {
    double at = m.depth() * size;
    if (files.size() > 1 && m.random.uniform() < kAboutFiles)
      if (int64_t n = take_nearest(name_places, names_used, at); n >= 0) {
        const auto& [name, line] = names[static_cast<size_t>(n)];
        draft.turns.push_back({m.ask(".file", name), m.reply(".file", files[lines[line].file].name),
                               static_cast<double>(lines[line].begin) / size});
        continue;
      }
    int64_t best = take_nearest(line_places, lines_used, at);
    if (best < 0) break;
    const Line& line = lines[static_cast<size_t>(best)];
    size_t n = 2 + m.random.below(2);
    std::string given(stripped(text.substr(line.begin, line.end - line.begin)));
    std::string answer = lines_after(text, lines, static_cast<size_t>(best), n);
    if (answer.size() < kLeastAnswer || given.size() < kLeast || given.size() > kMost ||
        text.find(given, text.find(given) + 1) != std::string_view::npos)
      continue;
    Slots slots = {{"x", given}, {"n", std::to_string(n)}, {"file", files[line.file].name}};
    draft.turns.push_back({fill(m.any(phrases(m.kind, m.language).questions), slots), answer,
                           static_cast<double>(line.end) / size});
  }
  return draft;
}

SynthDraft make_short(SynthMaker& m) {
  std::vector<const SourceText*> texts = m.texts("instructions");
  const SourceText& chosen = *texts[m.random.below(texts.size())];
  return {.opening = "", .context = "", .turns = {{chosen.text, chosen.questions[0].answer, 0}}};
}

}  // namespace longspan
