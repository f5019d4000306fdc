#include "synth/sources.h"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "synth/reading.h"

namespace longspan {

namespace {

constexpr size_t kMostPieceBytes = 4096;
constexpr size_t kMostHeadingBytes = 90;
constexpr int64_t kMostSourceBytes = int64_t{4} << 30;

bool space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/// Bytes of the punctuation mark at text[i] if it may end a sentence, else 0.
size_t end_mark(std::string_view text, size_t i) {
  if (text[i] == '.' || text[i] == '!' || text[i] == '?') return 1;
  for (const char* mark : {"。", "！", "？"})
    if (text.substr(i).starts_with(mark)) return std::strlen(mark);
  return 0;
}

size_t skip_closing(std::string_view text, size_t i) {
  for (bool more = true; more && i < text.size();) {
    more = false;
    for (const char* mark : {"\"", "'", ")", "”", "’", "」", "』", "）"})
      if (text.substr(i).starts_with(mark)) {
        i += std::strlen(mark);
        more = true;
      }
  }
  return i;
}

/// Whether the full stop belongs to an abbreviation ("Mr.", "J.", "St.") and does not end the sentence.
bool abbreviation(std::string_view text, size_t point) {
  size_t begin = point;
  while (begin > 0 && std::isalpha(static_cast<unsigned char>(text[begin - 1]))) --begin;
  return point - begin <= 3 && begin < point && std::isupper(static_cast<unsigned char>(text[begin]));
}

/// Where the sentence ends whose final mark is at i; 0 when text[i] does not end a sentence.
size_t sentence_end(std::string_view text, size_t i) {
  size_t mark = end_mark(text, i);
  if (mark == 0) return 0;
  size_t end = skip_closing(text, i + mark);
  if (mark > 1) return end;
  if (end < text.size() && !space(text[end])) return 0;
  if (text[i] == '.' && abbreviation(text, i)) return 0;
  size_t next = end;
  while (next < text.size() && space(text[next])) ++next;
  bool lower = next < text.size() && std::islower(static_cast<unsigned char>(text[next]));
  return lower ? 0 : end;
}

size_t skip_space(std::string_view text, size_t i) {
  while (i < text.size() && space(text[i])) ++i;
  return i;
}

/// Whether a line break ends a paragraph: a blank line follows, or the line ends like a sentence. Otherwise
/// the text is merely wrapped.
bool ends_paragraph(std::string_view text, size_t begin, size_t newline) {
  size_t next = newline + 1;
  while (next < text.size() && (text[next] == ' ' || text[next] == '\r')) ++next;
  if (next >= text.size() || text[next] == '\n') return true;
  std::string_view line = stripped(text.substr(begin, newline - begin));
  for (const char* mark : {".", "!", "?", ":", "\"", "。", "！", "？", "：", "”", "」"})
    if (line.ends_with(mark)) return true;
  return false;
}

std::string language_of(const Document& document) {
  auto found = document.fields.is_object() ? document.fields.find("lang") : document.fields.end();
  if (document.fields.is_object() && found != document.fields.end() && found->is_string())
    return found->get<std::string>();
  constexpr size_t kLooked = 4000;
  int64_t han = 0, kana = 0, latin = 0;
  std::string_view text = document.text;
  for (size_t i = 0; i < std::min(text.size(), kLooked);) {
    char32_t c = next_code_point(text, i);
    han += c >= 0x4E00 && c <= 0x9FFF;
    kana += c >= 0x3040 && c <= 0x30FF;
    latin += c < 0x80 && std::isalpha(static_cast<int>(c));
  }
  if (kana * 10 > han) return kana + han > latin ? "ja" : "en";
  return han > latin ? "zh" : "en";
}

std::string string_field(const Json& fields, const char* key) {
  if (!fields.is_object()) return "";
  auto found = fields.find(key);
  return found != fields.end() && found->is_string() ? found->get<std::string>() : "";
}

/// Questions that have an answer. Of several accepted answers the first is used; where a question has a
/// "category" (contracts), all its answers together form the answer.
std::vector<SourceQuestion> questions_of(const Json& fields) {
  std::vector<SourceQuestion> questions;
  if (!fields.is_object() || !fields.contains("qas") || !fields["qas"].is_array()) return questions;
  for (const Json& qa : fields["qas"]) {
    std::string question(stripped(string_field(qa, "question"))), answer;
    auto answers = qa.is_object() ? qa.find("answers") : qa.end();
    if (!qa.is_object() || answers == qa.end() || !answers->is_array()) continue;
    for (const Json& a : *answers) {
      if (!a.is_string() || (!answer.empty() && !qa.contains("category"))) continue;
      answer += (answer.empty() ? "" : "\n") + std::string(stripped(a.get<std::string>()));
    }
    if (!question.empty() && !answer.empty()) questions.push_back({question, answer});
  }
  return questions;
}

/// "# ===== file: NAME =====" -> NAME, or "".
std::string_view file_named_by(std::string_view line) {
  constexpr std::string_view kBefore = "===== file: ", kBehind = " =====";
  size_t begin = line.find(kBefore);
  if (begin == std::string_view::npos || begin > 4) return {};
  line.remove_prefix(begin + kBefore.size());
  size_t end = line.find(kBehind);
  return end == std::string_view::npos ? std::string_view{} : line.substr(0, end);
}

void add_code(std::vector<SourceText>& code, Document&& document) {
  std::string_view text = document.text;
  size_t before = code.size();
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    if (std::string_view name = file_named_by(text.substr(at, end - at)); !name.empty())
      code.push_back(
          {.id = std::string(name), .language = "", .group = document.id, .text = "", .questions = {}});
    else if (code.size() > before)
      code.back().text += text.substr(at, end - at);
    at = end;
  }
  if (code.size() > before) return;
  std::string name = document.line > 0 ? document.id : document.file.string();
  code.push_back({name, "", document.file.parent_path().string(), std::move(document.text), {}});
}

void add_instruction(std::vector<SourceText>& out, const Document& document) {
  std::string prompt = string_field(document.fields, "instruction"),
              input = string_field(document.fields, "input"),
              answer(stripped(string_field(document.fields, "output")));
  if (stripped(prompt).empty() || answer.empty()) return;
  if (!stripped(input).empty()) prompt += "\n\n" + input;
  Document shown = document;
  shown.text = prompt;
  out.push_back({document.id, language_of(shown), "", std::string(stripped(prompt)), {{"", answer}}});
}

void read_into(SynthSources& sources, const std::vector<std::filesystem::path>& files, const char* what,
               const ReadingOptions& options, const std::function<void(Document&&)>& add) {
  int64_t bytes = 0;
  if (files.empty()) return;
  add_report(sources.reading, read_documents(files, options, [&](Document&& document) {
               bytes += static_cast<int64_t>(document.text.size());
               if (bytes > kMostSourceBytes)
                 fail("the {} exceed {} at {}, and all are held in memory; give fewer files", what,
                      human_bytes(static_cast<double>(kMostSourceBytes)), document.file.string());
               add(std::move(document));
               return true;
             }));
}

/// Bytes of the section number that opens a heading ("4.1. ", "12. "), or 0.
size_t section_number(std::string_view line) {
  size_t i = 0, points = 0;
  while (i < line.size() && (std::isdigit(static_cast<unsigned char>(line[i])) || line[i] == '.'))
    points += line[i++] == '.';
  bool spaced = i > 0 && points > 0 && i + 1 < line.size() && line[i] == ' ';
  return spaced && std::isdigit(static_cast<unsigned char>(line[0])) &&
                 std::isupper(static_cast<unsigned char>(line[i + 1]))
             ? i + 1
             : 0;
}

/// Whether the line begins with 第...回, 第...章 or the like.
bool chinese_heading(std::string_view line) {
  if (!line.starts_with("第")) return false;
  std::string_view head = line.substr(0, std::min<size_t>(line.size(), 24));
  for (const char* unit : {"回", "章", "节", "卷"})
    if (size_t at = head.find(unit); at != std::string_view::npos) {
      std::string_view number = head.substr(3, at - 3);
      for (size_t i = 0; i < number.size();) {
        size_t begin = i;
        next_code_point(number, i);
        std::string_view digit = number.substr(begin, i - begin);
        if (std::string_view("一二三四五六七八九十百零〇两0123456789 ").find(digit) == std::string_view::npos)
          return false;
      }
      return !number.empty();
    }
  return false;
}

bool is_heading(std::string_view line) {
  if (line.size() < 3 || line.size() > kMostHeadingBytes) return false;
  for (const char* word :
       {"# ", "## ", "### ", "Chapter ", "CHAPTER ", "Part ", "PART ", "Section ", "SECTION "})
    if (line.starts_with(word) && line.size() > std::strlen(word)) {
      auto next = static_cast<unsigned char>(line[std::strlen(word)]);
      return line[0] == '#' || std::isupper(next) || std::isdigit(next);
    }
  for (const char* mark : {".", ",", "。", "，"})
    if (line.ends_with(mark)) return false;
  return section_number(line) > 0 || chinese_heading(line);
}

}  // namespace

std::string_view stripped(std::string_view text) {
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

const std::vector<SourceText>& SynthSources::of(const std::string& needs) const {
  static const std::vector<SourceText> none;
  if (needs == "documents") return documents;
  if (needs == "questions") return questions;
  if (needs == "code") return code;
  return needs == "instructions" ? instructions : none;
}

int64_t SynthSources::bytes(const std::string& needs, const std::string& language) const {
  int64_t sum = 0;
  for (const SourceText& text : of(needs))
    if (text.language.empty() || text.language == language) sum += static_cast<int64_t>(text.text.size());
  return sum;
}

SynthSources read_sources(const SynthJob& job) {
  SynthSources sources;
  const ReadingOptions texts{.encoding = job.encoding};
  ReadingOptions records = texts;
  records.text_needed = false;
  read_into(sources, job.documents, "documents", texts, [&](Document&& d) {
    std::string language = language_of(d);
    size_t number = headings(d.text).size();
    sources.documents.push_back({std::move(d.id), language, "", std::move(d.text), {}, number});
  });
  read_into(sources, job.questions, "questions", texts, [&](Document&& d) {
    auto questions = questions_of(d.fields);
    std::string language = language_of(d);
    if (!questions.empty())
      sources.questions.push_back(
          {std::move(d.id), language, "", std::string(stripped(d.text)), std::move(questions)});
  });
  read_into(sources, job.code, "code", texts, [&](Document&& d) { add_code(sources.code, std::move(d)); });
  read_into(sources, job.instructions, "instructions", records,
            [&](Document&& d) { add_instruction(sources.instructions, d); });
  if (job.natural_share > 0)
    for (const SourceText& article : sources.questions)
      for (NaturalFact& fact : natural_facts(article)) sources.natural.push_back(std::move(fact));
  return sources;
}

size_t piece_end(std::string_view text, size_t at, size_t least) {
  size_t line = at, blank = 0;
  for (size_t i = at; i < text.size(); ++i) {
    if (i - at >= kMostPieceBytes) {
      if (blank > at) return blank;
      while (i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) ++i;
      return i;
    }
    if (text[i] == '\n') {
      if (!stripped(text.substr(at, i - at)).empty() && ends_paragraph(text, line, i))
        return skip_space(text, i);
      line = i + 1;
    }
    if (space(text[i])) blank = i + 1;
    if (size_t end = sentence_end(text, i); end > 0 && end - at >= least) return skip_space(text, end);
  }
  return text.size();
}

std::vector<Sentence> sentences(std::string_view text) {
  std::vector<Sentence> found;
  for (size_t at = 0; at < text.size();) {
    size_t end = piece_end(text, at, 1);
    std::string_view piece = text.substr(at, end - at), bare = stripped(piece);
    auto begin = static_cast<size_t>(bare.data() - text.data());
    std::string_view behind = text.substr(begin + bare.size(), end - begin - bare.size());
    if (!bare.empty() && bare.find('\n') == std::string_view::npos)
      found.push_back({begin, begin + bare.size(), behind.find('\n') == std::string_view::npos});
    else if (!found.empty())
      found.back().joined = false;
    at = end;
  }
  return found;
}

std::vector<Sentence> headings(std::string_view text) {
  std::vector<Sentence> found;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = stripped(text.substr(at, end - at));
    if (is_heading(line)) {
      auto begin = static_cast<size_t>(line.data() - text.data());
      found.push_back({begin, begin + line.size()});
    }
    at = end + 1;
  }
  return found;
}

}  // namespace longspan
