// report.html and summary.json of one run.
#include "report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "eval/wording.h"
#include "report/page_parts.h"
#include "report/plot.h"
#include "score/metrics.h"

namespace longspan {

namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string optional_figure(const Json& entry, const char* key, int digits) {
  return entry.contains(key) ? fmt::format("{:.{}f}", entry[key].get<double>(), digits) : "";
}

/// Adds the figures for which the run has a task.
std::string task_table(const Json& summary) {
  const Json& tasks = summary["tasks"];
  auto any = [&](const char* key) {
    return std::any_of(tasks.begin(), tasks.end(), [&](const Json& task) { return task.contains(key); });
  };
  bool answers = any("compat"), losses = any("perplexity");
  Rows rows = {{"task", "category", "cases", "score", "95 %"}};
  auto head = [&](std::initializer_list<const char*> names) {
    rows[0].insert(rows[0].end(), names.begin(), names.end());
  };
  if (answers) head({"compat", "clean"});
  if (losses) head({"perplexity", "bits a byte"});
  head({"metric", "cut", "stopped by the limit", "empty"});
  for (const Json& task : tasks) {
    std::vector<std::string> row = {task["name"], task["category"], count_of(task), figure(task, "score"),
                                    range_of(task)};
    if (answers) row.insert(row.end(), {figure(task, "compat"), figure(task, "clean")});
    if (losses)
      row.insert(row.end(),
                 {optional_figure(task, "perplexity", 3), optional_figure(task, "bits_per_byte", 4)});
    row.push_back(metric_text(task));
    for (const char* key : {"cut", "stopped_by_length", "empty"})
      row.push_back(task.contains(key) ? grouped(task[key]) : "");
    rows.push_back(std::move(row));
  }
  return html_table(rows);
}

std::string category_table(const Json& summary) {
  if (summary["categories"].size() < 2) return "";
  Rows rows = {{"category", "tasks", "cases", "score", "95 %", "compat", "clean"}};
  for (const Json& c : summary["categories"])
    rows.push_back({c["name"], grouped(c["tasks"]), grouped(c["n"]), figure(c, "score"), range_of(c),
                    figure(c, "compat"), figure(c, "clean")});
  return html_table(rows);
}

/// The entry of `value` among entries by a field; null when there is none.
const Json* entry_at(const Json& entries, const Json& value) {
  for (const Json& entry : entries)
    if (entry["value"] == value) return &entry;
  return nullptr;
}

/// Tasks down, lengths across.
std::string length_table(const Json& summary) {
  if (!summary["by"].contains("length") || summary["by"]["length"].size() < 2) return "";
  const Json& lengths = summary["by"]["length"];
  Rows rows = {{summary["unit"] == "%" ? "score in per cent" : "nats a token"}};
  for (const Json& entry : lengths) rows[0].push_back(length_text(entry["value"]));
  auto line = [&](const std::string& name, const Json& entries) {
    rows.push_back({name});
    for (const Json& at : lengths) {
      const Json* entry = entry_at(entries, at["value"]);
      rows.back().push_back(entry ? figure(*entry, "score") : "");
    }
  };
  for (const Json& task : summary["tasks"])
    if (task.contains("by") && task["unit"] == summary["unit"]) line(task["name"], task["by"]["length"]);
  line("all", lengths);
  return html_heading("Tasks and lengths") + html_table(rows);
}

/// Scores by the cells' other fields: class, language, needle, ..; folded, as there may be many.
std::string field_tables(const Json& summary) {
  std::string out;
  for (const auto& [key, entries] : summary["by"].items()) {
    if (entries.size() < 2) continue;
    Rows rows = {{key, "cases", "score", "95 %"}};
    for (const Json& e : entries)
      rows.push_back({value_text(e["value"]), grouped(e["n"]), figure(e, "score"), range_of(e)});
    out += fmt::format("<details><summary>by {}</summary>{}</details>\n", escape_html(key), html_table(rows));
  }
  return out;
}

/// What this run has to set beside a published score of a task (or category, or "" all) at a length (0: any).
/// Only compat scores compare; of losses the perplexity.
std::string own_figure(const Json& summary, const std::string& task, const Json& length) {
  const Json* entry = task.empty() ? &summary : nullptr;
  for (const char* list : {"categories", "tasks"})
    for (const Json& e : summary[list])
      if (e["name"] == task) entry = &e;
  if (entry && length != 0)
    entry = entry->contains("by") && entry->at("by").contains("length")
                ? entry_at(entry->at("by")["length"], length)
                : nullptr;
  if (!entry) return "";
  return entry->contains("compat") ? figure(*entry, "compat") : optional_figure(*entry, "perplexity", 3);
}

/// With the digits that were published, one at least.
std::string published_figure(double score) {
  std::string text = fmt::format("{}", score);
  return text.find('.') == text.npos ? text + ".0" : text;
}

std::string known_table(const Json& summary) {
  std::vector<std::pair<std::string, Json>> columns;  // task, length
  std::vector<std::string> own = {"this run (compat)"}, head = {"model"};
  std::vector<std::pair<std::string, std::string>> models;  // model, source
  for (const Json& known : summary["known"]) {
    std::pair<std::string, Json> column = {known["task"], known["length"]};
    std::string figure = own_figure(summary, column.first, column.second);
    if (figure.empty()) continue;
    std::pair<std::string, std::string> model = {known["model"], known["source"]};
    if (std::find(models.begin(), models.end(), model) == models.end()) models.push_back(model);
    if (std::find(columns.begin(), columns.end(), column) != columns.end()) continue;
    columns.push_back(column);
    std::string name = column.first.empty() ? "all" : column.first;
    head.push_back(column.second == 0 ? name : name + " " + length_text(column.second));
    own.push_back(figure);
  }
  if (columns.empty()) return "";
  own.push_back("");
  head.push_back("source");
  Rows rows = {head, own};
  for (const auto& [model, source] : models) {
    rows.push_back({model});
    for (const auto& [task, length] : columns) {
      std::string text;
      for (const Json& k : summary["known"])
        if (k["model"] == model && k["source"] == source && k["task"] == task && k["length"] == length)
          text = published_figure(k["score"]);
      rows.back().push_back(text);
    }
    rows.back().push_back(source);
  }
  return html_heading("Beside published scores") + html_table(rows) +
         fmt::format("<p>Published means are of whole suites; this run has {} tasks and {} cases.</p>\n",
                     summary["tasks"].size(), grouped(summary["cases"]));
}

/// Name, formula and mode of every metric that the cases have.
std::string metric_table(const RunResults& run) {
  std::set<std::string> names;
  bool loss = false;
  for (const CaseResult& c : run.cases) {
    loss = loss || c.result["kind"] == "loss";
    if (c.result.contains("scores"))
      for (const auto& [name, score] : c.result["scores"].items()) names.insert(name);
  }
  Rows rows = {{"metric", "of a case", "clean scoring"}};
  bool segments = false;
  for (const std::string& name : names) {
    std::string what, clean;
    for (const Metric& metric : metrics())
      if (metric.name == name) {
        what = metric.what, clean = *metric.clean ? metric.clean : "the same";
        segments = segments || metric.needs_segmenter;
      }
    if (name == "accuracy")
      what = "1 if the right choice has the greatest log-probability", clean = "the same";
    if (name == "accuracy_per_byte")
      what = "1 if the right choice has the greatest log-probability a byte of UTF-8", clean = "the same";
    rows.push_back({name, what, clean});
  }
  if (loss)
    rows.push_back({"loss",
                    "-ln p summed over counted tokens / their number; perplexity: exp of it; bits a byte: "
                    "the sum / bytes / ln 2",
                    "the same"});
  std::string out =
      html_heading("Metrics") +
      fmt::format("<p>The score is that of <b>{}</b> scoring: {}.</p>\n",
                  run.settings["scoring"].get<std::string>(),
                  run.settings["scoring"] == "clean"
                      ? "what the authors of the metrics meant; it does not stand beside published ones"
                      : "the suites' own code with its quirks, so that it can stand beside published ones") +
      html_table(rows, Cells::Sentences);
  if (segments)
    out +=
        fmt::format("<p>Chinese is segmented by jieba's dictionary in <code>{}</code>.</p>\n",
                    escape_html(value_text(run.settings.contains("jieba") ? run.settings["jieba"] : Json())));
  return out;
}

std::string settings_part(const Json& settings) {
  std::string out = html_heading("Settings");
  if (settings.contains("command"))
    out += fmt::format("<pre>{}</pre>\n",
                       escape_html(settings["command"].is_string() ? settings["command"].get<std::string>()
                                                                   : dump_json(settings["command"])));
  Rows rows = {{"setting", "value"}};
  for (const auto& [key, value] : settings.items())
    if (key != "tasks" && key != "missing" && key != "command") rows.push_back({key, value_text(value)});
  out += html_table(rows, Cells::Sentences);
  for (const Json& task : settings["tasks"])
    out += fmt::format("<details><summary>task {}</summary><pre>{}</pre></details>\n",
                       escape_html(task["name"].get<std::string>()),
                       escape_html(task.dump(2, ' ', false, Json::error_handler_t::replace)));
  return out;
}

/// Of every case what its line opens: all but what it cost.
Json case_data(const RunResults& run) {
  Json data = Json::array();
  for (const Json& task : run.settings["tasks"])
    for (const CaseResult& c : run.cases) {
      if (c.result["task"] != task["name"]) continue;
      double score = case_score(c, task, run.settings["scoring"]);
      Json one = {{"id", c.id}, {"score", c.result["kind"] == "loss" ? score : 100 * score}};
      for (const auto& [key, value] : c.result.items())
        if (key != "seconds" && key != "read_tokens" && key != "buckets") one[key] = value;
      data.push_back(std::move(one));
    }
  return data;
}

/// Draws a heat map for each grid; the page has its own ones that open their cells, and the pictures for
/// readers without scripts.
std::string heat_maps(const RunResults& run, const Json& summary) {
  if (summary["grids"].empty()) return "";
  std::string still;
  std::map<std::string, int> stems;  // how often each was used
  for (const Json& grid : summary["grids"]) {
    std::string part = grid_part(grid), task = grid["task"], stem = "needle-" + file_name_of(task);
    if (!part.empty()) stem += "-" + grid["of"].begin().key();
    if (int used = stems[stem]++; used > 0 || !part.empty()) stem += fmt::format("-{}", used + 1);
    std::string title = task + (part.empty() ? "" : ", " + part);
    if (std::string model = model_name(run.settings); !model.empty()) title += ": " + model;
    std::string svg = html_picture(run.folder, stem, heat_map(grid, title));
    if (part.empty()) still += svg;
  }
  return html_heading("Depth and length") +
         "<p>Score in per cent; depth from the beginning of the text downwards. A cell opens its cases.</p>\n"
         "<div id=\"heat\"></div>\n<noscript>" +
         still + "</noscript>\n" + html_data("grids", summary["grids"]);
}

std::string pictures(const RunResults& run, const Json& summary) {
  std::string out;
  auto picture = [&](const char* title, const char* stem, const Picture& p) {
    std::string svg = html_picture(run.folder, stem, p);
    if (!svg.empty()) out += html_heading(title) + svg;
  };
  picture("By length", "score-by-length", score_by(summary, "length"));
  picture("By depth", "score-by-depth", score_by(summary, "depth"));
  picture("By number of lines", "score-by-lines", score_by(summary, "lines"));
  picture("By number of facts", "score-by-facts", score_by(summary, "facts"));
  picture("By task", "score-by-task", score_by_task(summary, "%"));
  picture("Loss by task", "loss-by-task", score_by_task(summary, "nats"));
  picture("Loss by position", "loss-by-position", loss_by_position(summary));
  return out;
}

std::string opening(const Json& summary) {
  std::string out = fmt::format("<p class=\"score\">{}</p>\n", escape_html(headline(summary)));
  const Json& settings = summary["settings"];
  for (const char* key : {"what", "paper"})
    if (settings.contains(key) && settings[key] != "")
      out += fmt::format("<p>{}</p>\n", escape_html(value_text(settings[key])));
  for (const std::string& remark : remarks(summary))
    out += fmt::format("<p class=\"remark\">{}</p>\n", escape_html(remark));
  return out;
}

}  // namespace

void write_report(const RunResults& run, const Json& summary) {
  write_file_atomic(run.folder / "summary.json",
                    summary.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  std::string body = page_style() + opening(summary) + heat_maps(run, summary) + pictures(run, summary);
  body += html_heading("Figures") + task_table(summary) + category_table(summary) +
          "<p>95 %: Wilson's interval where every score is 0 or 100, else the percentile bootstrap of the "
          "cases (2,000 draws, fixed seed).</p>\n" +
          length_table(summary) + field_tables(summary) + known_table(summary) + metric_table(run);
  body += settings_part(run.settings) + html_heading("Cases") +
          "<p>Long prompts are shortened here; the command above with <code>--show CASE</code> prints one "
          "whole.</p>\n<div id=\"list\"></div>\n" +
          html_data("cases", case_data(run)) + page_script();
  std::string title = run.settings["suite"].get<std::string>();
  if (std::string model = model_name(run.settings); !model.empty()) title += ": " + model;
  write_file_atomic(run.folder / "report.html", html_page(title, body));
}

}  // namespace longspan
