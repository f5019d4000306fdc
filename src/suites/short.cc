// Short documents whose tokens are all scored: is a stretched model as good as before within the window that
// it was trained for? Keys of [task.make]: class (names; all), tokens (1024: documents are cut there),
// resource (the documents, one {"id", "class", "text"} a line).
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "suites/cases.h"
#include "suites/records.h"

namespace longspan {

namespace {

CaseText whole_document(const Tokenizer& tokenizer, const std::string& text, int64_t tokens,
                        const std::string& where) {
  CaseText result;
  result.ids = tokenizer.encode(text, {.add_special = true, .parse_special = false});
  if (result.ids.size() < 2) fail("{}: a document of two tokens at least was expected", where);
  result.ids.resize(std::min(result.ids.size(), static_cast<size_t>(tokens)));
  return result;
}

}  // namespace

std::vector<Case> make_short_loss_cases(const Task& task, const MakeContext& context) {
  std::vector<std::string> classes;
  std::string source = "short/documents.jsonl.zst";
  int64_t tokens = 1024;
  Settings row = make_settings(task);
  row.read("class", classes);
  row.read("resource", source);
  row.read("tokens", tokens, 2);
  row.done();

  std::vector<Case> cases;
  read_resource_records(source, [&](Json&& record, const std::string& where) {
    std::string category = text_field(record, "class", where);
    if (!classes.empty() && std::find(classes.begin(), classes.end(), category) == classes.end()) return true;
    auto text = std::make_shared<const std::string>(text_field(record, "text", where));
    cases.push_back({.id = task.name + "/" + text_field(record, "id", where),
                     .kind = CaseKind::Loss,
                     .cell = {{{"class", category}}},
                     .source = where,
                     .text = [&tokenizer = context.prompts.tokenizer, text, tokens, where] {
                       return whole_document(tokenizer, *text, tokens, where);
                     }});
    return std::ssize(cases) != context.limit;
  });
  if (cases.empty()) row.refuse("class", fmt::format("{} holds none of these", source));
  return cases;
}

}  // namespace longspan
