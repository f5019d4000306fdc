// NoLiMa (arXiv 2502.05167): a needle that shares no word with its question, in a stretch of a book. From the
// user's copy: the needle set (JSON) and a folder of books (.txt). Placement is the original's: of the
// positions after a token with a line feed, the first at or after the depth is taken, and the window of
// `length` tokens is placed around it, so that different depths read different parts of the book. Keys of
// [task.make]:
//
//   needles = "needle_set.json"   # searched for in --data
//   haystacks = "rand_shuffle"    # a folder in --data
//   question = "onehop"           # the kind of question; "": all
//   lengths = [1000, 2000]        # tokens of the stretch, without needle and template
//   depths = 26                   # evenly from 0 to 100 per cent
#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "documents/document.h"
#include "score/python_random.h"
#include "suites/cases.h"
#include "suites/prompt.h"
#include "suites/records.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr uint32_t kSeed = 42;

struct Reading {
  std::string needles = "needle_set.json", haystacks = "rand_shuffle", question;
  std::vector<int64_t> lengths = {250, 500, 1000, 2000, 4000, 8000, 16000, 32000};
  int64_t depths = 26;
};

/// A question about a needle, with arguments filled in except "{CHAR}", which differs from depth to depth.
struct Test {
  std::string id, kind, needle, question;
  std::vector<std::string> answers, characters;
  uint32_t seed = 0;
};

struct Book {
  std::string name;
  std::vector<int32_t> ids;
  std::vector<int64_t> places;  // 0, and the tokens with a line feed
};

Reading read_make(const Task& task) {
  Reading how;
  Settings row = make_settings(task);
  row.read("needles", how.needles);
  row.read("haystacks", how.haystacks);
  row.read("question", how.question);
  row.read("lengths", how.lengths, 1);
  row.read("depths", how.depths, 1, 1000);
  row.done();
  return how;
}

const Json& member(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object() || !object.contains(key)) fail("{}: has no \"{}\"", where, key);
  return object[key];
}

std::string text_of(const Json& value, const std::string& where) {
  if (!value.is_string()) fail("{}: a text was expected, not {}", where, excerpt_json(value));
  return value.get<std::string>();
}

std::vector<std::string> texts_of(const Json& value, const std::string& where) {
  std::vector<std::string> out;
  for (const Json& one : value.is_array() ? value : Json::array({value})) out.push_back(text_of(one, where));
  return out;
}

/// All arguments go into the needle; only the last one that the question asks for goes into the question, as
/// in the original.
Test one_test(const Json& entry, const std::string& kind, const Json& question, const std::string& name,
              const Json& test, const std::string& where) {
  std::string id = text_of(member(entry, "id", where), where);
  Test out;
  out.id = id + "_" + name + "_" + kind;
  out.kind = kind;
  out.needle = text_of(member(entry, "needle", where), where);
  std::string asked = text_of(question, where);
  out.question = asked;
  std::vector<std::string> arguments = texts_of(member(test, "input_args", where), where);
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string slot = fmt::format("{{{}}}", i + 1);
    if (asked.find(slot) != asked.npos) out.question = replaced(asked, slot, arguments[i]);
    out.needle = replaced(out.needle, slot, arguments[i]);
  }
  if (test.contains("gold_answers")) out.answers = texts_of(test["gold_answers"], where);
  if (entry.contains("character_set")) out.characters = texts_of(entry["character_set"], where);
  bool drawn = out.needle.find("{CHAR}") != out.needle.npos;
  if (drawn ? out.characters.empty() : out.answers.empty())
    fail("{}: test {} has no answers", where, excerpt(name));
  if (!std::all_of(id.begin(), id.begin() + std::min<size_t>(4, id.size()),
                   [](char c) { return c >= '0' && c <= '9'; }))
    fail("{}: the id {} does not begin with four digits", where, excerpt(id));
  out.seed = kSeed + static_cast<uint32_t>(std::stoul(id.empty() ? "0" : id.substr(0, 4)));
  return out;
}

std::vector<Test> read_tests(const fs::path& file, const std::string& kind) {
  std::vector<Test> tests;
  RecordFile(file, true).each([&](Json&& entry, int64_t number) {
    std::string where = fmt::format("{}: record {}", file.string(), number);
    if (entry.contains("distractors")) fail("{}: distractors are not known here; take a set without", where);
    const Json &questions = member(entry, "questions", where), &all = member(entry, "tests", where);
    if (!questions.is_object() || !all.is_object())
      fail("{}: \"questions\" and \"tests\" must be objects", where);
    for (const auto& [name, question] : questions.items())
      for (const auto& [test_name, test] : all.items())
        if (kind.empty() || kind == name)
          tests.push_back(one_test(entry, name, question, test_name, test, where));
    return true;
  });
  if (tests.empty()) fail("{}: has no question of the kind {}", file.string(), excerpt(kind));
  return tests;
}

std::vector<std::shared_ptr<const Book>> read_books(const fs::path& data, const std::string& folder,
                                                    const Tokenizer& tokenizer, const TextReading& how) {
  fs::path at = fs::is_directory(data / folder) ? data / folder : data / "haystack" / folder;
  if (!fs::is_directory(at))
    throw MissingData{fmt::format("the folder {} is not below {}", folder, data.string())};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(at))
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  if (files.empty()) throw MissingData{at.string() + " holds no .txt"};
  std::vector<std::shared_ptr<const Book>> books;
  for (const fs::path& file : files) {
    auto book = std::make_shared<Book>();
    book->name = file.stem().string();
    documents::Reading reading = documents::read_document(file, how.encoding);
    for (const std::string& sentence : reading.remarks)
      if (how.remark) how.remark(sentence);
    book->ids = tokenizer.encode(reading.text, {.add_special = false, .parse_special = false});
    book->places = {0};
    for (size_t i = 0; i < book->ids.size(); ++i)
      if (tokenizer.decode(std::span(book->ids).subspan(i, 1)).find('\n') != std::string::npos)
        book->places.push_back(static_cast<int64_t>(i));
    books.push_back(std::move(book));
  }
  return books;
}

/// numpy's round: halves to even.
int64_t rounded(double x) { return static_cast<int64_t>(std::nearbyint(x)); }

std::string snippet(const Book& book, const Tokenizer& tokenizer, const std::string& needle, int64_t length,
                    double depth) {
  auto place = std::find_if(book.places.begin(), book.places.end(),
                            [&](int64_t p) { return double(p) / double(length + 1) - depth >= 0; });
  int64_t begin = place == book.places.end() ? 0 : *place - rounded(double(length) * depth);
  if (place == book.places.end() || begin < 0 || begin + length > std::ssize(book.ids))
    fail("the book {} with its {} tokens is too short for {} tokens at depth {:.0f} %", book.name,
         grouped(std::ssize(book.ids)), grouped(length), 100 * depth);
  auto part = [&](int64_t from, int64_t to) {
    return tokenizer.decode(std::span(book.ids).subspan(
        static_cast<size_t>(from), static_cast<size_t>(std::max<int64_t>(to - from, 0))));
  };
  std::string before = part(begin, *place + 1);
  size_t feed = before.rfind('\n');
  return before.substr(0, feed == before.npos ? 0 : feed) + " " + needle + "\n" +
         part(*place + 1, begin + length);
}

}  // namespace

std::vector<Case> make_nolima_cases(const Task& task, const MakeContext& context) {
  Reading how = read_make(task);
  std::vector<Test> tests = read_tests(find_data(context.data, how.needles), how.question);
  const Tokenizer& tokenizer = context.prompts.tokenizer;
  auto books = read_books(context.data, how.haystacks, tokenizer, context.reading);
  std::vector<Case> cases;
  for (int64_t length : how.lengths) {
    int64_t made = 0;
    for (size_t b = 0; b < books.size(); ++b)
      for (const Test& test : tests) {
        NumpyRandom random(test.seed + static_cast<uint32_t>(b));
        for (int64_t d = 0; d < how.depths; ++d) {
          double depth = how.depths > 1 ? double(d) / double(how.depths - 1) : 0;
          std::string character;
          if (test.needle.find("{CHAR}") != test.needle.npos)
            character = test.characters[static_cast<size_t>(random.randint(0, std::ssize(test.characters)))];
          if (context.limit > 0 && made >= context.limit) continue;
          ++made;
          Case c;
          c.id = fmt::format("{}/{}/{}/{}/{}", task.name, length, books[b]->name, test.id, d);
          c.cell.fields = {{"length", length},
                           {"depth", std::round(1000 * depth) / 10},
                           {"needle", test.id},
                           {"question", test.kind}};
          c.text = [&task, &tokenizer, book = books[b], test, length, depth, character, id = c.id] {
            std::string needle = replaced(test.needle, "{CHAR}", character);
            Json fields = {{"haystack", snippet(*book, tokenizer, needle, length, depth)},
                           {"question", replaced(test.question, "{CHAR}", character)}};
            CaseText text = fill_task(task, fields, id);
            text.references = character.empty() ? test.answers : std::vector<std::string>{character};
            return text;
          };
          cases.push_back(std::move(c));
        }
      }
  }
  for (const auto& book : books)  // before the first is asked
    for (int64_t length : how.lengths) snippet(*book, tokenizer, "", length, 1);
  return cases;
}

}  // namespace longspan
