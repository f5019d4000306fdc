#include "synth/maker.h"

#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {
constexpr size_t kLeastPieceBytes = 200;
constexpr int64_t kBytesPerToken = 4;  // an estimate of how much text a stretch needs
}  // namespace

int64_t SynthMaker::tokens(std::string_view text) const {
  return static_cast<int64_t>(tokenizer.encode(text, {.add_special = false, .parse_special = false}).size());
}

/// The density 1 + w (1 - 2 d) is a mixture: 2 (1 - d) with weight w, and uniform with weight 1 - w.
double SynthMaker::depth() {
  bool far = random.uniform() < job.far_weight;
  double u = random.uniform();
  return front * (far ? 1 - std::sqrt(1 - u) : u);
}

std::string SynthMaker::ask(const std::string& variant, const std::string& x) {
  return fill(any(phrases(kind + variant, language).questions), {{"x", x}});
}

std::string SynthMaker::reply(const std::string& variant, const std::string& x) {
  return fill(any(phrases(kind + variant, language).answers), {{"x", x}});
}

SynthTurn SynthMaker::turn(std::string question, std::string bare, std::string sentence) {
  if (random.uniform() >= job.sentence_share) return {std::move(question), std::move(bare)};
  return {fill(any(phrases("sentence", language).questions), {{"x", question}}), std::move(sentence)};
}

std::vector<const SourceText*> SynthMaker::texts(const std::string& needs) const {
  std::vector<const SourceText*> found;
  for (const SourceText& text : sources.of(needs))
    if (text.language.empty() || text.language == language) found.push_back(&text);
  return found;
}

namespace {

/// Index of a random text, with probability proportional to its bytes.
size_t draw_text(const std::vector<const SourceText*>& from, Random& random) {
  uint64_t bytes = 0;
  for (const SourceText* text : from) bytes += text->text.size();
  uint64_t at = random.below(std::max<uint64_t>(bytes, 1));
  for (size_t i = 0; i + 1 < from.size(); ++i) {
    if (at < from[i]->text.size()) return i;
    at -= from[i]->text.size();
  }
  return from.size() - 1;
}

/// A random place where a paragraph begins and `needed` bytes follow, where the text has that many.
size_t draw_begin(std::string_view text, size_t needed, Random& random) {
  if (text.size() <= needed) return 0;
  size_t at = text.find('\n', random.below(text.size() - needed));
  at = text.find_first_not_of(" \t\r\n", at == std::string_view::npos ? 0 : at);
  return at == std::string_view::npos || text.size() - at < needed / 2 ? 0 : at;
}

}  // namespace

std::vector<std::string> stretch(SynthMaker& m, std::vector<const SourceText*> from, int64_t tokens) {
  std::vector<const SourceText*> all = from;
  int64_t have = 0;
  for (bool whole : {false, true}) {  // first from random places; whole documents if that gives too little
    std::vector<std::string> pieces;
    have = 0;
    for (from = all; have < tokens && !from.empty();) {
      size_t chosen = draw_text(from, m.random);
      std::string_view text = from[chosen]->text;
      from.erase(from.begin() + static_cast<std::ptrdiff_t>(chosen));
      auto needed = static_cast<size_t>((tokens - have) * kBytesPerToken);
      if (!pieces.empty() && !pieces.back().ends_with('\n')) pieces.back() += "\n\n";
      for (size_t at = whole ? 0 : draw_begin(text, needed, m.random); at < text.size() && have < tokens;) {
        size_t end = piece_end(text, at, kLeastPieceBytes);
        pieces.emplace_back(text.substr(at, end - at));
        have += m.tokens(pieces.back());
        at = end;
      }
    }
    if (have >= tokens) return pieces;
  }
  fail(
      "{}: the {} texts in language {} hold {} tokens and a context needs {}; give more files or fewer "
      "--tokens",
      m.kind, all.size(), m.language, grouped(have), grouped(tokens));
}

std::string joined(const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return text;
}

bool quotable(std::string_view sentence) {
  constexpr size_t kLeast = 30, kMost = 400;
  if (sentence.size() < kLeast || sentence.size() > kMost) return false;
  for (const char* mark : {"\"", "“", "”"})
    if (sentence.find(mark) != std::string_view::npos) return false;
  return true;
}

int64_t take_nearest(const std::vector<size_t>& places, std::vector<bool>& used, double at) {
  int64_t best = -1;
  double distance = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    double d = std::abs(static_cast<double>(places[i]) - at);
    if (used[i] || (best >= 0 && d >= distance)) continue;
    best = static_cast<int64_t>(i);
    distance = d;
  }
  if (best >= 0) used[static_cast<size_t>(best)] = true;
  return best;
}

}  // namespace longspan
