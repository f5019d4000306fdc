// report.html and summary.json of one run.
#include "report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "base/plural.h"
#include "base/text.h"
#include "eval/scores.h"
#include "eval/wording.h"
#include "report/page_parts.h"
#include "report/pictures.h"
#include "score/metrics.h"

namespace longspan {

namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string optional_figure(std::optional<double> x, int digits) {
  return x ? fmt::format("{:.{}f}", *x, digits) : "";
}

void append(std::vector<std::string>& row, std::vector<std::string> cells) {
  row.insert(row.end(), cells.begin(), cells.end());
}

/// With the columns that at least one task needs.
std::string task_table(const Summary& summary) {
  auto any = [&](auto has) {
    return std::any_of(summary.tasks.begin(), summary.tasks.end(),
                       [&](const TaskSummary& task) { return task.score && has(*task.score); });
  };
  bool answers = any([](const Score&s) { return s.compat.has_value(); }),
       losses = any([](const Score&s) { return s.perplexity.has_value(); });
  Rows rows = {{"task", "category", "cases", "score", "95 %"}};
  if (answers) append(rows[0], {"compat", "clean"});
  if (losses) append(rows[0], {"perplexity", "bits a byte"});
  append(rows[0], {"metric", "cut", "stopped by the limit", "empty"});
  for (const TaskSummary& task : summary.tasks) {
    std::vector<std::string> row = {task.name, task.category, count_of(task)},
                             cells = score_cells(task.score);
    append(row, {cells[0], cells[1]});
    if (answers) append(row, {cells[2], cells[3]});
    const Score score = task.score.value_or(Score());
    if (losses) append(row, {optional_figure(score.perplexity, 3), optional_figure(score.bits_per_byte, 4)});
    row.push_back(metric_text(task));
    for (int64_t n : {task.warnings.cut, task.warnings.stopped_by_length, task.warnings.empty})
      row.push_back(task.score ? grouped(n) : "");
    rows.push_back(std::move(row));
  }
  return html_table("Scores of the tasks", rows);
}

std::string category_table(const Summary& summary) {
  if (summary.categories.size() < 2) return "";
  Rows rows = {{"category", "tasks", "cases", "score", "95 %", "compat", "clean"}};
  for (const CategorySummary& c : summary.categories) {
    rows.push_back({c.name, grouped(c.tasks), grouped(c.score.value.n)});
    append(rows.back(), score_cells(c.score));
  }
  return html_table("Scores of the categories", rows);
}

/// Null when no case has the value.
const Score* score_at(const std::vector<ScoreBy>& scores, const CellValue& value) {
  for (const ScoreBy& by : scores)
    if (by.value == value) return &by.score;
  return nullptr;
}

/// Tasks down, lengths across.
std::string length_table(const Summary& summary) {
  const std::vector<ScoreBy>& lengths = by_field(summary, "length");
  if (lengths.size() < 2) return "";
  const char* what = summary.unit == Unit::Percent ? "score in per cent" : "nats a token";
  Rows rows = {{"task"}};
  for (const ScoreBy& at : lengths) rows[0].push_back(length_text(at.value));
  auto line = [&](const std::string& name, const std::vector<ScoreBy>& scores) {
    rows.push_back({name});
    for (const ScoreBy& at : lengths) {
      const Score* score = score_at(scores, at.value);
      rows.back().push_back(score ? figure(score->value.mean, score->unit) : "");
    }
  };
  for (const TaskSummary& task : summary.tasks)
    if (!task.by_length.empty() && task.score->unit == summary.unit) line(task.name, task.by_length);
  line("all", lengths);
  return html_heading("Tasks and lengths") + html_table(fmt::format("By length, {}", what), rows);
}

/// Scores by every field of the cells (class, language, needle, ...), folded because there may be many.
std::string field_tables(const Summary& summary) {
  std::string out;
  for (const auto& [field, scores] : summary.by) {
    if (scores.size() < 2) continue;
    Rows rows = {{field, "cases", "score", "95 %"}};
    for (const ScoreBy& by : scores)
      rows.push_back({value_text(by.value), grouped(by.score.value.n),
                      figure(by.score.value.mean, by.score.unit), range_of(by.score)});
    out += fmt::format("<details><summary>by {}</summary>{}</details>\n", escape_html(field),
                       html_table("Scores by " + field, rows));
  }
  return out;
}

/// The score of a task (or category, or "" all) at a length (0: any); null when this run has none.
const Score* own_score(const Summary& summary, const std::string& task, int64_t length) {
  auto either = [&](const std::optional<Score>& all, const std::vector<ScoreBy>& by_length) {
    return length != 0 ? score_at(by_length, length) : all ? &*all : nullptr;
  };
  if (task.empty()) return either(summary.score, by_field(summary, "length"));
  for (const TaskSummary& t : summary.tasks)
    if (t.name == task) return either(t.score, t.by_length);
  for (const CategorySummary& c : summary.categories)
    if (c.name == task && length == 0) return &c.score;
  return nullptr;
}

/// The figure of this run that compares with a published score: its compat score, or the perplexity.
std::string own_figure(const Summary& summary, const std::string& task, int64_t length) {
  const Score* score = own_score(summary, task, length);
  if (!score) return "";
  return score->compat ? figure(score->compat, score->unit) : optional_figure(score->perplexity, 3);
}

/// With the digits that were published, at least one.
std::string published_figure(double score) {
  std::string text = fmt::format("{}", score);
  return text.find('.') == text.npos ? text + ".0" : text;
}

std::string known_table(const Summary& summary) {
  std::vector<std::pair<std::string, int64_t>> columns;  // task, length
  std::vector<std::string> own = {"this run (compat)"}, head = {"model"};
  std::vector<std::pair<std::string, std::string>> models;  // model, source
  for (const KnownScore& known : summary.known) {
    std::pair<std::string, int64_t> column = {known.task, known.length};
    std::string figure = own_figure(summary, known.task, known.length);
    if (figure.empty()) continue;
    std::pair<std::string, std::string> model = {known.model, known.source};
    if (std::find(models.begin(), models.end(), model) == models.end()) models.push_back(model);
    if (std::find(columns.begin(), columns.end(), column) != columns.end()) continue;
    columns.push_back(column);
    std::string name = known.task.empty() ? "all" : known.task;
    head.push_back(known.length == 0 ? name : name + " " + length_text(known.length));
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
      for (const KnownScore& k : summary.known)
        if (k.model == model && k.source == source && k.task == task && k.length == length)
          text = published_figure(k.score);
      rows.back().push_back(text);
    }
    rows.back().push_back(source);
  }
  return html_heading("Beside published scores") + html_table("This run and published scores", rows) +
         fmt::format("<p>Published means are of whole suites; this run has {} and {}.</p>\n",
                     counted(std::ssize(summary.tasks), "task"), counted(summary.cases, "case"));
}

/// Name, formula and modes of every metric of the cases.
std::string metric_table(const RunResults& run) {
  std::set<std::string> names;
  bool loss = false;
  for (const CaseResult& c : run.cases) {
    loss = loss || c.kind == CaseKind::Loss;
    for (const MetricScore& score : c.scores) names.insert(score.metric);
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
      fmt::format("<p>The score is that of <b>{}</b> scoring: {}.</p>\n", name_of(run.settings.scoring),
                  run.settings.scoring == Scoring::kClean
                      ? "what the authors of the metrics meant; do not compare it with published ones"
                      : "the suites' own code with its quirks, so that it compares with published ones") +
      html_table("What the metrics measure", rows, Cells::Sentences);
  if (segments)
    out += fmt::format("<p>Chinese is segmented by jieba's dictionary in <code>{}</code>.</p>\n",
                       escape_html(one_line(run.settings.jieba.value_or("-"))));
  return out;
}

std::string settings_part(const RunSettings& settings) {
  std::string out = html_heading("Settings") + html_pre(settings.command);
  Rows rows = {{"setting", "value"}};
  const Json json = to_json(settings);
  for (const auto& [key, value] : json.items())
    if (key != "tasks" && key != "missing" && key != "command") rows.push_back({key, setting_text(value)});
  out += html_table("Settings of the run", rows, Cells::Sentences);
  for (const TaskSettings& task : settings.tasks)
    out += fmt::format("<details><summary>task {}</summary><pre>{}</pre></details>\n", escape_html(task.name),
                       escape_html(to_json(task).dump(2, ' ', false, Json::error_handler_t::replace)));
  return out;
}

/// What the line of each case opens: everything but its cost.
Json case_data(const RunResults& run) {
  Json data = Json::array();
  for (const TaskSettings& task : run.settings.tasks)
    for (const CaseResult& c : run.cases) {
      if (c.task != task.name) continue;
      double score = case_score(c, task, run.settings.scoring);
      Json one = {{"id", c.id}, {"score", c.kind == CaseKind::Loss ? score : 100 * score}};
      one.update(to_json(c));
      for (const char* key : {"seconds", "read_tokens", "buckets"}) one.erase(key);
      data.push_back(std::move(one));
    }
  return data;
}

/// A table for each grid, the parts of a task folded below its whole, and a file for each.
std::string heat_maps(const RunResults& run, const Summary& summary) {
  if (summary.grids.empty()) return "";
  std::string out = html_heading("Depth and length") +
                    "<p>Score in per cent; depth is counted from the beginning of the text. A cell opens its "
                    "cases; with the pointer on it, it tells its interval.</p>\n";
  std::map<std::string, int> stems;  // how often each was used
  for (size_t i = 0; i < summary.grids.size(); ++i) {
    const Grid& grid = summary.grids[i];
    std::string part = grid_part(grid), stem = "needle-" + file_name_of(grid.task);
    if (!part.empty()) stem += "-" + grid.of.fields.front().first;
    if (int used = stems[stem]++; used > 0 || !part.empty()) stem += fmt::format("-{}", used + 1);
    std::string title = grid.task + (part.empty() ? "" : ", " + part);
    std::string table = heat_map_table(heat_map(grid, one_line(title)), i);
    out += part.empty()
               ? table
               : fmt::format("<details><summary>{}</summary>{}</details>\n", escape_html(title), table);
    if (std::string model = model_name(run.settings); !model.empty()) title += ": " + model;
    write_file_atomic(run.folder / (stem + ".svg"), heat_map_svg(heat_map(grid, one_line(title))));
  }
  return out + html_data("grids", to_json(summary.grids));
}

std::string pictures(const RunResults& run, const Summary& summary) {
  std::string out;
  auto picture = [&](const char* title, const char* stem, const Picture& p) {
    out += html_picture(run.folder, stem, p, title);
  };
  picture("By length", "score-by-length", score_by(summary, "length"));
  picture("By depth", "score-by-depth", score_by(summary, "depth"));
  picture("By number of lines", "score-by-lines", score_by(summary, "lines"));
  picture("By number of facts", "score-by-facts", score_by(summary, "facts"));
  picture("By task", "score-by-task", score_by_task(summary, Unit::Percent));
  picture("Loss by task", "loss-by-task", score_by_task(summary, Unit::Nats));
  picture("Loss by position", "loss-by-position", loss_by_position(summary));
  return out;
}

std::string opening(const Summary& summary) {
  std::string out = fmt::format("<p class=\"score\">{}</p>\n", escape_html(headline(summary)));
  for (const std::string& text : {summary.settings.what, summary.settings.paper})
    if (!text.empty()) out += fmt::format("<p>{}</p>\n", escape_html(one_line(text)));
  for (const std::string& remark : remarks(summary))
    out += fmt::format("<p class=\"remark\">{}</p>\n", escape_html(remark));
  return out;
}

}  // namespace

void write_report(const RunResults& run, const Summary& summary) {
  write_file_atomic(run.folder / "summary.json",
                    to_json(summary).dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  std::string body = opening(summary) + heat_maps(run, summary) + pictures(run, summary);
  body +=
      html_heading("Figures") + task_table(summary) + category_table(summary) +
      "<p>95 %: Wilson's interval where every score is 0 or 100 or a task has fewer than 10 cases (losses: "
      "Student's t), else the percentile bootstrap of the cases (2,000 draws, fixed seed). One case right "
      "of one is 20.7 to 100.</p>\n" +
      length_table(summary) + field_tables(summary) + known_table(summary) + metric_table(run);
  body += settings_part(run.settings) + html_heading("Cases") +
          "<p>Long prompts are shortened here; the command above with <code>--show CASE</code> prints one "
          "whole.</p>\n<div id=\"list\"></div>\n" +
          html_data("cases", case_data(run)) + page_script();
  std::string title = run.settings.suite;
  if (std::string model = model_name(run.settings); !model.empty()) title += ": " + model;
  write_file_atomic(run.folder / "report.html", html_page(title, body));
}

}  // namespace longspan
