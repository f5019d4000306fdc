#include "score/segment.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/compressed.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/resource.h"
#include "base/text.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

constexpr double kImpossible = -3.14e100;  // jieba's logarithm of 0

bool is_han(char32_t c) { return c >= 0x4e00 && c <= 0x9fd5; }
bool is_ascii_alnum(char32_t c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
/// What may be in a dictionary word; everything else is cut off first.
bool in_block(char32_t c) {
  return is_han(c) || is_ascii_alnum(c) ||
         (c < 128 && c && std::string_view("+#&._%-").find(char(c)) != std::string_view::npos);
}

/// Calls line(number, text) for each line without its line feed.
template <typename F>
void each_line(std::string_view text, F&& line) {
  for (int64_t number = 1; !text.empty(); ++number) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view one = text.substr(0, end);
    if (one.ends_with('\r')) one.remove_suffix(1);
    line(number, one);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

/// A file's text and the name it goes by in errors.
struct Source {
  fs::path file;
  std::string text;
};

/// The first of the names that is in the folder, plain or packed; of "", in the program.
Source first_existing(const fs::path& folder, std::initializer_list<const char*> names, const char* what) {
  for (const char* name : names) {
    std::string built_in = fmt::format("jieba/{}.zst", name);
    if (folder.empty() && !resource_names(built_in).empty())
      return {built_in, unpack(resource(built_in), built_in)};
    for (const char* packing : {"", ".zst", ".xz"})
      if (fs::path file = folder / (std::string(name) + packing);
          !folder.empty() && fs::is_regular_file(file))
        return {file, unpack(read_file(file), file.string())};
  }
  fail(
      "{}: no {} here ({} or {}, plain, .zst or .xz); leave out --jieba and LONGSPAN_JIEBA for the one in "
      "the program",
      folder.string(), what, *names.begin(), *(names.begin() + 1));
}

double number_in(std::string_view text, const fs::path& file, int64_t line) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || std::isnan(value))
    fail("{}:{}: expected a logarithm, found {}", file.string(), line, in_quotes(text));
  return value;
}

std::vector<std::string_view> fields(std::string_view line, char separator) {
  std::vector<std::string_view> out;
  while (!line.empty()) {
    size_t end = std::min(line.find(separator), line.size());
    if (end > 0) out.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return out;
}

}  // namespace

Segmenter::Segmenter(const fs::path& folder) {
  start_.fill(kImpossible);
  for (auto& row : transition_) row.fill(kImpossible);
  Source dictionary = first_existing(folder, {"dict.txt", "jieba.dict.utf8"}, "dictionary");
  read_dictionary(dictionary.file, dictionary.text);
  Source model = first_existing(folder, {"hmm.json", "hmm_model.utf8"}, "hidden Markov model");
  bool json = content_name(model.file).extension() == ".json";
  json ? read_json_model(model.file, model.text) : read_text_model(model.file, model.text);
}

void Segmenter::read_dictionary(const fs::path& file, std::string_view text) {
  frequency_ = {0};
  int64_t total = 0;
  each_line(text, [&](int64_t number, std::string_view line) {
    auto parts = fields(line, ' ');
    if (parts.empty()) return;
    int64_t frequency = -1;
    if (parts.size() > 1) std::from_chars(parts[1].data(), parts[1].data() + parts[1].size(), frequency);
    if (frequency < 0 || frequency > (int64_t(1) << 40))
      fail("{}:{}: expected \"word frequency tag\", found {}", file.string(), number, in_quotes(line));
    int32_t node = 0;
    for (char32_t c : code_points(parts[0])) {
      auto [at, added] = children_.try_emplace(uint64_t(node) << 21 | c, int32_t(frequency_.size()));
      if (added) frequency_.push_back(0);
      node = at->second;
    }
    frequency_[node] = frequency;  // of a word that stands twice the last counts, yet both are in the total
    total += frequency;
  });
  if (total <= 0) fail("{}: a dictionary without words", file.string());
  log_total_ = std::log(double(total));
}

void Segmenter::read_json_model(const fs::path& file, std::string_view text) {
  static constexpr const char* kNames[kStates] = {"B", "M", "E", "S"};
  Json model = parse_json(text, file.string());
  auto part = [&](const Json& from, const char* key) -> const Json& {
    static const Json none = Json::object();
    if (!from.contains(key)) return none;
    if (!from[key].is_object()) fail("{}: {} is no object", file.string(), in_quotes(key));
    return from[key];
  };
  auto value = [&](const Json& from) {
    if (!from.is_number()) fail("{}: expected a logarithm, found {}", file.string(), excerpt_json(from));
    return from.get<double>();
  };
  if (!model.is_object() || part(model, "emit").empty()) fail("{}: no emissions (\"emit\")", file.string());
  for (int s = 0; s < kStates; ++s) {
    if (const Json& start = part(model, "start"); start.contains(kNames[s]))
      start_[s] = value(start[kNames[s]]);
    const Json& row = part(part(model, "trans"), kNames[s]);
    for (int to = 0; to < kStates; ++to)
      if (row.contains(kNames[to])) transition_[s][to] = value(row[kNames[to]]);
    for (const auto& [key, log] : part(part(model, "emit"), kNames[s]).items()) {
      std::u32string c = code_points(key);
      if (c.size() != 1)
        fail("{}: emission of {}, which is not one character", file.string(), in_quotes(key));
      emission_[s][c[0]] = value(log);
    }
  }
}

void Segmenter::read_text_model(const fs::path& file, std::string_view text) {
  // One line of start logarithms, four of transitions, four of emissions "c:log,c:log"; the states stand in
  // the order B, E, M, S.
  static constexpr State kOrder[kStates] = {kBegin, kEnd, kMiddle, kSingle};
  int row = 0;
  each_line(text, [&](int64_t number, std::string_view line) {
    if (line.empty() || line.starts_with('#')) return;
    if (row < 5) {
      auto logs = fields(line, ' ');
      if (logs.size() != kStates) fail("{}:{}: expected 4 logarithms", file.string(), number);
      auto& out = row == 0 ? start_ : transition_[kOrder[row - 1]];
      for (int s = 0; s < kStates; ++s) out[kOrder[s]] = number_in(logs[s], file, number);
    } else if (row < 9) {
      for (std::string_view pair : fields(line, ',')) {
        std::u32string c = code_points(pair.substr(0, pair.rfind(':')));
        if (c.size() != 1) fail("{}:{}: expected character:logarithm", file.string(), number);
        emission_[kOrder[row - 5]][c[0]] = number_in(pair.substr(pair.rfind(':') + 1), file, number);
      }
    }
    ++row;
  });
  if (row != 9) fail("{}: expected 9 lines of numbers, found {}", file.string(), row);
}

int32_t Segmenter::child(int32_t node, char32_t c) const {
  auto found = children_.find(uint64_t(node) << 21 | c);
  return found == children_.end() ? -1 : found->second;
}

bool Segmenter::is_word(std::u32string_view text) const {
  int32_t node = 0;
  for (char32_t c : text)
    if ((node = child(node, c)) < 0) return false;
  return frequency_[node] > 0;
}

Words Segmenter::cut(std::u32string_view text) const {
  Words words;
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    while (i < text.size() && in_block(text[i])) ++i;
    if (i > begin) {
      cut_block(text.substr(begin, i - begin), words);
    } else {
      i += text.substr(i).starts_with(U"\r\n") ? 2 : 1;
      words.emplace_back(text.substr(begin, i - begin));
    }
  }
  return words;
}

void Segmenter::cut_block(std::u32string_view block, Words& words) const {
  struct Step {
    double log;
    size_t end;  // of the word that begins here
  };
  std::vector<Step> best(block.size() + 1, Step{0, 0});
  for (size_t i = block.size(); i-- > 0;) {
    bool any = false;
    auto offer = [&](size_t end, int64_t frequency) {
      double log = std::log(double(std::max<int64_t>(frequency, 1))) - log_total_ + best[end].log;
      if (!any || log >= best[i].log) best[i] = {log, end};  // >=: of equals the longer word
      any = true;
    };
    int32_t node = 0;
    for (size_t end = i; end < block.size() && (node = child(node, block[end])) >= 0; ++end)
      if (frequency_[node] > 0) offer(end + 1, frequency_[node]);
    if (!any) offer(i + 1, 0);
  }
  size_t singles = 0;  // begin of the pieces of one character that wait
  for (size_t i = 0; i < block.size(); i = best[i].end) {
    if (best[i].end - i == 1) continue;
    cut_singles(block.substr(singles, i - singles), words);
    words.emplace_back(block.substr(i, best[i].end - i));
    singles = best[i].end;
  }
  cut_singles(block.substr(singles), words);
}

void Segmenter::cut_singles(std::u32string_view singles, Words& words) const {
  if (singles.size() < 2 || is_word(singles)) {
    for (char32_t c : singles) words.emplace_back(1, c);
    return;
  }
  for (size_t i = 0; i < singles.size();) {
    size_t begin = i;
    auto run = [&](auto&& in) {
      while (i < singles.size() && in(singles[i])) ++i;
    };
    run(is_han);
    if (i > begin) {
      cut_han(singles.substr(begin, i - begin), words);
      continue;
    }
    run(is_ascii_alnum);
    if (i > begin) {  // a word or number, with a fraction and a percent sign
      auto digit = [&](size_t at) { return at < singles.size() && is_decimal_digit(singles[at]); };
      if (i < singles.size() && singles[i] == '.' && digit(i + 1)) {
        ++i;
        run(is_decimal_digit);
      }
      if (i < singles.size() && singles[i] == '%') ++i;
    } else {
      run([](char32_t c) { return !is_han(c) && !is_ascii_alnum(c); });
    }
    words.emplace_back(singles.substr(begin, i - begin));
  }
}

void Segmenter::cut_han(std::u32string_view han, Words& words) const {
  // The states that may precede each state, the one that wins a tie first (jieba compares letters: S, M, E,
  // B).
  static constexpr State kBefore[kStates][2] = {
      {kSingle, kEnd}, {kMiddle, kBegin}, {kMiddle, kBegin}, {kSingle, kEnd}};
  auto emission = [&](int state, char32_t c) {
    auto found = emission_[state].find(c);
    return found == emission_[state].end() ? kImpossible : found->second;
  };
  std::vector<std::array<State, kStates>> from(han.size());
  std::array<double, kStates> log;
  for (int s = 0; s < kStates; ++s) log[s] = start_[s] + emission(s, han[0]);
  for (size_t t = 1; t < han.size(); ++t) {
    std::array<double, kStates> next;
    for (int s = 0; s < kStates; ++s) {
      double e = emission(s, han[t]);
      auto [a, b] = kBefore[s];
      double log_a = log[a] + transition_[a][s] + e, log_b = log[b] + transition_[b][s] + e;
      next[s] = std::max(log_a, log_b);
      from[t][s] = log_a >= log_b ? a : b;
    }
    log = next;
  }
  std::vector<State> path(han.size());
  path.back() = log[kSingle] >= log[kEnd] ? kSingle : kEnd;
  for (size_t t = han.size() - 1; t > 0; --t) path[t - 1] = from[t][path[t]];
  size_t begin = 0;
  for (size_t t = 0; t < han.size(); ++t) {
    if (path[t] != kEnd && path[t] != kSingle) continue;
    words.emplace_back(han.substr(begin, t + 1 - begin));
    begin = t + 1;
  }
}

fs::path jieba_folder(const fs::path& given) {
  if (!given.empty()) return given;
  if (const char* set = std::getenv("LONGSPAN_JIEBA"); set && *set) return set;
  return {};
}

}  // namespace longspan
