#include "suites/haystack.h"

#include <algorithm>

#include "base/error.h"
#include "suites/records.h"
#include "synth/sources.h"

namespace longspan {

namespace {

constexpr const char* kOwn = "haystack/";
constexpr const char* kBetween = "\n\n";  // documents

std::vector<std::string> own_documents(const std::string& name) {
  std::vector<std::string> documents;
  read_resource_records(name, [&](Json&& record, const std::string& where) {
    documents.push_back(text_field(record, "text", where));
    return true;
  });
  return documents;
}

}  // namespace

void read_user_documents(const std::vector<std::filesystem::path>& files, const TextReading& how,
                         const std::function<bool(Document&&)>& body) {
  ReadingReport report =
      read_documents(files, {.on_bad = OnBadDocument::Fail, .encoding = how.encoding}, body);
  for (const std::string& sentence : report.remarks)
    if (how.remark) how.remark(sentence);
}

std::vector<std::string> haystack_documents(const std::string& name, const TextReading& how) {
  if (name.starts_with(kOwn) && !std::filesystem::exists(name)) return own_documents(name);
  std::vector<std::string> documents;
  read_user_documents({name}, how, [&](Document&& document) {
    if (!stripped(document.text).empty()) documents.push_back(std::move(document.text));
    return true;
  });
  if (documents.empty()) fail("{}: holds no text to hide needles in", name);
  return documents;
}

size_t Haystack::end_at(int64_t most_tokens) const {
  auto above = std::upper_bound(tokens.begin(), tokens.end(), most_tokens);
  return above == tokens.begin() ? 0 : static_cast<size_t>(above - tokens.begin()) - 1;
}

Haystack make_haystack(const std::vector<std::string>& documents, const Tokenizer& tokenizer,
                       int64_t tokens) {
  std::string once;
  for (const std::string& document : documents)
    once += (once.empty() ? "" : kBetween) + std::string(stripped(document));
  constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};
  // Counted after a full stop, because some tokenizers put a space before every text.
  auto count = [&](std::string_view sentence) {
    return std::ssize(tokenizer.encode("." + std::string(sentence), kPlain));
  };
  int64_t stop = count("");
  Haystack haystack{once, {0}, {0}, 1};
  for (size_t at = 0; haystack.tokens.back() < tokens;) {
    if (at == haystack.text.size()) {
      if (haystack.tokens.back() == 0) fail("the haystack has no tokens");
      haystack.text += kBetween + once;
      ++haystack.times;
    }
    at = piece_end(haystack.text, at, 1);
    size_t begin = haystack.ends.back();
    std::string_view sentence = std::string_view(haystack.text).substr(begin, at - begin);
    sentence = sentence.substr(0, sentence.find_last_not_of(" \t\r\n") + 1);
    if (sentence.empty()) continue;
    haystack.ends.push_back(begin + sentence.size());
    haystack.tokens.push_back(haystack.tokens.back() + count(sentence) - stop);
  }
  return haystack;
}

}  // namespace longspan
