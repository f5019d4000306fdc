#include "synth/reading.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <set>

namespace longspan {

namespace {

constexpr size_t kLeastSentence = 40, kMostSentence = 140, kLeastQuote = 20, kMostQuote = 160;
constexpr int kOftenNamed = 3, kOftenActs = 2, kPronounsSeen = 3;
constexpr double kPronounShare = 0.75;

bool upper(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }
bool lower(char c) { return std::islower(static_cast<unsigned char>(c)) != 0; }
bool letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

template <size_t N>
bool among(std::string_view word, const std::array<const char*, N>& words) {
  return std::any_of(words.begin(), words.end(), [&](const char* w) { return word == w; });
}

constexpr std::array kMen = {"Mr",    "Sir",   "Lord",     "Captain", "Colonel",
                             "Major", "Uncle", "Monsieur", "Father"};
constexpr std::array kWomen = {"Mrs", "Miss", "Lady", "Aunt", "Madame", "Mademoiselle"};
constexpr std::array kOthers = {"Dr", "Doctor", "Professor"};
constexpr std::array kSays = {"said",      "replied",   "answered", "asked",    "cried",
                              "exclaimed", "whispered", "murmured", "remarked", "observed"};
constexpr std::array kActs = {"thought", "smiled", "looked", "nodded", "laughed", "sighed"};
constexpr std::array kPasts = {"took",   "gave",  "went",  "came",  "saw",   "made",    "found",   "left",
                               "told",   "kept",  "held",  "ran",   "rose",  "stood",   "sat",     "fell",
                               "felt",   "knew",  "wrote", "read",  "sent",  "bought",  "sold",    "led",
                               "met",    "paid",  "put",   "set",   "shook", "spoke",   "threw",   "wore",
                               "won",    "drew",  "drove", "broke", "began", "became",  "lost",    "laid",
                               "caught", "built", "ate",   "drank", "got",   "brought", "thought", "heard"};
constexpr std::array kAuxiliaries = {"was", "were", "had", "could", "would", "should", "must", "did"};
// What shows that another subject follows, or that a sentence leans on others.
constexpr std::array kClauses = {", for ",    ", so ",     " and the ", " and a ",     " and an ",
                                 " and his ", " and her ", " and he ",  " and she ",   " but he ",
                                 " but she ", " and it ",  " but it ",  ", and they ", "the other",
                                 " I ",       " my ",      " me ",      " we ",        " you "};
// People without a name, to whom a pronoun may belong.
constexpr std::array kUnnamed = {" man",      " woman",   " boy",     " girl",    " father",    " mother",
                                 " brother",  " sister",  " friend",  " comrade", " maid",      " son",
                                 " daughter", " wife",    " husband", " lady",    " gentleman", " uncle",
                                 " aunt",     " servant", " doctor"};

bool title(std::string_view word) { return among(word, kMen) || among(word, kWomen) || among(word, kOthers); }

/// The word at `at`: letters only.
std::string_view word_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && letter(text[end])) ++end;
  return text.substr(at, end - at);
}

bool capitalised(std::string_view word) {
  return word.size() > 2 && upper(word[0]) && std::all_of(word.begin() + 1, word.end(), lower);
}

/// Who is named in a text, and what speaks for a word being a person's name.
struct People {
  std::map<std::string, int, std::less<>> named, plain,
      acts;  // inside sentences; in lower case; speaks or looks
  std::map<std::string, std::pair<int, int>, std::less<>> pronouns;  // He, She after sentences about it

  explicit People(std::string_view text) {
    std::string_view before;
    for (size_t i = 0; i < text.size();) {
      if (!letter(text[i])) {
        ++i;
        continue;
      }
      std::string_view word = word_at(text, i);
      bool inside = i >= 2 && text[i - 1] == ' ' && (letter(text[i - 2]) || text[i - 2] == ',');
      if (capitalised(word)) {
        if (inside) ++named[std::string(word)];
        if (inside && (among(before, kSays) || among(before, kActs))) ++acts[std::string(word)];
      } else if (std::all_of(word.begin(), word.end(), lower)) {
        if (inside && capitalised(before) && (among(word, kSays) || among(word, kActs)))
          ++acts[std::string(before)];
        ++plain[std::string(word)];
      }
      before = word;
      i += word.size();
    }
  }

  static int count(const std::map<std::string, int, std::less<>>& counts, std::string_view word) {
    auto found = counts.find(word);
    return found == counts.end() ? 0 : found->second;
  }
  bool name(std::string_view word) const {
    std::string low(word);
    low[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(low[0])));
    return capitalised(word) && !title(word) && count(named, word) >= kOftenNamed && count(plain, low) == 0;
  }
  bool acting(std::string_view word) const { return count(acts, word) >= kOftenActs; }

  /// "Mr. Harding", "Fanny", "Charles Gould" at `at`; "" where nobody certain is named.
  std::string_view person_at(std::string_view text, size_t at) const {
    std::string_view first = word_at(text, at);
    size_t end = at + first.size();
    bool titled = title(first), acts_here = false;
    if (titled) {
      if (end < text.size() && text[end] == '.') ++end;
      if (end >= text.size() || text[end] != ' ') return {};
      std::string_view surname = word_at(text, end + 1);
      if (!capitalised(surname) || title(surname)) return {};
      end += 1 + surname.size();
    } else {
      if (!name(first)) return {};
      acts_here = acting(first);
    }
    if (end + 1 < text.size() && text[end] == ' ' && upper(text[end + 1])) {
      std::string_view next = word_at(text, end + 1);
      if (!name(next)) return {};
      acts_here |= acting(next);
      end += 1 + next.size();
    }
    return titled || acts_here ? text.substr(at, end - at) : std::string_view();
  }

  /// Whether "He" or "She" may stand for this person.
  bool suits(std::string_view person, bool he) const {
    std::string_view first = word_at(person, 0);
    if (title(first) && !among(first, kOthers)) return he ? among(first, kMen) : among(first, kWomen);
    auto found = pronouns.find(person);
    if (found == pronouns.end()) return false;
    int own = he ? found->second.first : found->second.second,
        all = found->second.first + found->second.second;
    return all >= kPronounsSeen && own >= kPronounShare * all;
  }
};

bool has_any(std::string_view text, const auto& parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const char* part) { return text.find(part) != std::string_view::npos; });
}

/// A plain statement: one subject, no quotation.
bool plain_statement(std::string_view s) {
  if (s.size() < kLeastSentence || s.size() > kMostSentence || s.back() != '.') return false;
  if (s.find_first_of("\"();:_*[]|\n") != std::string_view::npos) return false;
  for (const char* mark : {"“", "”", "‘", "—", "--"})
    if (s.find(mark) != std::string_view::npos) return false;
  return !has_any(s, kClauses);
}

struct Predicate {
  std::string_view text;  // from the verb to the end, without the full stop
  bool negated = false;
};

/// What follows the subject that ends at `end`, where it begins with a verb of the past.
std::optional<Predicate> predicate_after(std::string_view s, size_t end) {
  if (end + 1 >= s.size() || s[end] != ' ') return std::nullopt;
  std::string_view verb = word_at(s, end + 1), rest = s.substr(end + 1, s.size() - end - 2);
  bool auxiliary = among(verb, kAuxiliaries);
  bool past = verb.ends_with("ed") && verb.size() > 3;
  if (!auxiliary && !past && !among(verb, kPasts)) return std::nullopt;
  std::string_view behind = rest.substr(std::min(rest.size(), verb.size() + 1));
  bool negated = auxiliary && (behind.starts_with("not ") || behind.starts_with("never "));
  if (verb == "did" && !negated) return std::nullopt;
  return Predicate{rest, negated};
}

class Finder {
 public:
  explicit Finder(std::string_view text) : text_(text), people_(text), all_(sentences(text)) {
    learn_pronouns();
  }

  std::vector<ReadingQuestion> find() {
    for (size_t i = 0; i < all_.size(); ++i) ask_who(i);
    ask_speakers();
    std::stable_sort(found_.begin(), found_.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
    return std::move(found_);
  }

 private:
  std::string_view sentence(size_t i) const {
    return text_.substr(all_[i].begin, all_[i].end - all_[i].begin);
  }
  bool once(std::string_view part) const {
    size_t at = text_.find(part);
    return at != std::string_view::npos && text_.find(part, at + 1) == std::string_view::npos;
  }

  /// The pronoun with which the next sentence of the paragraph begins: 'h', 's', or 0.
  char pronoun_after(size_t i) const {
    if (!all_[i].joined || i + 1 == all_.size()) return 0;
    std::string_view next = sentence(i + 1);
    return next.starts_with("He ") ? 'h' : next.starts_with("She ") ? 's' : '\0';
  }

  void learn_pronouns() {
    for (size_t i = 0; i < all_.size(); ++i) {
      std::string_view person = people_.person_at(sentence(i), 0);
      char pronoun = person.empty() ? '\0' : pronoun_after(i);
      if (pronoun == 'h') ++people_.pronouns[std::string(person)].first;
      if (pronoun == 's') ++people_.pronouns[std::string(person)].second;
    }
  }

  void add(ReadingKind kind, std::string question, std::string_view answer, std::string full, size_t at) {
    if (asked_.insert(question).second)
      found_.push_back({kind, std::move(question), std::string(answer), std::move(full), at});
  }

  bool others_in(std::string_view part) const {
    for (size_t i = 0; i < part.size(); ++i)
      if (upper(part[i]) && (i == 0 || !letter(part[i - 1]))) return true;
    return has_any(part, kUnnamed);
  }

  void ask_who(size_t i) {
    std::string_view s = sentence(i), person = people_.person_at(s, 0);
    if (person.empty()) return;
    std::optional<Predicate> predicate =
        plain_statement(s) ? predicate_after(s, person.size()) : std::nullopt;
    if (predicate && once(s))
      add(predicate->negated ? ReadingKind::Negation : ReadingKind::Subject,
          "Who " + std::string(predicate->text) + "?", person, std::string(s), all_[i].begin);
    char pronoun = predicate ? pronoun_after(i) : '\0';
    if (pronoun == 0 || !people_.suits(person, pronoun == 'h') || others_in(s.substr(person.size()))) return;
    std::string_view next = sentence(i + 1);
    size_t end = pronoun == 'h' ? 2 : 3;
    std::optional<Predicate> second = plain_statement(next) ? predicate_after(next, end) : std::nullopt;
    if (second && once(next))
      add(ReadingKind::Pronoun, "Who " + std::string(second->text) + "?", person,
          std::string(person) + std::string(next.substr(end)), all_[i].begin);
  }

  /// “...” said NAME, and “...” NAME said, within a line.
  void ask_speakers() {
    for (size_t at = 0; at < text_.size(); ++at) {
      bool curly = text_.substr(at).starts_with("”");
      if (!curly && text_[at] != '"') continue;
      size_t mark = curly ? std::string_view("”").size() : 1, begin = std::string_view::npos;
      if (curly) begin = text_.rfind("“", at);
      if (!curly && at > 0) begin = text_.rfind('"', at - 1);
      if (begin == std::string_view::npos) continue;
      std::string_view quote = text_.substr(begin + (curly ? std::string_view("“").size() : 1));
      quote = quote.substr(0, at - static_cast<size_t>(quote.data() - text_.data()));
      ask_speaker(quote, at + mark, begin);
    }
  }

  void ask_speaker(std::string_view quote, size_t behind, size_t begin) {
    if (quote.size() < kLeastQuote || quote.size() > kMostQuote || behind + 1 >= text_.size()) return;
    if (std::string_view(",?!").find(quote.back()) == std::string_view::npos || text_[behind] != ' ') return;
    for (const char* mark : {"“", "”", "\"", "\n", "_"})
      if (quote.find(mark) != std::string_view::npos) return;
    if (!upper(quote.front()) || !once(quote)) return;
    std::string_view verb = word_at(text_, behind + 1), person;
    size_t end = behind + 1 + verb.size();
    if (among(verb, kSays) && end < text_.size() && text_[end] == ' ') {
      person = people_.person_at(text_, end + 1);
      end += 1 + person.size();
    } else {
      person = people_.person_at(text_, behind + 1);
      end = behind + 1 + person.size() + 1;
      verb = word_at(text_, std::min(end, text_.size()));
      if (person.empty() || !among(verb, kSays)) return;
      end += verb.size();
    }
    if (person.empty() || end >= text_.size() ||
        std::string_view(".,;").find(text_[end]) == std::string_view::npos)
      return;
    std::string words(quote.ends_with(',') ? quote.substr(0, quote.size() - 1) : quote);
    add(ReadingKind::Speaker, words, person, std::string(person) + " " + std::string(verb) + " it.", begin);
  }

  std::string_view text_;
  People people_;
  std::vector<Sentence> all_;
  std::set<std::string> asked_;
  std::vector<ReadingQuestion> found_;
};

}  // namespace

std::vector<ReadingQuestion> reading_questions(std::string_view text) { return Finder(text).find(); }

}  // namespace longspan
