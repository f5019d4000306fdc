#include "eval/wording.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/plural.h"
#include "base/text.h"

namespace longspan {

namespace {

int digits_of(Unit unit) { return unit == Unit::Percent ? 1 : 4; }

/// "-0.0" and "+0.0" would suggest a direction.
std::string without_negative_zero(std::string text) {
  if (text.find_first_of("123456789") == text.npos && !text.empty() && (text[0] == '-' || text[0] == '+'))
    text.erase(0, 1);
  return text;
}

std::string score_text(const Score& score) {
  std::string text = figure(score.value.mean, score.unit) + " " + name_of(score.unit),
              range = range_of(score);
  if (range != "-") text += " (" + range + ")";
  if (score.perplexity) text += fmt::format(", perplexity {:.3f}", *score.perplexity);
  if (score.bits_per_byte) text += fmt::format(", {:.4f} bits a byte", *score.bits_per_byte);
  return text;
}

/// "0.031", "<0.001".
std::string p_text(double p) { return p < 0.001 ? "<0.001" : fmt::format("{:.3f}", p); }

std::string change_text(const Change& c) {
  const char* unit = name_of(c.unit);
  return fmt::format(
      "{} {} to {} {}, change {} ({}), p {}: {}", figure(c.a, c.unit), unit, figure(c.b, c.unit), unit,
      signed_figure(c.change.mean, c.unit), change_range(c), p_text(c.p),
      verdict_text(c) + (c.verdict == Verdict::Noise ? fmt::format(" (n = {})", grouped(c.change.n)) : ""));
}

}  // namespace

std::string verdict_text(const Change& c) {
  return c.verdict == Verdict::Noise ? "not significant" : name_of(c.verdict);
}

std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return text;
}

std::string value_text(const CellValue& value) {
  if (value.whole()) return grouped(*value.whole());
  return value.is_number() ? fmt::format("{:.10g}", value.number()) : one_line(*value.text());
}

std::string setting_text(const Json& value) {
  if (value.is_null()) return "-";
  return value.is_number() || value.is_string() ? value_text(cell_value(value)) : one_line(dump_json(value));
}

std::string length_text(const CellValue& length) {
  if (const int64_t* n = length.whole(); n && *n > 0 && *n % 1024 == 0) return grouped(*n / 1024) + "K";
  return value_text(length);
}

std::string figure(std::optional<double> x, Unit unit) {
  return x ? without_negative_zero(fmt::format("{:.{}f}", *x, digits_of(unit))) : "-";
}

std::string signed_figure(double x, Unit unit) {
  return without_negative_zero(fmt::format("{:+.{}f}", x, digits_of(unit)));
}

std::string range_of(const Score& score) {
  // A bootstrap of a single case has no spread.
  const Estimate& e = score.value;
  return e.low == e.high ? "-" : figure(e.low, score.unit) + " to " + figure(e.high, score.unit);
}

std::string change_range(const Change& c) {
  if (c.change.low == c.change.high) return "-";  // cases that say nothing of how far others would differ
  return signed_figure(c.change.low, c.unit) + " to " + signed_figure(c.change.high, c.unit);
}

std::vector<std::string> score_cells(const std::optional<Score>& score) {
  if (!score) return {"-", "-", "-", "-"};
  return {figure(score->value.mean, score->unit), range_of(*score), figure(score->compat, score->unit),
          figure(score->clean, score->unit)};
}

std::vector<std::string> change_cells(const Change& c) {
  return {grouped(c.change.n), figure(c.a, c.unit), figure(c.b, c.unit), signed_figure(c.change.mean, c.unit),
          change_range(c),     p_text(c.p),         verdict_text(c)};
}

std::string count_of(const TaskSummary& task) {
  int64_t n = task.score ? task.score->value.n : 0;
  return n == task.planned ? grouped(n) : fmt::format("{} of {}", grouped(n), grouped(task.planned));
}

std::string metric_text(const TaskSummary& task) {
  std::string text = one_line(task.metric), means;
  for (const auto& [name, mean] : task.metrics)
    if (task.metric != name)  // otherwise it is the score itself
      means += fmt::format("{}{} {:.1f}", means.empty() ? "" : ", ", one_line(name), mean);
  return means.empty() ? text : fmt::format("{} ({})", text, means);
}

std::string headline(const Summary& s) {
  std::string text = s.suite + (s.dialect.empty() ? "" : " (" + s.dialect + ")");
  if (!s.score) return text + ": no case is done";
  if (s.unit == Unit::Percent) text += fmt::format(", {} scoring", name_of(s.scoring));
  text += ": " + score_text(*s.score);
  if (s.loss) text += "; loss " + score_text(*s.loss);
  return text + "; " + counted(s.cases, "case");
}

std::string diff_headline(const RunDifference& d) {
  std::string text =
      fmt::format("{}: {}; {}", d.suite, counted(static_cast<int64_t>(d.pairs), "pair"), change_text(d.all));
  if (d.loss) text += "; loss " + change_text(*d.loss);
  for (auto [side, only] : {std::pair("a", d.only_a), {"b", d.only_b}})
    if (only > 0) text += fmt::format("; {} only in {}", counted(static_cast<int64_t>(only), "case"), side);
  return text;
}

std::vector<std::string> remarks(const Summary& s) {
  std::vector<std::string> all;
  if (!s.complete())
    all.push_back(fmt::format("incomplete: {} of {} cases", grouped(s.cases), grouped(s.planned)));
  auto warn = [&](int64_t n, const char* what) {
    if (n > 0) all.push_back(fmt::format("{}: {} of {}", what, grouped(n), grouped(s.cases)));
  };
  warn(s.warnings.cut, "prompts that lost tokens to truncation");
  warn(s.warnings.stopped_by_length, "answers that reached the limit of new tokens");
  warn(s.warnings.empty, "empty answers");
  for (const std::string& sentence : s.settings.missing) all.push_back("left out: " + one_line(sentence));
  return all;
}

}  // namespace longspan
