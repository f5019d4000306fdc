// diff.html: two runs side by side.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/text.h"
#include "eval/wording.h"
#include "report/page_parts.h"
#include "report/plot.h"
#include "report/report.h"

namespace longspan {

namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr size_t kMostChanged = 40;  // cases shown with both answers
constexpr size_t kMostBytes = 1200;  // of an answer there

std::string change_table(const std::string& what, const Json& entries) {
  if (entries.empty()) return "";
  Rows rows = {{what, "pairs", "a", "b", "change", "95 %", "p", "verdict"}};
  for (const Json& e : entries)
    rows.push_back({e.contains("name") ? e["name"].get<std::string>() : value_text(e["value"]),
                    grouped(e["n"]), figure(e, "a"), figure(e, "b"), signed_figure(e, "change"),
                    change_range(e), p_text(e["p"]), e["verdict"]});
  return html_table(rows);
}

std::string settings_table(const Json& changes) {
  Rows rows = {{"setting", "a", "b"}};
  for (const Json& c : changes) rows.push_back({c["key"], value_text(c["a"]), value_text(c["b"])});
  return html_heading("Settings that differ") +
         (changes.empty() ? "<p>none</p>\n" : html_table(rows, Cells::Sentences));
}

/// A case of both runs with its scores.
struct Pair {
  const CaseResult *a, *b;
  double before, after;
  bool loss;
};

/// Pairs whose score changed, the greatest change first, answers before losses.
std::vector<Pair> most_changed(const RunResults& a, const RunResults& b) {
  std::vector<Pair> pairs;
  std::string scoring = a.settings["scoring"];
  for (const CaseResult& first : a.cases) {
    auto second = std::lower_bound(b.cases.begin(), b.cases.end(), first.id,
                                   [](const CaseResult& c, const std::string& id) { return c.id < id; });
    if (second == b.cases.end() || second->id != first.id || second->result["kind"] != first.result["kind"])
      continue;
    for (const Json& task : a.settings["tasks"])
      if (task["name"] == first.result["task"])
        pairs.push_back({&first, &*second, case_score(first, task, scoring),
                         case_score(*second, task, scoring), first.result["kind"] == "loss"});
  }
  std::erase_if(pairs, [](const Pair& p) { return p.before == p.after; });
  std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& x, const Pair& y) {
    if (x.loss != y.loss) return y.loss;
    return std::abs(x.after - x.before) > std::abs(y.after - y.before);
  });
  if (pairs.size() > kMostChanged) pairs.resize(kMostChanged);
  return pairs;
}

std::string shortened(const std::string& text) {
  if (text.size() <= kMostBytes) return text;
  std::string head = text.substr(0, kMostBytes);
  return head.substr(0, complete_utf8_prefix(head)) + " …";
}

std::string case_part(const Pair& pair) {
  auto score = [&](double x) {
    return pair.loss ? fmt::format("{:.4f} nats", x) : fmt::format("{:.1f} %", 100 * x);
  };
  std::string out = fmt::format("<details><summary>{}: {} to {}</summary>\n", escape_html(pair.a->id),
                                score(pair.before), score(pair.after));
  auto block = [&](const char* title, const std::string& text) {
    out += fmt::format("<p>{}</p><pre>{}</pre>\n", title, escape_html(shortened(text)));
  };
  const Json &a = pair.a->result, &b = pair.b->result;
  if (a.contains("references")) {
    std::string references;
    for (const Json& r : a["references"])
      references += (references.empty() ? "" : "\n") + r.get<std::string>();
    block("references", references);
  }
  if (a["kind"] == "answer") {
    block("answer of a", a["prediction"]);
    block("answer of b", b["prediction"]);
  } else if (a["kind"] == "choice") {
    block("log-probabilities in a", dump_json(a.value("logprobs", Json())));
    block("log-probabilities in b", dump_json(b.value("logprobs", Json())));
  }
  return out + "</details>\n";
}

}  // namespace

void write_diff_page(const std::filesystem::path& file, const Json& diff, const RunResults& a,
                     const RunResults& b) {
  std::string body =
      page_style() +
      fmt::format("<p class=\"score\">{}</p>\n<p>a: <code>{}</code><br>b: <code>{}</code></p>\n",
                  escape_html(diff_headline(diff)), escape_html(diff["a"]), escape_html(diff["b"]));
  std::filesystem::path folder = file.parent_path();
  body += html_picture(folder.empty() ? "." : folder, file.stem().string(), changes(diff));
  body += html_heading("Tasks") + change_table("task", diff["tasks"]);
  for (const auto& [key, entries] : diff["by"].items())
    if (entries.size() > 1) body += html_heading("By " + key) + change_table(key, entries);
  body +=
      "<p>95 %: percentile bootstrap of the pairs (2,000 draws). p: share of exchanges of a and b, case by "
      "case, "
      "with a change at least as large. Better or worse: the interval leaves out 0 and p is at most 0.05; of "
      "twenty lines without any difference, one is expected to say so.</p>\n" +
      settings_table(diff["settings"]) + html_heading("Cases that changed most");
  std::vector<Pair> pairs = most_changed(a, b);
  if (pairs.empty()) body += "<p>No score changed.</p>\n";
  for (const Pair& pair : pairs) body += case_part(pair);
  write_file_atomic(file, html_page("Two runs of " + diff["suite"].get<std::string>(), body));
}

}  // namespace longspan
