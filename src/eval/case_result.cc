#include "eval/case_result.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "eval/fields.h"

namespace longspan {

namespace {

const char* name_of(CaseKind kind) {
  return kind == CaseKind::Answer ? "answer" : kind == CaseKind::Choice ? "choice" : "loss";
}

Json to_json(const std::vector<MetricScore>& scores) {
  Json object = Json::object();
  for (const MetricScore& s : scores) object[s.metric] = {{"compat", s.compat}, {"clean", s.clean}};
  return object;
}

Json to_json(const ShownPrompt& prompt) {
  return prompt.tail ? Json{{"head", prompt.text}, {"tail", *prompt.tail}} : Json(prompt.text);
}

Json answer_fields(const CaseResult& r) {
  Json fields = {{"prompt_tokens", r.prompt_tokens}, {"read_tokens", r.read_tokens},
                 {"cut_tokens", r.cut_tokens},       {"seconds", r.seconds},
                 {"new_tokens", r.new_tokens},       {"stop", r.stop},
                 {"prediction", r.prediction}};
  if (r.answer) fields["answer"] = *r.answer;
  fields["references"] = r.references;
  fields["scores"] = to_json(r.scores);
  fields["prompt"] = to_json(r.prompt);
  return fields;
}

Json choice_fields(const CaseResult& r) {
  Json fields = {
      {"cut_tokens", r.cut_tokens},       {"references", r.references},   {"prompt", to_json(r.prompt)},
      {"prompt_tokens", r.prompt_tokens}, {"read_tokens", r.read_tokens}, {"logprobs", r.logprobs},
      {"bytes", r.choice_bytes},          {"correct", r.correct},         {"scores", to_json(r.scores)}};
  if (!r.neutral_logprobs.empty()) fields["neutral_logprobs"] = r.neutral_logprobs;
  fields["seconds"] = r.seconds;
  return fields;
}

Json loss_fields(const CaseResult& r) {
  Json buckets = Json::array();
  for (const PositionBucket& b : r.buckets) buckets.push_back({b.first, b.last, b.sum, b.count});
  return {{"cut_tokens", r.cut_tokens},   {"prompt_tokens", r.prompt_tokens},
          {"read_tokens", r.read_tokens}, {"nll", r.nll},
          {"tokens", r.tokens},           {"bytes", r.bytes},
          {"buckets", buckets},           {"scores", to_json(r.scores)},
          {"seconds", r.seconds}};
}

CaseKind read_kind(const Fields& f) {
  std::string kind = f.text("kind");
  for (CaseKind known : {CaseKind::Answer, CaseKind::Choice, CaseKind::Loss})
    if (kind == name_of(known)) return known;
  f.refuse("\"kind\" should be answer, choice or loss");
}

Cell read_cell(const Fields& f) {
  Cell cell;
  if (!f.has("cell")) return cell;
  for (const auto& [key, value] : f.object("cell").items()) {
    if (!value.is_number() && !value.is_string())
      f.refuse(fmt::format("\"cell\" holds {}, which is neither number nor text", in_quotes(key)));
    cell.add(key, cell_value(value));
  }
  return cell;
}

std::vector<MetricScore> read_scores(const Fields& f) {
  std::vector<MetricScore> scores;
  for (const auto& [metric, score] : f.object("scores").items()) {
    for (const char* scoring : {"compat", "clean"})
      if (!score.is_object() || !score.contains(scoring) || !score.at(scoring).is_number())
        f.refuse(fmt::format("the score {} should hold the number \"{}\"", in_quotes(metric), scoring));
    scores.push_back({metric, score.at("compat"), score.at("clean")});
  }
  return scores;
}

ShownPrompt read_prompt(const Fields& f, const Json& json) {
  auto prompt = json.find("prompt");
  if (prompt == json.end()) return {};
  if (prompt->is_string()) return {*prompt, {}};
  Fields ends(*prompt, f.where() + ": prompt");
  return {ends.text("head"), ends.text("tail")};
}

std::vector<PositionBucket> read_buckets(const Fields& f) {
  std::vector<PositionBucket> buckets;
  if (!f.has("buckets")) return buckets;
  constexpr double kMost = 9e15;  // whole numbers beyond are not exact in JSON
  for (const Json& b : f.list("buckets")) {
    bool numbers = b.is_array() && b.size() == 4 &&
                   std::all_of(b.begin(), b.end(), [](const Json& x) { return x.is_number(); });
    for (size_t i : {0, 1, 3}) numbers = numbers && std::abs(b[i].get<double>()) < kMost;
    if (!numbers) f.refuse("\"buckets\" should hold lists of four numbers");
    buckets.push_back({b[0], b[1], b[2], b[3]});
  }
  return buckets;
}

}  // namespace

const MetricScore* CaseResult::score(const std::string& metric) const {
  auto at = std::find_if(scores.begin(), scores.end(), [&](const auto& s) { return s.metric == metric; });
  return at == scores.end() ? nullptr : &*at;
}

Json to_json(const CaseResult& r) {
  Json json = {{"task", r.task}, {"kind", name_of(r.kind)}, {"cell", to_json(r.cell)}, {"source", r.source}};
  json.update(r.kind == CaseKind::Answer   ? answer_fields(r)
              : r.kind == CaseKind::Choice ? choice_fields(r)
                                           : loss_fields(r));
  return json;
}

std::string result_line(const CaseResult& result) {
  return dump_json({{"case", result.id}, {"result", to_json(result)}}) + "\n";
}

CaseResult read_result_line(std::string_view text, const std::string& where) {
  Json line;
  try {
    line = parse_json(text, where);
  } catch (const Error& error) {
    fail("{}; remove the line and run the same command again", error.what());
  }
  Fields outer(line, where);
  const std::string id = outer.text("case");
  const Json& json = outer.object("result");
  Fields f(json, where);
  CaseResult r;
  r.id = id;
  r.task = f.text("task");
  r.kind = read_kind(f);
  r.cell = read_cell(f);
  r.source = f.text("source", "");
  r.prompt_tokens = f.whole("prompt_tokens", 0);
  r.read_tokens = f.whole("read_tokens", 0);
  r.cut_tokens = f.whole("cut_tokens", 0);
  r.seconds = f.number("seconds", 0);
  if (r.kind == CaseKind::Loss) {
    r.nll = f.number("nll");
    r.tokens = f.whole("tokens");
    if (r.tokens <= 0) f.refuse("\"tokens\" should be positive");
    r.bytes = f.whole("bytes", 0);
    r.buckets = read_buckets(f);
    return r;
  }
  r.scores = read_scores(f);
  r.references = f.texts("references");
  r.prompt = read_prompt(f, json);
  if (r.kind == CaseKind::Answer) {
    r.new_tokens = f.whole("new_tokens", 0);
    r.stop = f.text("stop", "");
    r.prediction = f.text("prediction");
    if (f.has("answer")) r.answer = f.text("answer");
    return r;
  }
  r.logprobs = f.numbers("logprobs");
  r.neutral_logprobs = f.numbers("neutral_logprobs");
  for (double bytes : f.numbers("bytes")) r.choice_bytes.push_back(std::llround(bytes));
  r.correct = f.whole("correct", 0);
  return r;
}

}  // namespace longspan
