// What `compare` is going to do, checked before anything is computed.
#include <xxhash.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "base/text.h"
#include "base/threads.h"
#include "eval/compare.h"

namespace longspan {

namespace {

namespace fs = std::filesystem;

constexpr int kResultFormat = 2;  // to be raised when the same settings would give other results

std::string digest(std::string_view bytes) {
  return fmt::format("{:016x}", XXH64(bytes.data(), bytes.size(), 0));
}

/// Sizes and times of a model's files: weights of gigabytes are not read twice to recognise them.
std::string model_stamp(const fs::path& model) {
  if (!fs::is_directory(model)) return file_stamp(model);
  std::vector<std::string> stamps;
  for (const auto& entry : fs::directory_iterator(model))
    if (entry.is_regular_file())
      stamps.push_back(entry.path().filename().string() + " " + file_stamp(entry.path()));
  std::sort(stamps.begin(), stamps.end());
  std::string all;
  for (const std::string& stamp : stamps) all += stamp + "\n";
  return all;
}

/// Tokens that the tokenizer puts before a text: BOS or nothing.
int64_t opening_tokens(const Tokenizer& tokenizer) {
  std::vector<int32_t> with = tokenizer.encode("a");
  return tokenizer.bos_id() >= 0 && !with.empty() && with.front() == tokenizer.bos_id() ? 1 : 0;
}

void check_lengths(const CompareSettings& s, int64_t text_tokens, int64_t opening) {
  if (s.lengths.front() <= s.tail)
    fail(
        "a length of {} tokens leaves nothing before the last {} that are scored; ask for longer ones, or "
        "for a shorter --tail",
        grouped(s.lengths.front()), grouped(s.tail));
  int64_t longest = s.lengths.back() - opening, needed = longest + (s.windows - 1) * s.tail;
  if (needed <= text_tokens) return;
  if (s.windows == 1)
    fail("the text has {} tokens, but a length of {} was asked for; give a longer text or shorter --lengths",
         grouped(text_tokens), grouped(s.lengths.back()));
  fail(
      "the text has {} tokens, but {} windows of {} whose last {} do not overlap need {}; give a longer "
      "text, shorter --lengths or fewer --windows",
      grouped(text_tokens), s.windows, grouped(s.lengths.back()), grouped(s.tail), grouped(needed));
}

/// Five digits that stand nowhere in the text.
std::string draw_number(uint64_t seed, std::string_view text) {
  constexpr int kDraws = 1000;  // a text that holds nearly every number is no text
  Random random(seed);
  for (int draw = 0; draw < kDraws; ++draw) {
    std::string number = std::to_string(10000 + random.below(90000));
    if (text.find(number) == text.npos) return number;
  }
  fail("no five-digit pass key was found that the text does not hold already; give --passkeys 0");
}

/// The suite at one length, as `eval compare --set ...` would ask it.
std::vector<std::string> overrides_at(const CompareSettings& s, int64_t length, const std::string& number) {
  std::vector<std::string> all = {fmt::format("make.lengths=[{}]", length),
                                  fmt::format("window.make.tail={}", s.tail)};
  if (length == s.lengths.back()) all.push_back("window.make.whole=true");
  if (s.windows > 1) {
    all.push_back(fmt::format("window.make.windows={}", s.windows));
    all.push_back(fmt::format("window.make.longest={}", s.lengths.back()));
  }
  if (s.passkeys == 0) return all;
  std::string depths;
  for (int64_t k = 0; k < s.passkeys; ++k)
    depths += fmt::format("{}{}", k ? "," : "",
                          100 * (static_cast<double>(k) + 0.5) / static_cast<double>(s.passkeys));
  all.push_back("passkey.make.depths=[" + depths + "]");
  all.push_back(fmt::format("passkey.make.needle=\"The pass key is {}. Remember it.\"", number));
  all.push_back("passkey.make.question=\"What is the pass key?\"");
  all.push_back(fmt::format("passkey.make.answer=\"{}\"", number));
  return all;
}

RunPlan plan_length(const Engine& engine, const std::string& text, const CompareSettings& s, int64_t length,
                    const std::string& number, RunSettings known) {
  known.overrides = overrides_at(s, length, number);
  Suite suite = read_suite("compare", engine.prompts().chat.chat_template ? "chat" : "base",
                           s.passkeys > 0 ? std::vector<std::string>{} : std::vector<std::string>{"window"},
                           known.overrides);
  MakeContext context{.prompts = engine.prompts()};
  context.text = &text;
  context.seed = s.passkeys > 0 ? s.seed : 0;
  try {
    RunPlan plan = plan_run(engine.config(), std::move(suite), context, std::move(known));
    if (!plan.missing.empty()) fail("{}", plan.missing[0]);  // a row of the table has all or nothing
    return plan;
  } catch (const Error& e) {
    fail("{} tokens: {}; ask for other --lengths, or for no pass keys with --passkeys 0", grouped(length),
         e.what());
  }
}

CompareRow plan_row(const Engine& engine, const std::string& method, int64_t length) {
  CompareRow row{method, compared_method(method, engine.config().position, length), length};
  MemoryFit fit = engine.memory_for({.tokens = length, .scored = true}, row.stretched.position);
  row.kv_bytes = fit.kv_cache;
  row.memory_bytes = fit.needed;
  if (!fit.fits())
    fail("{}: {}; ask for shorter --lengths or a smaller --cache-type", row.stretched.spec, describe(fit));
  return row;
}

/// METHOD-LENGTH-DIGEST, the digest of everything that decides the results.
std::string folder_name(const CompareRow& row, const std::string& inputs) {
  Json settings = to_json(row.settings);
  settings.erase("command");
  const PositionConfig& position = row.stretched.position;
  settings["lists"] = position.lists;  // what the canonical spec does not spell out
  settings["declared_context"] = position.lists.empty() ? 0 : position.declared_context;
  std::string method = row.settings.position.substr(0, row.settings.position.find(':'));
  return fmt::format("{}-{}-{}", method, row.length, digest(dump_json(settings) + inputs));
}

}  // namespace

ComparePlan plan_compare(const Engine& engine, const fs::path& model, const std::string& text,
                         const CompareSettings& settings, const RunSettings& known) {
  ComparePlan plan{settings, 0, fs::canonical(model).string(), {}, {}};
  const CompareSettings& s = plan.settings;
  if (s.methods.empty() || s.lengths.empty()) fail("compare needs at least one method and one length");
  plan.text_tokens =
      std::ssize(engine.tokenizer().encode(text, {.add_special = false, .parse_special = false}));
  check_lengths(s, plan.text_tokens, opening_tokens(engine.tokenizer()));
  for (const std::string& method : s.methods)
    for (int64_t length : s.lengths) plan.rows.push_back(plan_row(engine, method, length));

  const std::string number = s.passkeys > 0 ? draw_number(s.seed, text) : "";
  for (int64_t length : s.lengths)
    plan.cases.emplace(length, plan_length(engine, text, s, length, number, known));
  // Seconds depend on the threads.
  const std::string inputs = fmt::format("{}\n{}\n{}\n{}\n{}", kResultFormat, plan.model, model_stamp(model),
                                         digest(text), threads());
  for (CompareRow& row : plan.rows) {
    row.settings = plan.cases_of(row).settings;
    row.settings.position = describe(row.stretched.position);
    row.folder = folder_name(row, inputs);
  }
  return plan;
}

}  // namespace longspan
