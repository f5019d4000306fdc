#include "report/pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/plural.h"
#include "base/text.h"
#include "eval/statistics.h"
#include "eval/wording.h"
#include "report/style.h"

namespace longspan {

namespace {

/// Foreign text on one line, quoted. Backquotes, which run commands in some contexts, become primes.
std::string label(const std::string& text) {
  std::string plain;
  for (char c : one_line(text)) plain += c == '`' ? "\u2035" : std::string(1, c);
  return gnuplot_string(plain);
}

std::string axis_text(const std::string& key) {
  return key == "length" ? "length in tokens" : key == "depth" ? "depth in per cent" : key;
}

/// Values of a numeric field as the x axis. Lengths have ticks at their own places, as far as the labels have
/// room, and a logarithmic axis when they grow geometrically.
std::string value_axis(const std::vector<ScoreBy>& scores, const std::string& key) {
  if (key != "length")
    return fmt::format("set xlabel {}\n{}", label(axis_text(key)),
                       key == "depth" ? "set xrange [-2:102]\n" : "");
  double first = scores.front().value.number(), last = scores.back().value.number();
  bool factor = last / first > std::pow(1.4, static_cast<double>(scores.size() - 1));
  auto at = [&](double length) {
    return factor ? std::log(length / first) / std::log(last / first) : (length - first) / (last - first);
  };
  std::string out;
  double previous = -1;
  for (const ScoreBy& by : scores) {
    double length = by.value.number();
    if (at(length) - previous < 0.06) continue;
    out += fmt::format("{}'{}' {}", out.empty() ? "" : ", ", length_text(by.value), length);
    previous = at(length);
  }
  std::string range =
      factor
          ? fmt::format("set logscale x 2\nset xrange [{}:{}]\n", first / 1.06, last * 1.06)
          : fmt::format("set xrange [{}:{}]\n", first - (last - first) * 0.02, last + (last - first) * 0.02);
  return range + "set xtics (" + out + ")\nset xlabel 'length in tokens'\n";
}

bool drawable(const std::vector<ScoreBy>& scores) {
  return scores.size() > 1 && std::all_of(scores.begin(), scores.end(), [](const ScoreBy& by) {
           return by.value.is_number() && by.value.number() >= 0;
         });
}

std::string points(const std::vector<ScoreBy>& scores) {
  std::string out;
  for (const ScoreBy& by : scores) {
    const Estimate& e = by.score.value;
    out += fmt::format("{} {} {} {}\n", by.value.number(), e.mean, e.low, e.high);
  }
  return out;
}

/// A row with a value and its interval.
struct Bar {
  std::string name, text;
  double value, low, high;
  std::string ink;
};

/// Rows from top to bottom: their names, and the data "value row low high colour".
std::string bar_data(const std::vector<Bar>& bars) {
  std::string data, names;
  for (size_t i = 0; i < bars.size(); ++i) {
    const Bar& b = bars[i];
    data += fmt::format("{} {} {} {} 0x{} {}\n", b.value, i, b.low, b.high, b.ink.substr(1), b.text);
    names += fmt::format("{}{} {}", i ? ", " : "", label(b.name), i);
  }
  return fmt::format(
      "$d << EOD\n{}EOD\nunset key\nset ytics ({}) noenhanced scale 0\nset yrange [{}:-0.6]\n"
      "set grid noytics\nset border 1\n",
      data, names, static_cast<double>(bars.size()) - 0.4);
}

int bars_height(size_t bars) { return 110 + 26 * static_cast<int>(bars); }

}  // namespace

std::string grid_part(const Grid& grid) {
  std::string out;
  for (const auto& [key, value] : grid.of.fields)
    out += (out.empty() ? "" : ", ") + key + " " + value_text(value);
  return out;
}

HeatMap heat_map(const Grid& grid, const std::string& title) {
  HeatMap map{.title = title,
              .across = axis_text(grid.across),
              .down = axis_text("depth"),
              .columns = {},
              .rows = {},
              .scale = "score in per cent"};
  for (const CellValue& length : grid.lengths) map.columns.push_back(length_text(length));
  for (const CellValue& depth : grid.depths) map.rows.push_back(fmt::format("{:.4g} %", depth.number()));
  for (size_t d = 0; d < grid.depths.size(); ++d) {
    map.cells.emplace_back(grid.lengths.size());
    for (size_t l = 0; l < grid.lengths.size(); ++l)
      if (const auto& cell = grid.cells[d][l]) {
        Interval range = wilson(cell->score / 100, static_cast<double>(cell->n));
        map.cells[d][l] =
            HeatCell{cell->score, fmt::format("{:.0f}", cell->score),
                     fmt::format("{} {}, depth {}: {:.1f} % of {}, 95 %: {:.1f} to {:.1f}", grid.across,
                                 value_text(grid.lengths[l]), map.rows[d], cell->score,
                                 counted(cell->n, "case"), 100 * range.low, 100 * range.high)};
      }
  }
  return map;
}

Picture score_by(const Summary& summary, const std::string& key) {
  const std::vector<ScoreBy>& scores = by_field(summary, key);
  if (!drawable(scores)) return {};
  bool per_cent = summary.unit == Unit::Percent;
  std::string data = fmt::format("$all << EOD\n{}EOD\n", points(scores)), lines;
  size_t drawn = 0;
  if (key == "length" && summary.tasks.size() > 1 && summary.tasks.size() <= kSeries)
    for (const TaskSummary& task : summary.tasks) {
      if (task.by_length.empty() || task.score->unit != summary.unit) continue;
      data += fmt::format("$t{} << EOD\n{}EOD\n", drawn, points(task.by_length));
      lines += fmt::format(", $t{} with linespoints lw 1.3 ps 0.5 lc rgb '{}' {} title {}", drawn,
                           series_ink(drawn), series_marks(drawn), label(task.name));
      ++drawn;
    }
  const std::string& colour = drawn > 0 ? ink("text") : series_ink(0);
  Picture picture;
  picture.title = fmt::format("{} by {}", per_cent ? "Score" : "Loss", axis_text(key));
  picture.commands =
      data + value_axis(scores, key) +
      fmt::format("set ylabel '{}'\n{}", per_cent ? "score in per cent" : "nats a token",
                  per_cent ? "set yrange [-2:102]\n" : "") +
      fmt::format(
          "plot $all using 1:3:4 with filledcurves fc rgb '{0}' fs transparent solid 0.15 noborder "
          "title '95 %', $all with linespoints lw 2.5 pt 7 ps 0.7 lc rgb '{0}' title '{1}'{2}",
          colour,
          drawn > 0  ? "all tasks"
          : per_cent ? "score"
                     : "loss",
          lines);
  return picture;
}

Picture score_by_task(const Summary& summary, Unit unit) {
  std::vector<Bar> bars;
  for (const TaskSummary& task : summary.tasks) {
    if (!task.score || task.score->unit != unit) continue;
    const Estimate& e = task.score->value;
    bars.push_back({task.name, figure(e.mean, unit), e.mean, e.low, e.high, series_ink(0)});
  }
  if (bars.empty()) return {};
  bool per_cent = unit == Unit::Percent;
  double most = 95;
  if (!per_cent)
    most = std::max_element(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) {
             return a.high < b.high;
           })->high;
  Picture picture;
  picture.title = per_cent ? "Score by task" : "Loss by task";
  picture.height = bars_height(bars.size());
  picture.commands =
      bar_data(bars) +
      fmt::format(
          "set style fill solid noborder\nset xrange [0:{}]\nset xlabel '{}, and the 95 % interval'\n",
          most * 1.12, per_cent ? "score in per cent" : "nats a token") +
      fmt::format(
          "plot $d using ($1/2):2:($1/2):(0.36):5 with boxxyerror fc rgb variable, $d using 1:2:3:4 "
          "with xerrorbars pt -1 lw 1.5 lc rgb '{}', $d using 4:2:6 with labels noenhanced left offset "
          "0.8,0",
          ink("text"));
  return picture;
}

Picture loss_by_position(const Summary& summary) {
  std::string data, lines;
  double least = 1e300, most = 0;
  size_t i = 0;
  for (const LossCurve& curve : summary.curves) {
    if (i == 3 * kSeries) break;
    data += fmt::format("$c{} << EOD\n", i);
    for (const CurvePoint& point : curve.points) {
      double at = std::sqrt(std::max(1.0, point.first) * std::max(1.0, point.last));
      least = std::min(least, at), most = std::max(most, at);
      data += fmt::format("{} {}\n", at, point.nats);
    }
    data += "EOD\n";
    std::string name = curve.task;
    if (curve.length) name += ", " + length_text(*curve.length);
    lines += fmt::format("{}$c{} with linespoints lw 2 ps 0.5 lc rgb '{}' {} title {}", i ? ", " : "plot ", i,
                         series_ink(i), series_marks(i), label(name));
    ++i;
  }
  if (i == 0) return {};
  Picture picture;
  picture.title = "Loss by position";
  picture.commands = data + "set xlabel 'position in tokens'\nset ylabel 'nats a token'\n" +
                     (most > 8 * least ? "set logscale x 2\nset format x '%.0f'\n" : "") + lines;
  return picture;
}

Picture changes(const RunDifference& diff) {
  std::vector<Bar> bars;
  auto add = [&](const std::string& name, const Change& c) {
    if (c.unit != diff.all.unit) return;
    const Estimate& e = c.change;
    bars.push_back({name, signed_figure(e.mean, c.unit), e.mean, e.low, e.high,
                    ink(c.verdict == Verdict::Better  ? "better"
                        : c.verdict == Verdict::Worse ? "worse"
                                                      : "muted")});
  };
  add("all", diff.all);
  if (diff.tasks.size() > 1)
    for (const TaskChange& task : diff.tasks) add(task.name, task.change);
  for (const auto& [key, of_field] : diff.by)
    if (of_field.size() > 1)
      for (const ChangeBy& by : of_field)
        add(key + " " + (key == "length" ? length_text(by.value) : value_text(by.value)), by.change);
  Picture picture;
  picture.title = "Changes from a to b with their intervals";
  picture.height = bars_height(bars.size());
  picture.commands =
      bar_data(bars) +
      fmt::format("set xlabel 'change from a to b in {}, and its 95 % interval'\n",
                  diff.all.unit == Unit::Percent ? "points of a hundred" : name_of(diff.all.unit)) +
      fmt::format(
          "set arrow from 0, graph 0 to 0, graph 1 nohead lc rgb '{0}' lw 1\nset offsets 0, graph 0.1, 0, 0\n"
          // The last plot draws nothing, but keeps zero inside the picture.
          "plot $d using 1:2:3:4:5 with xerrorbars pt 7 ps 0.9 lw 2 lc rgb variable, $d using 4:2:6 with "
          "labels "
          "noenhanced left offset 0.8,0, $d using (0):2 with dots lc rgb '{0}'",
          ink("line"));
  return picture;
}

}  // namespace longspan
