// The text becomes pieces, each with the strength of the border before it; passages are rows of pieces.
// ICU finds the ends of sentences.
#include "retrieval/passages.h"

#include <unicode/brkiter.h>
#include <unicode/utext.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/error.h"

namespace longspan::retrieval {

namespace {

/// Borders, the weakest first. A line's end is weaker than a sentence's: prose is often wrapped.
enum Border : uint8_t { kInside, kLine, kSentence, kParagraph, kHeading };

struct Piece {
  size_t begin, end;
  Border before;
  int64_t tokens;
};

constexpr std::string_view kBlank = " \t\n\r\f\v";

bool is_blank(std::string_view line) { return line.find_first_not_of(kBlank) == line.npos; }

/// Number signs as in Markdown (every reader of documents writes them), and the marks of files and chapters.
bool is_heading(std::string_view line) {
  size_t signs = std::min(line.find_first_not_of('#'), line.size());
  if (signs >= 1 && signs <= 6 && signs < line.size() && line[signs] == ' ') return true;
  return line.ends_with(']') && (line.starts_with("[chapter ") || line.starts_with("[file: "));
}

bool is_fence(std::string_view line) {
  size_t first = std::min(line.find_first_not_of(' '), line.size());
  return line.substr(first).starts_with("```") || line.substr(first).starts_with("~~~");
}

class Cutter {
 public:
  Cutter(std::string_view text, const Cutting& cutting, const CountTokens& count)
      : text_(text), cutting_(cutting), count_(count) {
    UErrorCode error = U_ZERO_ERROR;
    sentences_.reset(icu::BreakIterator::createSentenceInstance(icu::Locale::getRoot(), error));
    if (U_FAILURE(error))
      fail("ICU has no rules for sentences ({}); install its data (libicu)", u_errorName(error));
  }

  /// Lines to pieces; lines of prose that follow each other are one text for ICU.
  std::vector<Piece> pieces() {
    bool code = false;
    Border border = kHeading;
    size_t prose = 0;
    for (size_t begin = 0; begin < text_.size();) {
      size_t feed = text_.find('\n', begin), end = feed == text_.npos ? text_.size() : feed + 1;
      std::string_view line = text_.substr(begin, feed == text_.npos ? feed : feed - begin);
      bool fence = is_fence(line), heading = !code && is_heading(line);
      if (is_blank(line) || fence || heading || code) {
        add_prose(prose, begin, border);
        prose = end;
        if (is_blank(line)) {
          extend(begin, end);
          border = std::max(border, code ? kSentence : kParagraph);
        } else {
          add(begin, end, heading ? kHeading : fence && !code ? std::max(border, kParagraph) : border);
          // What a heading stands over follows it.
          border = fence && code ? kParagraph : kLine;
        }
        code ^= fence;
      }
      begin = end;
    }
    add_prose(prose, text_.size(), border);
    return std::move(pieces_);
  }

 private:
  int64_t cost(std::string_view part) const {
    return std::max(count_(part), static_cast<int64_t>(part.size()) / kMostTokenBytes);
  }

  /// Blank lines belong to what stands before them.
  void extend(size_t begin, size_t end) {
    if (!pieces_.empty() && pieces_.back().end == begin) pieces_.back().end = end;
  }

  void add_prose(size_t begin, size_t end, Border& border) {
    if (begin >= end) return;
    std::string copy(text_.substr(begin, end - begin));
    std::replace(copy.begin(), copy.end(), '\n', ' ');  // for ICU a line feed ends a sentence
    UErrorCode error = U_ZERO_ERROR;
    std::unique_ptr<UText, decltype(&utext_close)> utf8(
        utext_openUTF8(nullptr, copy.data(), static_cast<int64_t>(copy.size()), &error), utext_close);
    sentences_->setText(utf8.get(), error);
    if (U_FAILURE(error)) fail("ICU cannot look for sentences ({}); report this text", u_errorName(error));
    Border before = border;
    size_t last = begin;
    sentences_->first();
    for (int32_t next = sentences_->next(); next != icu::BreakIterator::DONE; next = sentences_->next()) {
      size_t sentence = begin + static_cast<size_t>(next);
      while (last < sentence) {
        size_t feed = std::min(text_.find('\n', last), sentence - 1) + 1;
        add(last, feed, before);
        before = feed == sentence ? kSentence : kLine;
        last = feed;
      }
    }
    border = kLine;
  }

  /// A piece, cut where it alone would be too long for a passage: at white space, else between characters.
  void add(size_t begin, size_t end, Border before) {
    std::string_view part = text_.substr(begin, end - begin);
    int64_t tokens = part.size() > kMostUncut ? cutting_.tokens + 1 : cost(part);
    size_t middle = begin;
    if (tokens > cutting_.tokens) {
      middle = begin + part.size() / 2;
      size_t blank = text_.substr(0, middle).find_last_of(kBlank);
      if (blank != text_.npos && blank + 1 > begin + part.size() / 4) {
        middle = blank + 1;
      } else {
        while (middle > begin && (static_cast<unsigned char>(text_[middle]) & 0xC0) == 0x80) --middle;
      }
    }
    if (middle == begin) {
      pieces_.push_back({begin, end, before, tokens});
      return;
    }
    add(begin, middle, before);
    add(middle, end, kInside);
  }

  static constexpr size_t kMostUncut = size_t{1} << 16;  // bytes that a tokenizer is given at once
  std::string_view text_;
  Cutting cutting_;
  const CountTokens& count_;
  std::unique_ptr<icu::BreakIterator> sentences_;
  std::vector<Piece> pieces_;
};

/// Where the passage that begins with piece `first` ends: one behind its last piece.
size_t end_of_passage(const std::vector<Piece>& pieces, size_t first, int64_t most) {
  size_t end = first + 1, half = end;
  int64_t tokens = pieces[first].tokens;
  for (; end < pieces.size() && tokens + pieces[end].tokens <= most; ++end) {
    if (pieces[end].before == kHeading && tokens >= most / 4) return end;
    tokens += pieces[end].tokens;
    if (tokens <= most / 2) half = end + 1;
  }
  if (end == pieces.size()) return end;
  size_t best = end;
  for (size_t at = end - 1; at > half; --at)
    if (pieces[at].before > pieces[best].before) best = at;
  return best;
}

/// The first piece of the passage behind `first`, ..., `end` - 1. What it repeats leaves room for a new
/// piece.
size_t begin_of_next(const std::vector<Piece>& pieces, size_t first, size_t end, const Cutting& cutting) {
  int64_t room = std::min(cutting.overlap, cutting.tokens - pieces[end].tokens);
  size_t next = end;
  while (next > first + 1 && pieces[next].before != kHeading && pieces[next - 1].tokens <= room)
    room -= pieces[--next].tokens;
  return next;
}

}  // namespace

std::vector<Passage> cut_passages(std::string_view text, const Cutting& cutting, const CountTokens& count) {
  size_t start = text.find_first_not_of(kBlank);
  if (start == text.npos) return {};
  std::vector<Piece> pieces = Cutter(text, cutting, count).pieces();
  documents::Places places(text);
  std::vector<Passage> passages;
  int64_t line = 1;
  size_t counted = 0;  // `line` is the line of this byte
  for (size_t first = 0; first < pieces.size();) {
    size_t end = end_of_passage(pieces, first, cutting.tokens);
    Passage p{.begin = std::max(pieces[first].begin, start), .end = pieces[end - 1].end};
    line += std::count(text.begin() + static_cast<ptrdiff_t>(counted),
                       text.begin() + static_cast<ptrdiff_t>(p.begin), '\n');
    counted = p.begin;
    std::string_view words = text.substr(p.begin, p.end - p.begin);
    words = words.substr(0, words.find_last_not_of(kBlank) + 1);
    p.line = line;
    p.last_line = line + std::count(words.begin(), words.end(), '\n');
    p.place = places.at(p.begin);
    if (!words.empty()) passages.push_back(p);
    first = end == pieces.size() ? end : begin_of_next(pieces, first, end, cutting);
  }
  return passages;
}

}  // namespace longspan::retrieval
