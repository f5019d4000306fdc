// What `compare` found: a table for a terminal, a page with pictures.
#include "report/compare_report.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "report/plot.h"

namespace longspan {

namespace {

std::vector<int64_t> lengths_of(const Comparison& comparison) {
  std::vector<int64_t> lengths;
  for (const ComparedRow& row : comparison.rows) lengths.push_back(row.length);
  std::sort(lengths.begin(), lengths.end());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return lengths;
}

std::vector<std::string> methods_of(const Comparison& comparison) {
  std::vector<std::string> methods;
  for (const ComparedRow& row : comparison.rows)
    if (methods.empty() || methods.back() != row.method) methods.push_back(row.method);
  return methods;
}

std::vector<const ComparedRow*> rows_at(const Comparison& comparison, int64_t length) {
  std::vector<const ComparedRow*> rows;
  for (const ComparedRow& row : comparison.rows)
    if (row.length == length) rows.push_back(&row);
  return rows;
}

double best_nll(const std::vector<const ComparedRow*>& rows) {
  double best = std::numeric_limits<double>::infinity();
  for (const ComparedRow* row : rows)
    if (std::isfinite(row->nll)) best = std::min(best, row->nll);
  return best;
}

std::string number(std::optional<double> x, int digits) {
  return x && std::isfinite(*x) ? fmt::format("{:.{}f}", *x, digits) : "-";
}

std::string bytes(int64_t n) { return human_bytes(static_cast<double>(n)); }

const std::vector<std::string> kColumns = {"method",  "nll",          "+-",    "pass keys",
                                           "seconds", "keys, values", "memory"};

/// The cells of a row, as kColumns.
std::vector<std::string> cells(const ComparedRow& row) {
  std::string keys = row.passkeys.empty() ? "-" : fmt::format("{} of {}", row.found(), row.passkeys.size());
  return {row.spec,
          number(row.nll, 4),
          number(row.nll_error, 4),
          keys,
          number(row.seconds, 1),
          bytes(row.kv_bytes),
          bytes(row.memory_bytes)};
}

std::string what_is_measured(const Comparison& comparison) {
  int64_t windows = comparison.settings.windows;
  return fmt::format("nll: nats a token on the last {} tokens{}", grouped(comparison.settings.tail),
                     windows > 1 ? fmt::format(" of {} windows, +- its standard error", windows) : "");
}

// ---- the page

/// A style for each method: eight colours, then the same dashed.
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

std::string length_axis(const Comparison& comparison) {
  std::string tics;
  std::vector<int64_t> lengths = lengths_of(comparison);
  for (int64_t length : lengths)
    tics += fmt::format("{}'{}' {}", tics.empty() ? "" : ", ", grouped(length), length);
  return fmt::format("set logscale x 2\nset xrange [{}:{}]\nset xtics ({})\nset xlabel 'tokens'\n",
                     static_cast<double>(lengths.front()) / 1.2, static_cast<double>(lengths.back()) * 1.2,
                     tics);
}

/// `field` over length, one curve per method.
std::vector<Curve> over_length(const Comparison& comparison, double ComparedRow::*field) {
  std::vector<Curve> all;
  for (const std::string& method : methods_of(comparison)) {
    Curve curve{method, {}};
    for (const ComparedRow& row : comparison.rows)
      if (row.method == method && std::isfinite(row.*field))
        curve.points += fmt::format("{} {}\n", row.length, row.*field);
    all.push_back(curve);
  }
  return all;
}

std::vector<Curve> over_position(const Comparison& comparison) {
  std::vector<Curve> all;
  for (const std::string& method : methods_of(comparison)) {
    Curve curve{method, {}};
    for (const ComparedRow& row : comparison.rows)
      if (row.method == method)
        for (const PositionLoss& loss : row.by_position)
          if (std::isfinite(loss.nll))
            curve.points += fmt::format(
                "{} {}\n", std::sqrt(static_cast<double>(loss.first) * static_cast<double>(loss.last)),
                loss.nll);
    all.push_back(curve);
  }
  return all;
}

/// One box per key: methods from top to bottom, depths from left to right within each length.
std::string passkey_grid(const Comparison& comparison) {
  std::vector<std::string> methods = methods_of(comparison);
  std::vector<int64_t> lengths = lengths_of(comparison);
  auto keys = static_cast<size_t>(comparison.settings.passkeys);
  std::string boxes, xtics, ytics;
  for (size_t l = 0; l < lengths.size(); ++l)
    xtics += fmt::format("{}'{}' {}", l ? ", " : "", grouped(lengths[l]),
                         static_cast<double>(l * (keys + 1)) + static_cast<double>(keys - 1) / 2);
  for (size_t m = 0; m < methods.size(); ++m) {
    ytics += fmt::format("{}{} {}", m ? ", " : "", gnuplot_string(methods[m]), m);
    for (size_t l = 0; l < lengths.size(); ++l)
      for (const ComparedRow* row : rows_at(comparison, lengths[l]))
        if (row->method == methods[m])
          for (size_t k = 0; k < row->passkeys.size(); ++k)
            boxes += fmt::format("{} {} {}\n", l * (keys + 1) + k, m,
                                 row->passkeys[k].found ? 0x2a9d5c : 0xe3b7ae);
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

std::string html_tables(const Comparison& comparison) {
  std::string out;
  for (int64_t length : lengths_of(comparison)) {
    std::vector<const ComparedRow*> rows = rows_at(comparison, length);
    double best = best_nll(rows);
    out += fmt::format("<h3>{} tokens</h3>\n<table>\n{}", grouped(length), html_row("th", kColumns, false));
    for (const ComparedRow* row : rows) out += html_row("td", cells(*row), row->nll == best);
    out += "</table>\n";
  }
  return out;
}

std::string html_settings(const Comparison& comparison) {
  std::string out = "<table>\n";
  const Json settings = settings_json(comparison);
  for (const auto& [key, value] : settings.items())
    out += html_row("td", {key, value.is_string() ? value.get<std::string>() : dump_json(value)}, false);
  return out + "</table>\n" + fmt::format("<pre>{}</pre>\n", escape_html(comparison.command));
}

}  // namespace

std::string compare_table(const Comparison& comparison) {
  std::string table = what_is_measured(comparison) + "\n";
  std::vector<size_t> widths;
  for (const std::string& column : kColumns) widths.push_back(column.size());
  for (const ComparedRow& row : comparison.rows) {
    std::vector<std::string> texts = cells(row);
    for (size_t i = 0; i < texts.size(); ++i) widths[i] = std::max(widths[i], texts[i].size());
  }
  auto line = [&](const std::vector<std::string>& texts, const char* mark) {
    table += fmt::format("{} {:<{}}", mark, texts[0], widths[0]);
    for (size_t i = 1; i < texts.size(); ++i) table += fmt::format("  {:>{}}", texts[i], widths[i]);
    table += "\n";
  };
  for (int64_t length : lengths_of(comparison)) {
    std::vector<const ComparedRow*> rows = rows_at(comparison, length);
    double best = best_nll(rows);
    table += fmt::format("\n{} tokens (* the least loss)\n", grouped(length));
    line(kColumns, " ");
    for (const ComparedRow* row : rows) line(cells(*row), row->nll == best ? "*" : " ");
  }
  return table;
}

void write_compare_page(const std::filesystem::path& folder, const Comparison& comparison) {
  auto height = 150 + 26 * static_cast<int>(methods_of(comparison).size());
  std::string body =
      fmt::format("<p>{}; seconds: reading the window.</p>\n", escape_html(what_is_measured(comparison)));
  auto picture = [&](const char* name, const char* title, const std::string& commands, int pixels) {
    draw(folder / name, commands, 960, pixels);
    body += fmt::format("<h2>{}</h2>\n{}\n", title, inline_svg(folder / (std::string(name) + ".svg")));
  };
  int tall = std::max(420, height);
  std::string axis = length_axis(comparison);
  picture("loss", "Loss as the context grows",
          curves(axis + "set ylabel 'nats a token'\n", over_length(comparison, &ComparedRow::nll)), tall);
  std::vector<Curve> positions = over_position(comparison);
  if (std::any_of(positions.begin(), positions.end(), [](const Curve& c) { return !c.points.empty(); }))
    picture(
        "position",
        fmt::format("Loss by position, windows of {} tokens", grouped(lengths_of(comparison).back())).c_str(),
        curves("set logscale x 2\nset format x '%.0f'\nset xlabel 'position'\nset ylabel 'nats a token'\n",
               positions),
        tall);
  if (std::string grid = passkey_grid(comparison); !grid.empty())
    picture("passkeys", "Pass keys (green: found)", grid, height);
  picture(
      "seconds", "Seconds to read the window",
      curves(axis + "set logscale y\nset ylabel 'seconds'\n", over_length(comparison, &ComparedRow::seconds)),
      tall);
  body += "<h2>Figures</h2>\n" + html_tables(comparison) + "<h2>Settings</h2>\n" + html_settings(comparison);
  write_file_atomic(folder / "compare.html", html_page("Ways to stretch the window, compared", body));
}

}  // namespace longspan
