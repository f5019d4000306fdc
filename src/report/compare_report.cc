// What `compare` found: one JSON object, a table for a terminal, a page with pictures.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "report/compare_report.h"
#include "report/plot.h"

namespace longspan {

namespace {

/// Mean and, of two or more, its standard error.
struct Mean {
  double mean = 0;
  std::optional<double> error;
};
Mean mean_of(const std::vector<double>& x) {
  auto n = static_cast<double>(x.size());
  double sum = 0, squares = 0;
  for (double v : x) sum += v;
  Mean m{sum / n, {}};
  for (double v : x) squares += (v - m.mean) * (v - m.mean);
  if (x.size() > 1) m.error = std::sqrt(squares / (n - 1) / n);
  return m;
}

/// Buckets of several windows, alike but for their losses, as one.
Json mean_by_position(const std::vector<const Json*>& losses) {
  Json mean = losses.front()->at("by_position");
  for (size_t b = 0; b < mean.size(); ++b) {
    double sum = 0;
    for (const Json* loss : losses) sum += loss->at("by_position")[b][2].get<double>();
    mean[b][2] = sum / static_cast<double>(losses.size());
  }
  return mean;
}

/// Null while a window of the row is still to be done.
Json summarise_row(const CompareRow& row, const std::vector<const Json*>& losses, const Json* passkeys) {
  std::vector<double> nll, seconds;
  for (const Json* loss : losses) {
    if (!loss) return nullptr;
    nll.push_back(loss->at("nll"));
    seconds.push_back(loss->at("seconds"));
  }
  Mean m = mean_of(nll);
  Json summary = {{"method", row.method},
                  {"spec", row.stretched.spec},
                  {"position", describe(row.stretched.position)},
                  {"length", row.length},
                  {"nll", m.mean},
                  {"nll_error", m.error ? Json(*m.error) : Json(nullptr)},
                  {"seconds", mean_of(seconds).mean},
                  {"passkey", nullptr},
                  {"kv_bytes", row.kv_bytes},
                  {"memory_bytes", row.memory_bytes}};
  if (passkeys) {
    const Json& keys = passkeys->at("keys");
    auto found =
        std::count_if(keys.begin(), keys.end(), [](const Json& k) { return k.at("found").get<bool>(); });
    summary["passkey"] = static_cast<double>(found) / static_cast<double>(keys.size());
    summary["passkeys"] = keys;
  }
  if (losses.front()->contains("by_position")) summary["by_position"] = mean_by_position(losses);
  return summary;
}

// ---- reading the summary back

std::vector<int64_t> lengths_of(const Json& summary) {
  std::vector<int64_t> lengths;
  for (const Json& row : summary["rows"]) lengths.push_back(row["length"]);
  std::sort(lengths.begin(), lengths.end());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return lengths;
}

std::vector<std::string> methods_of(const Json& summary) {
  std::vector<std::string> methods;
  for (const Json& row : summary["rows"])
    if (std::string method = row["method"]; methods.empty() || methods.back() != method)
      methods.push_back(method);
  return methods;
}

std::vector<const Json*> rows_at(const Json& summary, int64_t length) {
  std::vector<const Json*> rows;
  for (const Json& row : summary["rows"])
    if (row["length"] == length) rows.push_back(&row);
  return rows;
}

double best_nll(const std::vector<const Json*>& rows) {
  double best = std::numeric_limits<double>::infinity();
  for (const Json* row : rows)
    if (const Json& nll = row->at("nll"); nll.is_number()) best = std::min(best, nll.get<double>());
  return best;
}

std::string number(const Json& value, int digits) {
  return value.is_number() ? fmt::format("{:.{}f}", value.get<double>(), digits) : "-";
}

std::string bytes(const Json& value) { return human_bytes(value.get<double>()); }

const std::vector<std::string> kColumns = {"method",  "nll",          "+-",    "pass keys",
                                           "seconds", "keys, values", "memory"};

/// What a row says under kColumns.
std::vector<std::string> cells(const Json& row) {
  std::string keys = "-";
  if (row.contains("passkeys")) {
    auto all = static_cast<double>(row["passkeys"].size());
    keys = fmt::format("{:.0f} of {:.0f}", row["passkey"].get<double>() * all, all);
  }
  return {row["spec"],
          number(row["nll"], 4),
          number(row["nll_error"], 4),
          keys,
          number(row["seconds"], 1),
          bytes(row["kv_bytes"]),
          bytes(row["memory_bytes"])};
}

std::string what_is_measured(const Json& summary) {
  const Json& s = summary["settings"];
  int64_t windows = s["windows"];
  return fmt::format("nll: nats a token on the last {} tokens{}", grouped(s["tail"]),
                     windows > 1 ? fmt::format(" of {} windows, +- its standard error", windows) : "");
}

// ---- the page

/// One look for each method: eight colours, then again dashed.
std::string line_look(size_t method) {
  const char* colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                           "#e69f00", "#56b4e9", "#6a3d9a", "#666666"};
  return fmt::format("lc rgb '{}' dt {} pt {} ps 0.7 lw 2", colours[method % 8], method / 8 + 1,
                     method % 13 + 4);
}

struct Curve {
  std::string title;
  std::string points;  // "x y\n"
};

std::string curves(const std::string& axes, const std::vector<Curve>& all) {
  std::string commands =
                  "set key outside right top noenhanced\nset grid xtics ytics lt 1 lc rgb '#cccccc' lw 1\n" +
                  axes,
              plot;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].points.empty()) continue;
    commands += fmt::format("$d{} << EOD\n{}EOD\n", i, all[i].points);
    plot += fmt::format("{} $d{} with linespoints {} title {}", plot.empty() ? "plot" : ",", i, line_look(i),
                        gnuplot_string(all[i].title));
  }
  return commands + plot;
}

std::string length_axis(const Json& summary) {
  std::string tics;
  std::vector<int64_t> lengths = lengths_of(summary);
  for (int64_t length : lengths)
    tics += fmt::format("{}'{}' {}", tics.empty() ? "" : ", ", grouped(length), length);
  return fmt::format("set logscale x 2\nset xrange [{}:{}]\nset xtics ({})\nset xlabel 'tokens'\n",
                     static_cast<double>(lengths.front()) / 1.2, static_cast<double>(lengths.back()) * 1.2,
                     tics);
}

/// A line for each method: `field` over length.
std::vector<Curve> over_length(const Json& summary, const char* field) {
  std::vector<Curve> all;
  for (const std::string& method : methods_of(summary)) {
    Curve curve{method, {}};
    for (const Json& row : summary["rows"])
      if (row["method"] == method && row[field].is_number())
        curve.points += fmt::format("{} {}\n", row["length"].get<int64_t>(), row[field].get<double>());
    all.push_back(curve);
  }
  return all;
}

std::vector<Curve> over_position(const Json& summary) {
  std::vector<Curve> all;
  for (const std::string& method : methods_of(summary)) {
    Curve curve{method, {}};
    for (const Json& row : summary["rows"])
      if (row["method"] == method && row.contains("by_position"))
        for (const Json& bucket : row["by_position"])
          if (bucket[2].is_number())
            curve.points +=
                fmt::format("{} {}\n", std::sqrt(bucket[0].get<double>() * bucket[1].get<double>()),
                            bucket[2].get<double>());
    all.push_back(curve);
  }
  return all;
}

/// A box for each key: methods below each other, depths from left to right within each length.
std::string passkey_grid(const Json& summary) {
  std::vector<std::string> methods = methods_of(summary);
  std::vector<int64_t> lengths = lengths_of(summary);
  size_t keys = summary["settings"]["passkeys"].get<size_t>();
  std::string boxes, xtics, ytics;
  for (size_t l = 0; l < lengths.size(); ++l)
    xtics += fmt::format("{}'{}' {}", l ? ", " : "", grouped(lengths[l]),
                         static_cast<double>(l * (keys + 1)) + static_cast<double>(keys - 1) / 2);
  for (size_t m = 0; m < methods.size(); ++m) {
    ytics += fmt::format("{}{} {}", m ? ", " : "", gnuplot_string(methods[m]), m);
    for (size_t l = 0; l < lengths.size(); ++l)
      for (const Json* row : rows_at(summary, lengths[l]))
        if (row->at("method") == methods[m] && row->contains("passkeys"))
          for (size_t k = 0; k < row->at("passkeys").size(); ++k)
            boxes += fmt::format("{} {} {}\n", l * (keys + 1) + k, m,
                                 row->at("passkeys")[k]["found"].get<bool>() ? 0x2a9d5c : 0xe3b7ae);
  }
  if (boxes.empty()) return "";
  return fmt::format(
      "$d << EOD\n{}EOD\nset yrange [{}:-0.6]\nset xrange [-0.8:{}]\nset ytics ({}) noenhanced scale 0\n"
      "set xtics ({}) scale 0\nset xlabel 'tokens; within each, depth of the key from left to right'\n"
      "set border 0\nunset key\nset style fill solid\n"
      "plot $d using 1:2:(0.44):(0.42):3 with boxxyerror lc rgb variable",
      boxes, static_cast<double>(methods.size()) - 0.4,
      static_cast<double>(lengths.size() * (keys + 1)) - 1.2, ytics, xtics);
}

std::string html_row(const char* tag, const std::vector<std::string>& cells, bool best) {
  std::string out = "<tr>";
  for (size_t i = 0; i < cells.size(); ++i)
    out +=
        fmt::format("<{0}{1}>{2}</{0}>", tag, best && i < 2 ? " class=\"best\"" : "", escape_html(cells[i]));
  return out + "</tr>\n";
}

std::string html_tables(const Json& summary) {
  std::string out;
  for (int64_t length : lengths_of(summary)) {
    std::vector<const Json*> rows = rows_at(summary, length);
    double best = best_nll(rows);
    out += fmt::format("<h3>{} tokens</h3>\n<table>\n{}", grouped(length), html_row("th", kColumns, false));
    for (const Json* row : rows) out += html_row("td", cells(*row), row->at("nll") == best);
    out += "</table>\n";
  }
  return out;
}

std::string html_settings(const Json& summary) {
  std::string out = "<table>\n";
  for (const auto& [key, value] : summary["settings"].items())
    out += html_row("td", {key, value.is_string() ? value.get<std::string>() : dump_json(value)}, false);
  out += "</table>\n";
  if (summary.contains("command"))
    out += fmt::format("<pre>{}</pre>\n", escape_html(summary["command"].get<std::string>()));
  return out;
}

}  // namespace

Json compare_summary(const ComparePlan& plan, const ResultStore& store) {
  Json rows = Json::array();
  bool complete = true;
  for (size_t r = 0; r < plan.rows.size(); ++r) {
    std::vector<const Json*> losses;
    const Json* passkeys = nullptr;
    for (const CompareCase& c : plan.cases) {
      if (c.row != r) continue;
      const Json* result = store.find(c.key);
      complete = complete && result;
      if (c.kind == CompareCase::Loss)
        losses.push_back(result);
      else
        passkeys = result;
    }
    if (Json row = summarise_row(plan.rows[r], losses, passkeys); !row.is_null()) rows.push_back(row);
  }
  const CompareSettings& s = plan.settings;
  Json settings = {{"text_tokens", plan.text_tokens},
                   {"tail", s.tail},
                   {"windows", s.windows},
                   {"passkeys", s.passkeys},
                   {"seed", s.seed}};
  for (const char* field : {"model", "kernels", "compute", "cache", "chunk", "threads"})
    settings[field] = plan.cases.front().key[field];
  return {{"settings", settings}, {"complete", complete}, {"rows", rows}};
}

std::string compare_table(const Json& summary) {
  std::string table = what_is_measured(summary) + "\n";
  std::vector<size_t> widths;
  for (const std::string& column : kColumns) widths.push_back(column.size());
  for (const Json& row : summary["rows"]) {
    std::vector<std::string> texts = cells(row);
    for (size_t i = 0; i < texts.size(); ++i) widths[i] = std::max(widths[i], texts[i].size());
  }
  auto line = [&](const std::vector<std::string>& texts, const char* mark) {
    table += fmt::format("{} {:<{}}", mark, texts[0], widths[0]);
    for (size_t i = 1; i < texts.size(); ++i) table += fmt::format("  {:>{}}", texts[i], widths[i]);
    table += "\n";
  };
  for (int64_t length : lengths_of(summary)) {
    std::vector<const Json*> rows = rows_at(summary, length);
    double best = best_nll(rows);
    table += fmt::format("\n{} tokens (* the least loss)\n", grouped(length));
    line(kColumns, " ");
    for (const Json* row : rows) line(cells(*row), row->at("nll") == best ? "*" : " ");
  }
  return table;
}

void write_compare_page(const std::filesystem::path& folder, const Json& summary) {
  auto height = 150 + 26 * static_cast<int>(methods_of(summary).size());
  std::string body =
      fmt::format("<p>{}; seconds: reading the window.</p>\n", escape_html(what_is_measured(summary)));
  auto picture = [&](const char* name, const char* title, const std::string& commands, int pixels) {
    draw(folder / name, commands, 960, pixels);
    body += fmt::format("<h2>{}</h2>\n{}\n", title, inline_svg(folder / (std::string(name) + ".svg")));
  };
  int tall = std::max(420, height);
  std::string axis = length_axis(summary);
  picture("loss", "Loss as the context grows",
          curves(axis + "set ylabel 'nats a token'\n", over_length(summary, "nll")), tall);
  std::vector<Curve> positions = over_position(summary);
  if (std::any_of(positions.begin(), positions.end(), [](const Curve& c) { return !c.points.empty(); }))
    picture(
        "position",
        fmt::format("Loss by position, windows of {} tokens", grouped(lengths_of(summary).back())).c_str(),
        curves("set logscale x 2\nset format x '%.0f'\nset xlabel 'position'\nset ylabel 'nats a token'\n",
               positions),
        tall);
  if (std::string grid = passkey_grid(summary); !grid.empty())
    picture("passkeys", "Pass keys (green: found)", grid, height);
  picture("seconds", "Seconds to read the window",
          curves(axis + "set logscale y\nset ylabel 'seconds'\n", over_length(summary, "seconds")), tall);
  body += "<h2>Figures</h2>\n" + html_tables(summary) + "<h2>Settings</h2>\n" + html_settings(summary);
  write_file_atomic(folder / "compare.html", html_page("Ways to stretch the window, compared", body));
}

}  // namespace longspan
