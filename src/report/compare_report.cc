// What `compare` found: a table for a terminal, a page with pictures.
#include "report/compare_report.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "eval/statistics.h"
#include "report/heat_map.h"
#include "report/page_parts.h"
#include "report/style.h"

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

/// "3 of 4 (30 to 95 %)": with Wilson's interval, which is wide where keys are few.
std::string pass_keys(const ComparedRow& row) {
  if (row.passkeys.empty()) return "-";
  auto n = static_cast<double>(row.passkeys.size());
  Interval range = wilson(static_cast<double>(row.found()) / n, n);
  return fmt::format("{} of {} ({:.0f} to {:.0f} %)", row.found(), row.passkeys.size(), 100 * range.low,
                     100 * range.high);
}

/// The cells of a row, as kColumns.
std::vector<std::string> cells(const ComparedRow& row) {
  return {row.spec,
          number(row.nll, 4),
          number(row.nll_error, 4),
          pass_keys(row),
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

struct Curve {
  std::string title;
  std::string points;  // "x y\n"
};

std::string curves(const std::string& axes, const std::vector<Curve>& all) {
  std::string commands = axes, plot;
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].points.empty()) continue;
    commands += fmt::format("$d{} << EOD\n{}EOD\n", i, all[i].points);
    plot += fmt::format("{} $d{} with linespoints lc rgb '{}' {} ps 0.7 lw 2 title {}",
                        plot.empty() ? "plot" : ",", i, series_ink(i), series_marks(i),
                        gnuplot_string(all[i].title));
  }
  return plot.empty() ? "" : commands + plot;
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

/// Methods down, the depths of the pass keys across, one group of columns for each length.
HeatMap passkey_map(const Comparison& comparison) {
  HeatMap map{.title = "Pass keys that were found",
              .across = "tokens; below, the depth of the key in per cent",
              .down = "method",
              .columns = {},
              .rows = methods_of(comparison)};
  map.cells.resize(map.rows.size());
  for (int64_t length : lengths_of(comparison)) {
    std::vector<const ComparedRow*> rows = rows_at(comparison, length);
    size_t keys = 0, first = map.columns.size();
    for (const ComparedRow* row : rows)
      if (row->passkeys.size() > keys) {
        keys = row->passkeys.size();
        map.columns.resize(first);
        for (const PasskeyFound& key : row->passkeys)
          map.columns.push_back(fmt::format("{:.0f}", 100 * key.depth));
      }
    if (keys == 0) continue;
    map.groups.emplace_back(grouped(length), keys);
    for (size_t m = 0; m < map.rows.size(); ++m) {
      map.cells[m].resize(first + keys);
      for (const ComparedRow* row : rows)
        for (size_t k = 0; row->method == map.rows[m] && k < row->passkeys.size(); ++k) {
          const PasskeyFound& key = row->passkeys[k];
          map.cells[m][first + k] =
              HeatCell{key.found ? 100.0 : 0.0, key.found ? "yes" : "no",
                       fmt::format("{} at {} tokens, depth {:.0f} %: {}", row->method, grouped(length),
                                   100 * key.depth, key.found ? "found" : "not found")};
        }
    }
  }
  return map;
}

std::string html_tables(const Comparison& comparison) {
  std::string out;
  for (int64_t length : lengths_of(comparison)) {
    std::vector<const ComparedRow*> rows = rows_at(comparison, length);
    double best = best_nll(rows);
    std::vector<std::vector<std::string>> table = {kColumns};
    for (const ComparedRow* row : rows) {
      table.push_back(cells(*row));
      if (row->nll == best) table.back()[1] += " (least)";
    }
    out += html_table(grouped(length) + " tokens", table);
  }
  return out;
}

std::string html_settings(const Comparison& comparison) {
  std::vector<std::vector<std::string>> table = {{"setting", "value"}};
  const Json settings = settings_json(comparison);
  for (const auto& [key, value] : settings.items())
    table.push_back({key, value.is_string() ? value.get<std::string>() : dump_json(value)});
  return html_table("Settings of the comparison", table, Cells::Sentences) + html_pre(comparison.command);
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
  std::filesystem::create_directories(folder);
  // Below the curves, the key has about three names a line.
  int height = 390 + 20 * ((static_cast<int>(methods_of(comparison).size()) + 2) / 3);
  std::string body =
      fmt::format("<p>{}; seconds: reading the window.</p>\n", escape_html(what_is_measured(comparison)));
  auto picture = [&](const char* stem, const std::string& title, const std::string& commands) {
    body += html_picture(folder, stem, {commands, title, 720, height}, title);
  };
  std::string axis = length_axis(comparison);
  picture("loss", "Loss as the context grows",
          curves(axis + "set ylabel 'nats a token'\n", over_length(comparison, &ComparedRow::nll)));
  picture("position",
          fmt::format("Loss by position, windows of {} tokens", grouped(lengths_of(comparison).back())),
          curves("set logscale x 2\nset format x '%.0f'\nset xlabel 'position'\nset ylabel 'nats a token'\n",
                 over_position(comparison)));
  if (HeatMap map = passkey_map(comparison); !map.columns.empty()) {
    write_file_atomic(folder / "passkeys.svg", heat_map_svg(map));
    body += html_heading("Pass keys") + heat_map_table(map) +
            "<p>In the tables below, each share has Wilson's 95 % interval.</p>\n";
  }
  picture("seconds", "Seconds to read the window",
          curves(axis + "set logscale y\nset ylabel 'seconds'\n",
                 over_length(comparison, &ComparedRow::seconds)));
  body += html_heading("Figures") + html_tables(comparison) + html_heading("Settings") +
          html_settings(comparison);
  write_file_atomic(folder / "compare.html", html_page("Ways to stretch the window, compared", body));
}

}  // namespace longspan
