#include "report/pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "report/plot.h"
#include "eval/wording.h"

namespace longspan {

namespace {

constexpr const char* kColours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
                                    "#56b4e9", "#6a3d9a", "#8c564b", "#666666", "#b2df8a"};
constexpr size_t kMostLines = std::size(kColours);
constexpr const char* kGrid = "set grid xtics ytics lt 1 lc rgb '#dddddd' lw 1\n";

/// A text from outside on one line, quoted. Backquotes, which elsewhere run commands, become primes.
std::string label(const std::string& text) {
  std::string plain;
  for (char c : value_text(text)) plain += c == '`' ? "\u2035" : std::string(1, c);
  return gnuplot_string(plain);
}

/// "'a' 0, 'b' 1": ticks at whole numbers.
std::string ticks(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) out += fmt::format("{}{} {}", i ? ", " : "", label(names[i]), i);
  return out;
}

std::string axis_text(const std::string& key) {
  return key == "length" ? "length in tokens" : key == "depth" ? "depth in per cent" : key;
}

/// Values of a numeric field as the x axis. Lengths have ticks where they are, as far as their names have
/// room, and a logarithmic axis when they grow by a factor.
std::string value_axis(const Json& entries, const std::string& key) {
  if (key != "length")
    return fmt::format("set xlabel {}\n{}", label(axis_text(key)),
                       key == "depth" ? "set xrange [-2:102]\n" : "");
  double first = entries.front()["value"], last = entries.back()["value"];
  bool factor = last / first > std::pow(1.4, static_cast<double>(entries.size() - 1));
  auto at = [&](double length) {
    return factor ? std::log(length / first) / std::log(last / first) : (length - first) / (last - first);
  };
  std::string out;
  double previous = -1;
  for (const Json& entry : entries) {
    auto length = entry["value"].get<double>();
    if (at(length) - previous < 0.06) continue;
    out += fmt::format("{}'{}' {}", out.empty() ? "" : ", ", length_text(entry["value"]), length);
    previous = at(length);
  }
  std::string range =
      factor
          ? fmt::format("set logscale x 2\nset xrange [{}:{}]\n", first / 1.06, last * 1.06)
          : fmt::format("set xrange [{}:{}]\n", first - (last - first) * 0.02, last + (last - first) * 0.02);
  return range + "set xtics (" + out + ")\nset xlabel 'length in tokens'\n";
}

bool drawable(const Json& entries) {
  return entries.size() > 1 && std::all_of(entries.begin(), entries.end(), [](const Json& entry) {
           return entry["value"].is_number() && entry["value"] >= 0;
         });
}

std::string points(const Json& entries) {
  std::string out;
  for (const Json& e : entries)
    out += fmt::format("{} {} {} {}\n", e["value"].get<double>(), e["score"].get<double>(),
                       e["low"].get<double>(), e["high"].get<double>());
  return out;
}

/// A row with a value and its interval.
struct Bar {
  std::string name, text;
  double value, low, high;
  std::string colour;
};

/// Rows from top to bottom: their names, and the data "value row low high colour".
std::string bar_data(const std::vector<Bar>& bars) {
  std::string data, names;
  for (size_t i = 0; i < bars.size(); ++i) {
    const Bar& b = bars[i];
    data += fmt::format("{} {} {} {} 0x{} {}\n", b.value, i, b.low, b.high, b.colour, b.text);
    names += fmt::format("{}{} {}", i ? ", " : "", label(b.name), i);
  }
  return fmt::format(
      "$d << EOD\n{}EOD\nunset key\nset ytics ({}) noenhanced scale 0\nset yrange [{}:-0.6]\n"
      "set grid xtics lt 1 lc rgb '#dddddd' lw 1\nset border 1\nset xtics nomirror\n",
      data, names, static_cast<double>(bars.size()) - 0.4);
}

int bars_height(size_t bars) { return 110 + 26 * static_cast<int>(bars); }

}  // namespace

std::string length_text(const Json& length) {
  if (length.is_number_integer())
    if (auto n = length.get<int64_t>(); n > 0 && n % 1024 == 0) return grouped(n / 1024) + "K";
  return value_text(length);
}

std::string grid_part(const Json& grid) {
  std::string out;
  for (const auto& [key, value] : grid["of"].items())
    out += (out.empty() ? "" : ", ") + key + " " + value_text(value);
  return out;
}

Picture heat_map(const Json& grid, const std::string& title) {
  const Json &lengths = grid["lengths"], &depths = grid["depths"];
  std::string known, missing;
  for (size_t d = 0; d < depths.size(); ++d)
    for (size_t l = 0; l < lengths.size(); ++l) {
      const Json& cell = grid["cells"][d][l];
      if (cell.is_null())
        missing += fmt::format("{} {}\n", l, d);
      else
        known += fmt::format("{} {} {}\n", l, d, cell["score"].get<double>());
    }
  std::vector<std::string> across, down;
  for (const Json& length : lengths) across.push_back(length_text(length));
  for (const Json& depth : depths) down.push_back(fmt::format("{:.4g}", depth.get<double>()));
  auto columns = static_cast<int>(lengths.size()), rows = static_cast<int>(depths.size());
  int cell = std::clamp(900 / columns, 34, 90);
  Picture picture{"", 190 + cell * columns, 150 + std::clamp(480 / rows, 26, 44) * rows};
  picture.width = std::max(picture.width, 480);
  picture.commands = fmt::format(
      "$known << EOD\n{}EOD\n$missing << EOD\n{}EOD\nunset key\nset title {} noenhanced\n"
      "set xtics ({}) scale 0 nomirror{}\nset ytics ({}) scale 0 nomirror\n"
      "set xlabel {}\nset ylabel 'depth in per cent'\n"
      "set xrange [-0.5:{}]\nset yrange [{}:-0.5]\nset border 0\nset style fill solid noborder\n"
      "set palette defined (0 '#e5484d', 50 '#f4cf4e', 100 '#30a46c')\nset cbrange [0:100]\n"
      "set cblabel 'score in per cent'\nset colorbox noborder\nplot ",
      known, missing, label(title), ticks(across), columns > 14 ? " rotate by 90 right" : "", ticks(down),
      label(axis_text(grid["across"])), columns - 0.5, rows - 0.5);
  if (!missing.empty())
    picture.commands += "$missing using 1:2:(0.48):(0.47) with boxxyerror fc rgb '#c8c8c8'";
  if (!missing.empty() && !known.empty()) picture.commands += ", ";
  if (!known.empty())
    picture.commands +=
        "$known using 1:2:(0.48):(0.47):3 with boxxyerror fc palette, $known using "
        "1:2:(sprintf('%.0f', $3)) with labels font ',10' tc rgb '#202020'";
  return picture;
}

Picture score_by(const Json& summary, const std::string& key) {
  if (!summary["by"].contains(key) || !drawable(summary["by"][key])) return {};
  const Json& entries = summary["by"][key];
  bool per_cent = summary["unit"] == "%";
  std::string data = fmt::format("$all << EOD\n{}EOD\n", points(entries)), lines;
  size_t drawn = 0;
  if (summary["tasks"].size() > 1 && summary["tasks"].size() <= kMostLines)
    for (const Json& task : summary["tasks"]) {
      if (!task.contains("by") || !task["by"].contains(key) || task["unit"] != summary["unit"]) continue;
      data += fmt::format("$t{} << EOD\n{}EOD\n", drawn, points(task["by"][key]));
      lines += fmt::format(", $t{} with linespoints lw 1 pt 7 ps 0.4 lc rgb '{}' title {} noenhanced", drawn,
                           kColours[drawn], label(task["name"]));
      ++drawn;
    }
  const char* colour = drawn > 0 ? "#202020" : kColours[0];
  Picture picture;
  picture.commands =
      data + kGrid + value_axis(entries, key) +
      fmt::format("set ylabel '{}'\n{}set key {}\n", per_cent ? "score in per cent" : "nats a token",
                  per_cent ? "set yrange [-2:102]\n" : "",
                  drawn > 0 ? "outside right top" : "above right horizontal") +
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

Picture score_by_task(const Json& summary, const std::string& unit) {
  std::vector<Bar> bars;
  for (const Json& task : summary["tasks"])
    if (task["n"] > 0 && task["unit"] == unit)
      bars.push_back(
          {task["name"], figure(task, "score"), task["score"], task["low"], task["high"], "5b9bd0"});
  if (bars.empty()) return {};
  bool per_cent = unit == "%";
  double most = 95;
  if (!per_cent)
    most = std::max_element(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) {
             return a.high < b.high;
           })->high;
  Picture picture;
  picture.height = bars_height(bars.size());
  picture.commands =
      bar_data(bars) +
      fmt::format(
          "set style fill solid noborder\nset xrange [0:{}]\nset xlabel '{}, and the 95 % interval'\n",
          most * 1.12, per_cent ? "score in per cent" : "nats a token") +
      "plot $d using ($1/2):2:($1/2):(0.36):5 with boxxyerror fc rgb variable, $d using 1:2:3:4 with "
      "xerrorbars pt -1 lw 1.5 lc rgb '#303030', $d using 4:2:6 with labels noenhanced left offset 0.8,0 "
      "font "
      "',10'";
  return picture;
}

Picture loss_by_position(const Json& summary) {
  std::string data, lines;
  double least = 1e300, most = 0;
  size_t i = 0;
  for (const Json& curve : summary["curve"]) {
    if (i == 3 * kMostLines) break;
    data += fmt::format("$c{} << EOD\n", i);
    for (const Json& point : curve["points"]) {
      double at = std::sqrt(std::max(1.0, point[0].get<double>()) * std::max(1.0, point[1].get<double>()));
      least = std::min(least, at), most = std::max(most, at);
      data += fmt::format("{} {}\n", at, point[2].get<double>());
    }
    data += "EOD\n";
    std::string name = curve["task"];
    if (!curve["length"].is_null()) name += ", " + length_text(curve["length"]);
    lines += fmt::format("{}$c{} with linespoints lw 2 pt 7 ps 0.5 dt {} lc rgb '{}' title {} noenhanced",
                         i ? ", " : "plot ", i, i / kMostLines + 1, kColours[i % kMostLines], label(name));
    ++i;
  }
  if (i == 0) return {};
  Picture picture;
  picture.commands = data + kGrid + "set xlabel 'position in tokens'\nset ylabel 'nats a token'\n" +
                     (most > 8 * least ? "set logscale x 2\nset format x '%.0f'\n" : "") +
                     "set key outside right top\n" + lines;
  return picture;
}

Picture changes(const Json& diff) {
  std::vector<Bar> bars;
  auto add = [&](const std::string& name, const Json& e) {
    if (e["unit"] != diff["unit"]) return;
    std::string verdict = e["verdict"];
    bars.push_back({name, signed_figure(e, "change"), e["change"], e["low"], e["high"],
                    verdict == "better"  ? "30a46c"
                    : verdict == "worse" ? "e5484d"
                                         : "909090"});
  };
  add("all", diff["all"]);
  if (diff["tasks"].size() > 1)
    for (const Json& task : diff["tasks"]) add(task["name"], task);
  for (const auto& [key, entries] : diff["by"].items())
    if (entries.size() > 1)
      for (const Json& e : entries)
        add(key + " " + (key == "length" ? length_text(e["value"]) : value_text(e["value"])), e);
  Picture picture;
  picture.height = bars_height(bars.size());
  picture.commands =
      bar_data(bars) +
      fmt::format("set xlabel 'change from a to b in {}, and its 95 % interval'\n",
                  diff["unit"] == "%" ? "points of a hundred" : diff["unit"].get<std::string>()) +
      "set arrow from 0, graph 0 to 0, graph 1 nohead lc rgb '#606060' lw 1\nset offsets 0, graph 0.1, 0, 0\n"
      // The last one draws nothing: no change stands in the picture, too.
      "plot $d using 1:2:3:4:5 with xerrorbars pt 7 ps 0.9 lw 2 lc rgb variable, $d using 4:2:6 with labels "
      "noenhanced left offset 0.8,0 font ',10', $d using (0):2 with dots lc rgb '#606060'";
  return picture;
}

}  // namespace longspan
