#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <map>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/unicode.h"

namespace longspan {

namespace {

constexpr size_t kMaxPattern = 1 << 16;
constexpr uint32_t kMatchLimit = 50'000'000;  // steps of one search: a few seconds

/// Code points that Oniguruma assigns to a category and PCRE2 does not know yet, as ranges for a character
/// class.
std::string newer_members(std::string_view category) {
  std::string out;
  for (auto& r : newer_ranges())
    if (std::string_view(r.category).starts_with(category))
      out += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", static_cast<uint32_t>(r.first),
                         static_cast<uint32_t>(r.last));
  return out;
}

/// What a class escape becomes inside [...]; "" when it is not a class escape.
std::string class_members(std::string_view name) {
  if (name == "s") return "\\p{White_Space}";
  if (name == "d") return "\\p{Nd}" + newer_members("Nd");
  if (name == "h") return "0-9a-fA-F";
  if (name == "w")
    return "\\p{Alphabetic}\\p{M}\\p{N}\\p{Pc}" + newer_members("L") + newer_members("M") +
           newer_members("N");
  return "";
}

class Translator {
 public:
  Translator(const std::string& pattern, const std::string& source) : p_(pattern), source_(source) {}

  std::string run() {
    if (p_.size() > kMaxPattern) refuse("is longer than 65536 bytes");
    while (i_ < p_.size()) step();
    if (in_class_) refuse("has a [ without its ]");
    return std::move(out_);
  }

 private:
  void step() {
    char c = p_[i_];
    if (c == '\\') return escape();
    if (in_class_) return class_char(c);
    if (c == '[') {
      out_ += p_[i_++];
      in_class_ = true;
      if (i_ < p_.size() && p_[i_] == '^') out_ += p_[i_++];
      if (i_ < p_.size() && p_[i_] == ']') refuse("has an empty character class");
      return;
    }
    if (c == '(') return group();
    if (c == '{' && p_.substr(i_, 2) == "{,") refuse("uses {,n}; write {0,n}");
    out_ += p_[i_++];
  }

  void class_char(char c) {
    if (c == '[') refuse("nests one character class in another");
    if (c == '&' && p_.substr(i_, 2) == "&&") refuse("intersects character classes with &&");
    if (c == ']') in_class_ = false;
    out_ += p_[i_++];
  }

  /// (?i) and (?i:...) mean the same to both; Oniguruma's other options do not.
  void group() {
    if (p_.substr(i_, 2) == "(*") refuse("begins a group with (*");
    if (p_.substr(i_, 2) == "(?" && i_ + 2 < p_.size()) {
      size_t j = i_ + 2;
      while (j < p_.size() && (isalpha(static_cast<unsigned char>(p_[j])) || p_[j] == '-')) ++j;
      std::string options = p_.substr(i_ + 2, j - i_ - 2);
      bool is_options = j < p_.size() && (p_[j] == ':' || p_[j] == ')') && !options.empty();
      if (is_options && options != "i" && options != "-i") refuse("uses the options (?" + options + ")");
    }
    out_ += p_[i_++];
  }

  void escape() {
    if (i_ + 1 >= p_.size()) refuse("ends in a backslash");
    char c = p_[i_ + 1];
    if (c == 'p' || c == 'P') return property(c == 'P');
    char lower = static_cast<char>(c | 0x20);
    if (lower == 's' || lower == 'd' || lower == 'w' || lower == 'h') {
      i_ += 2;
      return emit_class(class_members(std::string_view(&lower, 1)), c != lower);
    }
    if (!in_class_ && lower == 'b') {
      i_ += 2;
      std::string w = "[" + class_members("w") + "]";
      out_ += c == 'b' ? fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", w)
                       : fmt::format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", w);
      return;
    }
    if (c == 'u') return code_unit();
    bool known = !isalnum(static_cast<unsigned char>(c)) ||
                 std::string_view("rntfvaexzZAGK0123456789k").find(c) != std::string_view::npos;
    if (!known) refuse(fmt::format("uses \\{}", c));
    out_ += p_.substr(i_, 2);
    i_ += 2;
  }

  void code_unit() {  // \uHHHH
    if (i_ + 6 > p_.size()) refuse("has a \\u without four digits");
    out_ += "\\x{" + p_.substr(i_ + 2, 4) + "}";
    i_ += 6;
  }

  void property(bool negated) {
    size_t close = p_.find('}', i_);
    if (i_ + 2 >= p_.size() || p_[i_ + 2] != '{' || close == std::string::npos)
      refuse("has a \\p without {name}");
    std::string name = p_.substr(i_ + 3, close - i_ - 3);
    i_ = close + 1;
    if (name.starts_with('^')) negated = !negated, name = name.substr(1);
    std::string newer = name.size() <= 2 ? newer_members(name) : "";
    std::string known = "\\p{" + name + "}";
    if (newer.empty()) {
      out_ += negated ? "\\P{" + name + "}" : known;
    } else {
      emit_class(known + newer, negated);
    }
  }

  void emit_class(const std::string& members, bool negated) {
    if (!in_class_) {
      out_ += (negated ? "[^" : "[") + members + "]";
    } else if (!negated) {
      out_ += members;
    } else {
      // Inside a class the complement must be one property; the newer code points stay on PCRE2's side.
      if (members.starts_with("0-9") || members.starts_with("\\p{Alpha"))
        refuse("uses \\W or \\H inside a class");
      out_ += "\\P" + members.substr(2, members.find('}') - 1);
    }
  }

  [[noreturn]] void refuse(const std::string& what) {
    fail("{}: the pattern {} {}, which this program does not understand", source_, in_quotes(p_, 200), what);
  }

  const std::string& p_;
  const std::string& source_;
  size_t i_ = 0;
  bool in_class_ = false;
  std::string out_;
};

struct FreeMatchData {
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};

}  // namespace

std::string translate_regex(const std::string& pattern, const std::string& source) {
  return Translator(pattern, source).run();
}

struct Regex::Compiled {
  std::string pattern, source;
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  ~Compiled() {
    pcre2_code_free(code);
    pcre2_match_context_free(context);
  }
};

Regex::Regex(const std::string& pattern, const std::string& source) {
  auto compiled = std::make_shared<Compiled>();
  compiled->pattern = pattern;
  compiled->source = source;
  std::string translated = translate_regex(pattern, source);
  std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                                 &offset, context.get());
  if (!compiled->code) {
    char message[256];
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
    fail("{}: the pattern {} does not compile: {}", source, in_quotes(pattern, 200), message);
  }
  pcre2_jit_compile(compiled->code,
                    PCRE2_JIT_COMPLETE);  // where there is no JIT the interpreter does the same
  compiled->context = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(compiled->context, kMatchLimit);
  compiled_ = std::move(compiled);
}

bool Regex::search(std::string_view text, size_t from, size_t& begin, size_t& end) const {
  thread_local std::unique_ptr<pcre2_match_data, FreeMatchData> match(pcre2_match_data_create(1, nullptr));
  auto run = [&](uint32_t options) {
    return pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK | options, match.get(), compiled_->context);
  };
  int count = run(0);
  if (count == PCRE2_ERROR_JIT_STACKLIMIT) count = run(PCRE2_NO_JIT);
  if (count == PCRE2_ERROR_NOMATCH) return false;
  if (count < 0)
    fail("{}: the pattern {} gives up on this text of {} bytes (PCRE2 error {})", compiled_->source,
         in_quotes(compiled_->pattern, 200), text.size(), count);
  const PCRE2_SIZE* pair = pcre2_get_ovector_pointer(match.get());
  begin = pair[0];
  end = pair[1];
  return begin <= end;  // \K in a lookaround may swap them
}

}  // namespace longspan
