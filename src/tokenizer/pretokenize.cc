#include "tokenizer/pretokenize.h"

#include <array>

#include "base/text.h"
#include "tokenizer/unicode.h"

namespace longspan {

namespace {

bool search(const Pattern& p, std::string_view text, size_t from, size_t& begin, size_t& end) {
  if (p.scanner) return p.scanner(text, from, begin, end);
  if (p.regex) return p.regex->search(text, from, begin, end);
  begin = text.find(p.literal, from);
  if (begin == std::string_view::npos) return false;
  end = begin + p.literal.size();
  return true;
}

void find_characters(bool (*predicate)(char32_t), std::string_view text, std::vector<Span>& out) {
  size_t pending = 0;
  for (size_t i = 0; i < text.size();) {
    size_t at = i;
    if (!predicate(next_code_point(text, i))) continue;
    if (pending < at) out.push_back({pending, at, false});
    out.push_back({at, i, true});
    pending = i;
  }
  if (pending < text.size()) out.push_back({pending, text.size(), false});
}

/// Joins neighbours as the behavior says. The spans cover the text, so joining is moving an end.
void join_spans(SplitBehavior behavior, std::vector<Span>& spans) {
  if (behavior == SplitBehavior::Removed || behavior == SplitBehavior::Isolated) return;
  std::vector<Span> out;
  bool previous = false;
  if (behavior == SplitBehavior::MergedWithNext) {
    for (size_t k = spans.size(); k-- > 0; previous = spans[k].match) {
      if (spans[k].match && !previous && !out.empty()) {
        out.back().begin = spans[k].begin;
      } else {
        out.push_back(spans[k]);
      }
    }
    spans.assign(out.rbegin(), out.rend());
    return;
  }
  for (auto& s : spans) {
    bool join = behavior == SplitBehavior::Contiguous ? s.match == previous : s.match && !previous;
    if (join && !out.empty()) {
      out.back().end = s.end;
    } else {
      out.push_back(s);
    }
    previous = s.match;
  }
  spans = std::move(out);
}

/// Rewrites every piece through `write(piece, index, out)`.
template <typename Write>
void rewrite(Pieces& pieces, Write write) {
  std::string out;
  out.reserve(pieces.text.size() + pieces.text.size() / 4);
  for (size_t k = 0; k < pieces.ranges.size(); ++k) {
    auto [begin, end] = pieces.ranges[k];
    size_t start = out.size();
    write(pieces.text.substr(begin, end - begin), k, out);
    pieces.ranges[k] = {start, out.size()};
  }
  pieces.owned = std::move(out);
  pieces.text = pieces.owned;
}

void append_replaced(std::string_view text, const std::string& what, const std::string& by,
                     std::string& out) {
  for (size_t i = 0; i < text.size();) {
    size_t at = text.find(what, i);
    if (at == std::string_view::npos) at = text.size();
    out += text.substr(i, at - i);
    if (at < text.size()) out += by;
    i = at + what.size();
  }
}

void split_pieces(const PreTokenizerStep& step, Pieces& pieces) {
  std::vector<std::pair<size_t, size_t>> out;
  out.reserve(pieces.ranges.size() + pieces.text.size() / 5);
  std::vector<Span> scratch;
  for (auto [begin, end] : pieces.ranges)
    split_text(step, pieces.text.substr(begin, end - begin), begin, scratch, out);
  if (out.empty() || (!pieces.ranges.empty() && out[0].first != pieces.ranges[0].first))
    pieces.at_start = false;
  pieces.ranges = std::move(out);
}

std::array<char32_t, 256> byte_characters() {
  std::array<char32_t, 256> table;
  char32_t next = 256;  // bytes without a printable Latin-1 character take the code points from U+0100 on
  for (int b = 0; b < 256; ++b) {
    bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    table[b] = printable ? static_cast<char32_t>(b) : next++;
  }
  return table;
}
const std::array<char32_t, 256> kByteCharacters = byte_characters();

std::array<int16_t, 512> character_bytes() {
  std::array<int16_t, 512> table;
  table.fill(-1);
  for (int b = 0; b < 256; ++b) table[kByteCharacters[b]] = static_cast<int16_t>(b);
  return table;
}
const std::array<int16_t, 512> kCharacterBytes = character_bytes();

}  // namespace

char32_t byte_to_char(unsigned char byte) { return kByteCharacters[byte]; }
int char_to_byte(char32_t c) { return c < 512 ? kCharacterBytes[c] : -1; }

Pattern literal_pattern(std::string text) {
  Pattern p;
  p.literal = std::move(text);
  return p;
}

Pattern regex_pattern(const std::string& pattern, const std::string& source) {
  Pattern p;
  p.scanner = scanner_for(pattern);
  if (!p.scanner) p.regex = std::make_shared<Regex>(pattern, source);
  return p;
}

void Pattern::find_all(std::string_view text, std::vector<Span>& out) const {
  out.clear();
  if (predicate) return find_characters(predicate, text, out);
  if (!scanner && !regex && literal.empty()) {
    if (!text.empty()) out.push_back({0, text.size(), false});
    return;
  }
  size_t pending = 0, from = 0, begin = 0, end = 0;
  bool matched = false;
  while (from <= text.size() && search(*this, text, from, begin, end)) {
    if (begin == end && matched && end == pending) {  // an empty match right after a match does not count
      if (from >= text.size()) break;
      next_code_point(text, from);
      continue;
    }
    if (pending < begin) out.push_back({pending, begin, false});
    out.push_back({begin, end, true});
    pending = from = end;
    matched = true;
  }
  if (pending < text.size()) out.push_back({pending, text.size(), false});
}

void split_text(const PreTokenizerStep& step, std::string_view text, size_t offset,
                std::vector<Span>& scratch, std::vector<std::pair<size_t, size_t>>& out) {
  step.pattern.find_all(text, scratch);
  if (step.invert)
    for (auto& s : scratch) s.match = !s.match;
  join_spans(step.behavior, scratch);
  for (auto& s : scratch)
    if (s.begin < s.end && !(step.behavior == SplitBehavior::Removed && s.match))
      out.emplace_back(offset + s.begin, offset + s.end);
}

void run_pre_tokenizer(const std::vector<PreTokenizerStep>& steps, Pieces& pieces) {
  using Kind = PreTokenizerStep::Kind;
  for (auto& step : steps) {
    switch (step.kind) {
      case Kind::Split:
        split_pieces(step, pieces);
        break;
      case Kind::Replace:
        rewrite(pieces, [&](std::string_view piece, size_t, std::string& out) {
          append_replaced(piece, step.pattern.literal, step.text, out);
        });
        break;
      case Kind::Prefix:
        rewrite(pieces, [&](std::string_view piece, size_t k, std::string& out) {
          bool here = !step.at_start_only || (k == 0 && pieces.at_start);
          if (here && !piece.starts_with(step.text)) out += step.text;
          out += piece;
        });
        break;
      case Kind::ByteMap:
        rewrite(pieces, [&](std::string_view piece, size_t, std::string& out) {
          for (unsigned char c : piece) append_utf8(out, byte_to_char(c));
        });
        break;
    }
  }
}

}  // namespace longspan
