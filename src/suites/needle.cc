// Needle in a haystack: a fact is hidden at some depth of a long text and asked for at its end (Kamradt 2023;
// the grid of 4 needles, 17 depths and 32 lengths is that of XVERSE-13B-256K).
//
// All cells are cut from one text. A needle is put after the last sentence end before token p = depth x
// length of the haystack, so that the text before it depends on p alone, and cells of several lengths have
// the same p. In the order p, needle, length each cell shares most of the previous one as a prefix: the
// haystack up to p is read once, and at one p each length only continues the shorter one.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "base/error.h"
#include "suites/cases.h"
#include "suites/grid.h"
#include "suites/haystack.h"
#include "suites/prompt.h"

namespace longspan {

namespace {

struct Needle {
  std::string name, text, question;
  std::vector<std::string> answers;
};

struct Grid {
  std::vector<int64_t> lengths;
  std::vector<double> depths;
  std::vector<Needle> needles;
  bool together = false;  // all needles in one text
  std::string haystack = "haystack/essays_en.jsonl.zst", language = "English";
};

/// What all cases of a task share.
struct NeedleTexts {
  const Task& task;
  const PromptMaker& prompts;
  std::vector<Needle> needles;
  Haystack haystack;
};

struct Placed {
  size_t needle = 0;
  size_t end = 0;  // index into Haystack::ends
};

Needle read_needle(Settings& row, size_t number) {
  Needle needle{std::to_string(number), "", "", {}};
  row.read("name", needle.name);
  row.read("text", needle.text);
  row.read("question", needle.question);
  row.read("answer", needle.answers);
  row.require({"text", "question", "answer"});
  if (needle.text.empty()) row.refuse("text", "is empty");
  if (needle.answers.empty()) row.refuse("answer", "is empty");
  return needle;
}

Grid read_grid(const Task& task) {
  Settings row = make_settings(task);
  Grid grid;
  grid.lengths = read_lengths(row);
  grid.depths = read_depths(row);
  row.read("together", grid.together);
  row.read("haystack", grid.haystack);
  row.read("language", grid.language);
  // A needle of the user's own, by --set, replaces those of the file.
  Json own = Json::object();
  for (auto [key, name] : {std::pair("needle", "text"), {"question", "question"}, {"answer", "answer"}})
    if (const Json& value = row.any(key); !value.is_null()) own[name] = value;
  auto add = [&](Settings& needle) { grid.needles.push_back(read_needle(needle, grid.needles.size() + 1)); };
  if (own.empty()) {
    row.tables("needles", add);
  } else {
    row.any("needles");
    Settings needle = row.inside("", own);
    add(needle);
  }
  row.done();
  if (grid.depths.empty()) row.refuse("depths", "at least one is needed");
  if (grid.needles.empty()) row.refuse("needles", "at least one is needed");
  return grid;
}

/// The text of the haystack up to an end, with the needles inserted at their ends.
std::string context(const NeedleTexts& texts, const std::vector<Placed>& placed, size_t cut) {
  const Haystack& hay = texts.haystack;
  std::string out;
  size_t from = 0;
  for (const Placed& one : placed) {
    size_t at = hay.ends[std::min(one.end, cut)];
    out += hay.text.substr(from, at - from);
    const std::string& needle = texts.needles[one.needle].text;
    bool blank = static_cast<unsigned char>(needle.front()) < 0x80 && needle.front() != '\n';
    // White space follows every end except the first, which is the start of the text.
    out += at > 0 && blank ? " " + needle : needle;
    if (at == 0 && blank) out += ' ';
    from = at;
  }
  return out + hay.text.substr(from, hay.ends[cut] - from);
}

CaseText cell_text(const NeedleTexts& texts, const std::vector<Placed>& placed, size_t cut) {
  std::string question;
  std::vector<std::string> answers;
  for (const Placed& one : placed) {
    const Needle& needle = texts.needles[one.needle];
    question += (question.empty() ? "" : " ") + needle.question;
    answers.insert(answers.end(), needle.answers.begin(), needle.answers.end());
  }
  CaseText text = fill_task(texts.task, {{"context", context(texts, placed, cut)}, {"question", question}},
                            texts.task.name);
  text.references = answers;
  text.fields["needle"] = texts.needles[placed.front().needle].text;
  return text;
}

/// Tokens of a cell besides those of the haystack.
int64_t overhead(const NeedleTexts& texts, std::vector<Placed> placed) {
  for (Placed& one : placed) one.end = 0;
  CaseText text = cell_text(texts, placed, 0);
  return prompt_tokens(texts.prompts, texts.task, text) + texts.task.new_tokens;
}

/// The longest text that fits into the length together with its answer.
CaseText fitted_text(const NeedleTexts& texts, const std::vector<Placed>& placed, int64_t length,
                     int64_t around) {
  const Haystack& hay = texts.haystack;
  int64_t room = length - texts.task.new_tokens;
  size_t cut = hay.end_at(length - around), fits = 0;
  std::optional<CaseText> fitted;
  // The sum over sentences differs by the tokens at seams; the first count tells by how many.
  for (int tries = 0; tries < 8; ++tries) {
    CaseText text = cell_text(texts, placed, cut);
    int64_t tokens = prompt_tokens(texts.prompts, texts.task, text);
    if (tokens <= room) fits = cut, fitted = std::move(text);
    size_t next = hay.end_at(hay.tokens[cut] + room - tokens);
    if (tokens > room && next >= cut) next = cut - std::min<size_t>(cut, 1);
    if (next <= fits) break;
    cut = next;
  }
  return fitted ? *std::move(fitted) : cell_text(texts, placed, fits);
}

/// Places of one cell: needle `first` at its depth, or all of them spread from there to the end.
std::vector<Placed> place(const NeedleTexts& texts, bool together, size_t first, double depth, int64_t length,
                          int64_t around) {
  size_t count = together ? texts.needles.size() : 1;
  std::vector<Placed> placed;
  for (size_t i = 0; i < count; ++i) {
    double at = depth + (100 - depth) * static_cast<double>(i) / static_cast<double>(count);
    int64_t p = std::llround(at / 100 * static_cast<double>(length));
    placed.push_back({first + i, texts.haystack.end_at(std::min(p, length - around))});
  }
  return placed;
}

}  // namespace

std::vector<Case> make_needle_cases(const Task& task, const MakeContext& context) {
  Grid grid = read_grid(task);
  int64_t longest = *std::max_element(grid.lengths.begin(), grid.lengths.end());
  std::vector<std::string> documents =
      context.text ? std::vector{*context.text} : haystack_documents(grid.haystack, context.reading);
  auto texts = std::make_shared<NeedleTexts>(NeedleTexts{
      task, context.prompts, grid.needles, make_haystack(documents, context.prompts.tokenizer, longest)});
  std::string source = context.text ? "" : grid.haystack;
  if (texts->haystack.times > 1) source += fmt::format(" ({} times)", texts->haystack.times);

  using Order = std::tuple<size_t, size_t, int64_t>;
  std::vector<std::pair<Order, Case>> cells;
  std::vector<Case> too_short;
  for (size_t first = 0; first < (grid.together ? 1 : grid.needles.size()); ++first) {
    std::string name = grid.together ? "all" : grid.needles[first].name;
    int64_t around = overhead(*texts, place(*texts, grid.together, first, 0, 0, 0));
    for (int64_t length : grid.lengths) {
      if (length < around) {
        Case none = too_short_case(
            task, length,
            fmt::format(
                "task {}: {} tokens do not hold the question, needle {} and its answer, which take {}; "
                "ask for longer make.lengths",
                task.name, length, name, around));
        none.id += "/" + name;
        too_short.push_back(std::move(none));
        continue;
      }
      for (double depth : grid.depths) {
        auto placed = place(*texts, grid.together, first, depth, length, around);
        Case one;
        one.id = fmt::format("{}/{}/{}/{}", task.name, length, depth, name);
        one.cell.fields = {
            {"length", length}, {"depth", depth}, {"needle", name}, {"language", grid.language}};
        one.source = source;
        one.length = length;
        one.text = [=] { return fitted_text(*texts, placed, length, around); };
        cells.emplace_back(Order(placed.front().end, first, length), std::move(one));
      }
    }
  }
  std::vector<Case> cases = cases_in_order(std::move(cells), context.limit);
  cases.insert(cases.end(), too_short.begin(), too_short.end());
  return cases;
}

}  // namespace longspan
