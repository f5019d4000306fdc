#include "eval/wording.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/text.h"

namespace longspan {

namespace {

int digits_of(const Json& entry) { return entry.value("unit", "%") == "%" ? 1 : 4; }

/// "-0.0" says a sign where there is none.
std::string without_negative_zero(std::string text) {
  if (text.find_first_of("123456789") == text.npos && !text.empty() && (text[0] == '-' || text[0] == '+'))
    text.erase(0, 1);
  return text;
}

std::string number(const Json& entry, const char* key, bool sign) {
  auto found = entry.find(key);
  if (found == entry.end() || !found->is_number()) return "-";
  auto x = found->get<double>();
  int digits = digits_of(entry);
  return without_negative_zero(sign ? fmt::format("{:+.{}f}", x, digits) : fmt::format("{:.{}f}", x, digits));
}

std::string score_text(const Json& entry) {
  std::string text = figure(entry, "score") + " " + entry["unit"].get<std::string>(), range = range_of(entry);
  if (range != "-") text += " (" + range + ")";
  if (entry.contains("perplexity"))
    text += fmt::format(", perplexity {:.3f}", entry["perplexity"].get<double>());
  if (entry.contains("bits_per_byte"))
    text += fmt::format(", {:.4f} bits a byte", entry["bits_per_byte"].get<double>());
  return text;
}

std::string change_text(const Json& entry) {
  return fmt::format("{} {} to {} {}, change {} ({}), p {}: {}", figure(entry, "a"),
                     entry["unit"].get<std::string>(), figure(entry, "b"), entry["unit"].get<std::string>(),
                     signed_figure(entry, "change"), change_range(entry), p_text(entry["p"]),
                     entry["verdict"].get<std::string>());
}

}  // namespace

std::string value_text(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_number_integer()) return grouped(value.get<int64_t>());
  if (value.is_number()) return fmt::format("{:.10g}", value.get<double>());
  std::string text = value.is_string() ? value.get<std::string>() : dump_json(value);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return text;
}

std::string figure(const Json& entry, const char* key) { return number(entry, key, false); }
std::string signed_figure(const Json& entry, const char* key) { return number(entry, key, true); }

std::string range_of(const Json& entry) {
  // One case has no spread, and then neither has a bootstrap of it.
  if (!entry.contains("low") || entry["low"] == entry["high"]) return "-";
  return figure(entry, "low") + " to " + figure(entry, "high");
}

std::string change_range(const Json& entry) {
  return signed_figure(entry, "low") + " to " + signed_figure(entry, "high");
}

std::string count_of(const Json& entry) {
  int64_t n = entry["n"], planned = entry["planned"];
  return n == planned ? grouped(n) : fmt::format("{} of {}", grouped(n), grouped(planned));
}

std::string metric_text(const Json& task) {
  std::string text = value_text(task["metric"]), means;
  if (task.contains("metrics"))
    for (const auto& [name, mean] : task["metrics"].items())
      if (task["metric"] != name)  // else it is the score
        means += fmt::format("{}{} {:.1f}", means.empty() ? "" : ", ", value_text(name), mean.get<double>());
  return means.empty() ? text : fmt::format("{} ({})", text, means);
}

std::string p_text(double p) { return p < 0.001 ? "<0.001" : fmt::format("{:.3f}", p); }

std::string model_name(const Json& settings) {
  Json model = settings.value("model", Json()), position = settings.value("position", Json());
  if (!model.is_string()) return "";
  std::string name = std::filesystem::path(value_text(model)).filename().string();
  if (!position.is_string() || position.get<std::string>().starts_with("rope")) return name;
  // "yarn:base=100000,factor=2,original=8192": what the model has anyway is left out, but abf is its base.
  std::string text = value_text(position), method = text.substr(0, text.find(':')), base, values;
  for (size_t at = method.size(); at < text.size();) {
    size_t end = std::min(text.find(',', at + 1), text.size());
    std::string value = text.substr(at + 1, end - at - 1);
    at = end;
    if (value.starts_with("base="))
      base = ":" + value;
    else if (!value.starts_with("original="))
      values += (values.empty() ? ":" : ",") + value;
  }
  return name + ", " + method + (values.empty() ? base : values);
}

std::string headline(const Json& summary) {
  std::string dialect = summary["dialect"];
  std::string text = summary["suite"].get<std::string>() + (dialect.empty() ? "" : " (" + dialect + ")");
  if (summary["score"].is_null()) return text + ": no case is done";
  if (summary["unit"] == "%") text += fmt::format(", {} scoring", summary["scoring"].get<std::string>());
  text += ": " + score_text(summary);
  if (summary.contains("loss")) text += "; loss " + score_text(summary["loss"]);
  return text + fmt::format("; {} cases", grouped(summary["cases"]));
}

std::string diff_headline(const Json& diff) {
  std::string text = fmt::format("{}: {} pairs; {}", diff["suite"].get<std::string>(), grouped(diff["pairs"]),
                                 change_text(diff["all"]));
  if (diff.contains("loss")) text += "; loss " + change_text(diff["loss"]);
  for (const char* side : {"a", "b"})
    if (int64_t only = diff[std::string("only_") + side]; only > 0)
      text += fmt::format("; {} cases only in {}", grouped(only), side);
  return text;
}

std::vector<std::string> remarks(const Json& summary) {
  std::vector<std::string> all;
  if (!summary["complete"].get<bool>())
    all.push_back(
        fmt::format("incomplete: {} of {} cases", grouped(summary["cases"]), grouped(summary["planned"])));
  auto warn = [&](const char* key, const char* what) {
    if (int64_t n = summary["warnings"][key]; n > 0)
      all.push_back(fmt::format("{} of {} cases {}", grouped(n), grouped(summary["cases"]), what));
  };
  warn("cut", "lost tokens of their prompt to truncation");
  warn("stopped_by_length", "were stopped by the limit of new tokens");
  warn("empty", "have an empty answer");
  if (summary["settings"].contains("missing"))
    for (const Json& sentence : summary["settings"]["missing"])
      all.push_back("left out: " + value_text(sentence));
  return all;
}

}  // namespace longspan
