// NeedleBench (Li et al. 2024, arXiv 2407.11963; OpenCompass's versions 1 and 2): single needles, several at
// once, and questions over several facts. Lengths are tokens of the suite's tokenizer if one is given, and
// the prompt is added to the text, so that the tested model counts differently from the cell.
#include "suites/needlebench.h"

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "suites/cases.h"
#include "suites/grid.h"
#include "suites/haystack.h"
#include "suites/prompt.h"
#include "suites/records.h"

namespace longspan {

namespace {

namespace fs = std::filesystem;

constexpr const char* kNeedles = "needles.jsonl";
constexpr int64_t kDocument = 5000;  // characters of a piece of our own haystacks

struct BenchRow {
  std::string kind = "single", language = "English", haystack, file, facts_file;
  std::vector<int64_t> lengths, depths, facts;
  int64_t repeats = 10, buffer = 0, step = 10;
};

/// A question over several facts.
struct BenchQuestion {
  std::vector<std::string> facts;
  std::string question, answer;
};

struct BenchTexts {
  const Task& task;
  BenchRow row;
  LengthCoder coder;
  std::vector<std::string> documents;
  std::vector<std::vector<size_t>> orders;  // [repeats]
};

BenchRow read_bench_row(const Task& task) {
  Settings row = make_settings(task);
  BenchRow out;
  row.read("kind", out.kind, {"single", "retrieval", "reasoning"});
  row.read("language", out.language, {"English", "Chinese"});
  row.read("haystack", out.haystack);
  row.read("file", out.file);
  row.read("facts_file", out.facts_file);
  out.lengths = read_lengths(row);
  row.read("depths", out.depths, 0);
  row.read("facts", out.facts, 1);
  row.read("repeats", out.repeats, 1, 1000);
  row.read("buffer", out.buffer, 0);
  row.read("step", out.step, 0, 100);
  row.done();
  if (out.depths.empty()) row.refuse("depths", "at least one is needed");
  for (int64_t depth : out.depths)
    if (depth > 100) row.refuse("depths", fmt::format("{} is not between 0 and 100", depth));
  if (out.kind == "reasoning" && out.facts.empty()) row.refuse("facts", "at least one number is needed");
  return out;
}

/// "" when the user has no such file and the built-in text is used.
fs::path own_file(const fs::path& data, const std::string& name) {
  try {
    return find_data(data, name);
  } catch (const MissingData&) {
    return "";
  }
}

/// A document ends at the first line end after so many characters.
std::vector<std::string> cut_into_documents(const std::vector<std::string>& books) {
  std::vector<std::string> documents;
  for (const std::string& book : books) {
    int64_t characters = 0;
    size_t begin = 0;
    for (size_t i = 0; i < book.size(); ++i) {
      characters += (static_cast<unsigned char>(book[i]) & 0xC0) != 0x80;
      if (i + 1 < book.size() && (characters < kDocument || book[i] != '\n')) continue;
      documents.push_back(book.substr(begin, i + 1 - begin));
      begin = i + 1;
      characters = 0;
    }
  }
  return documents;
}

std::vector<BenchNeedle> read_needles(const fs::path& data) {
  std::vector<BenchNeedle> needles;
  auto body = [&](Json&& record, const std::string& where) {
    needles.push_back(read_bench_needle(record, where));
    return true;
  };
  if (fs::path file = own_file(data, kNeedles); !file.empty())
    read_records(file, body);
  else
    read_resource_records(std::string("needlebench/") + kNeedles + ".zst", body);
  return needles;
}

std::vector<BenchQuestion> read_questions(RecordFile& file, int64_t facts) {
  std::vector<BenchQuestion> questions;
  file.each([&](Json&& record, int64_t number) {
    try {
      if (record.at("derivation_count").get<int64_t>() == facts)
        questions.push_back({record.at("derivations").get<std::vector<std::string>>(),
                             record.at("question").get<std::string>(),
                             record.at("answer").get<std::string>()});
    } catch (const nlohmann::json::exception& e) {
      fail("{}: {}", file.where(number), e.what());
    }
    return true;
  });
  if (questions.empty()) fail("{}: there is no question over {} facts", file.where(1), facts);
  return questions;
}

LengthCoder coder_of(const Tokenizer& tokenizer) {
  return {[&](std::string_view text) {
            return tokenizer.encode(text, {.add_special = false, .parse_special = false});
          },
          [&](std::span<const int32_t> ids) { return tokenizer.decode(ids); }};
}

std::shared_ptr<const BenchTexts> read_texts(const Task& task, const MakeContext& context,
                                             std::string& source) {
  BenchRow row = read_bench_row(task);
  fs::path file = row.file.empty() ? fs::path() : own_file(context.data, row.file);
  source = file.empty() ? row.haystack : file.string();
  std::vector<std::string> documents = haystack_documents(source, context.reading);
  if (file.empty()) documents = cut_into_documents(documents);
  auto orders = bench_orders(documents.size(), row.repeats);
  const Tokenizer& tokenizer =
      context.length_tokenizer ? *context.length_tokenizer : context.prompts.tokenizer;
  return std::make_shared<BenchTexts>(BenchTexts{task, row, coder_of(tokenizer), documents, orders});
}

std::string fill(const BenchTexts& texts, int64_t length, int64_t repeat,
                 const std::vector<std::string>& needles, const BenchPlaces& places) {
  return bench_context(texts.coder, texts.documents, texts.orders[static_cast<size_t>(repeat)], needles,
                       length - texts.row.buffer, places);
}

/// Within one repeat, documents and needles are the same; ordered by the position of the needle, each text
/// shares a prefix with the previous one.
struct BenchOrder {
  int64_t group, place, length;
  auto operator<=>(const BenchOrder&) const = default;
};
using BenchCases = std::vector<std::pair<BenchOrder, Case>>;

Case bench_case(const BenchTexts& texts, const std::string& id, const std::string& source, int64_t length) {
  Case one;
  one.id = texts.task.name + "/" + id;
  one.cell.fields = {{"length", length}, {"language", texts.row.language}};
  one.source = source;
  return one;
}

void add_single(const std::shared_ptr<const BenchTexts>& texts, const MakeContext& context,
                const std::string& source, BenchCases& cases) {
  std::vector<BenchNeedle> needles;
  for (BenchNeedle& needle : read_needles(context.data))
    if (needle.language == texts->row.language) needles.push_back(std::move(needle));
  if (needles.empty()) fail("{}: has no needle in {}", kNeedles, texts->row.language);
  for (int64_t repeat = 0; repeat < texts->row.repeats; ++repeat)
    for (int64_t length : texts->row.lengths)
      for (int64_t depth : texts->row.depths) {
        const BenchNeedle& needle = needles[bench_choice(needles.size(), repeat)];
        Case one = bench_case(*texts, fmt::format("{}/{}/{}", length, depth, repeat), source, length);
        one.cell.add("depth", depth);
        one.text = [texts, needle, length, depth, repeat] {
          std::string hay = fill(*texts, length, repeat, {needle.text}, at_depths({depth}));
          CaseText text = fill_task(
              texts->task, {{"context", hay}, {"question", needle.question}, {"format", needle.format}},
              texts->task.name);
          text.references = {needle.keyword};
          text.fields["needle"] = "\n" + needle.text + "\n";
          return text;
        };
        cases.push_back({{repeat, depth * length, length}, std::move(one)});
      }
}

void add_retrieval(const std::shared_ptr<const BenchTexts>& texts, const MakeContext& context,
                   const std::string& source, BenchCases& cases) {
  const BenchRow& row = texts->row;
  auto needles = distinct_needles(read_needles(context.data), row.language, row.depths.size(), context.seed);
  if (needles.size() < row.depths.size())
    fail("task {}: {} depths were asked for, and {} different needles are there", texts->task.name,
         row.depths.size(), needles.size());
  for (int64_t repeat = 0; repeat < row.repeats; ++repeat)
    for (int64_t length : row.lengths) {
      Case one = bench_case(*texts, fmt::format("{}/{}", length, repeat), source, length);
      one.text = [texts, mine = shuffled_needles(needles, repeat), length, repeat] {
        std::vector<std::string> facts, keywords;
        for (const BenchNeedle& needle : mine) {
          facts.push_back(needle.text);
          keywords.push_back(needle.keyword);
        }
        Json fields = joined_questions(mine);
        fields["context"] = fill(*texts, length, repeat, facts, at_depths(texts->row.depths));
        CaseText text = fill_task(texts->task, fields, texts->task.name);
        text.references = keywords;
        return text;
      };
      cases.push_back({{repeat, 0, length}, std::move(one)});
    }
}

void add_reasoning(const std::shared_ptr<const BenchTexts>& texts, const MakeContext& context,
                   const std::string& source, BenchCases& cases) {
  const BenchRow& row = texts->row;
  fs::path found = own_file(context.data, row.facts_file);
  if (found.empty())
    throw MissingData{row.facts_file + (context.data.empty()
                                            ? ", a file of NeedleBench; say where with --data"
                                            : " below " + context.data.string())};
  RecordFile file(found, true);
  for (int64_t facts : row.facts) {
    std::vector<BenchQuestion> questions = read_questions(file, facts);
    for (int64_t repeat = 0; repeat < row.repeats; ++repeat)
      for (int64_t length : row.lengths)
        for (int64_t depth : row.depths) {
          const BenchQuestion& question = questions[bench_choice(questions.size(), repeat)];
          Case one =
              bench_case(*texts, fmt::format("{}/{}/{}/{}", facts, length, depth, repeat), source, length);
          one.cell.add("depth", depth);
          one.cell.add("facts", facts);
          one.text = [texts, question, length, depth, repeat] {
            std::string hay =
                fill(*texts, length, repeat, question.facts, from_depth(depth, texts->row.step));
            CaseText text =
                fill_task(texts->task, {{"context", hay}, {"question", question.question}}, texts->task.name);
            text.references = {question.answer};
            return text;
          };
          cases.push_back({{facts * row.repeats + repeat, depth * length, length}, std::move(one)});
        }
  }
}

}  // namespace

std::vector<Case> make_needlebench_cases(const Task& task, const MakeContext& context) {
  std::string source;
  auto texts = read_texts(task, context, source);
  BenchCases ordered;
  if (texts->row.kind == "single") add_single(texts, context, source, ordered);
  if (texts->row.kind == "retrieval") add_retrieval(texts, context, source, ordered);
  if (texts->row.kind == "reasoning") add_reasoning(texts, context, source, ordered);
  return cases_in_order(std::move(ordered), context.limit);
}

}  // namespace longspan
