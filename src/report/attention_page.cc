#include "report/attention_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/text.h"
#include "report/page_parts.h"
#include "report/style.h"

namespace longspan {

namespace {

Json figures(const AttentionMap& map, const HeadAttention& head, int64_t reach) {
  Json beyond = Json::object();
  for (size_t i = 0; i < map.beyond.size(); ++i) beyond[std::to_string(map.beyond[i])] = head.beyond[i];
  return {{"reach", reach},
          {"median_distance", distance_quantile(map.edges, head.late, 0.5)},
          {"distance_90", distance_quantile(map.edges, head.late, 0.9)},
          {"mean_distance", head.mean_distance},
          {"first_token", head.first_token},
          {"entropy", head.entropy},
          {"beyond", beyond}};
}

int64_t seen(const AttentionMap& map, int64_t layer, int64_t bin) {
  return map.seen[static_cast<size_t>(layer * map.bins() + bin)];
}

/// [layer][head][bin] of values [L, H, B].
Json by_bin(const AttentionMap& map, const std::vector<double>& values) {
  Json layers = Json::array();
  for (int64_t l = 0; l < map.layers; ++l) {
    Json heads = Json::array();
    for (int64_t h = 0; h < map.heads; ++h) {
      Json bins = Json::array();
      for (int64_t b = 0; b < map.bins(); ++b) {
        double value = values[static_cast<size_t>((l * map.heads + h) * map.bins() + b)];
        bins.push_back(seen(map, l, b) > 0 ? Json(value) : Json());
      }
      heads.push_back(std::move(bins));
    }
    layers.push_back(std::move(heads));
  }
  return layers;
}

/// Ticks at 0 and powers of four, at the column of the bin that begins there.
std::string distance_ticks(const AttentionMap& map) {
  std::string ticks = "'0' 0";
  for (int64_t d = 4; d < map.edges.back(); d *= 4) {
    auto at = std::lower_bound(map.edges.begin(), map.edges.end(), d) - map.edges.begin();
    ticks += fmt::format(", '{}' {}", d, static_cast<double>(at) - 0.5);
  }
  return "set xtics out nomirror (" + ticks + ")\n";
}

/// One row per head, layer 0 on top; one column per bin; the colour shows the logarithm of the value.
std::string heat_map(const AttentionMap& map, const std::vector<double>& values, const std::string& title,
                     const std::string& colours) {
  std::string out = "$map << EOD\n";
  for (int64_t row = 0; row < map.layers * map.heads; ++row) {
    for (int64_t b = 0; b < map.bins(); ++b) {
      double value = values[static_cast<size_t>(row * map.bins() + b)];
      out += enough_seen(map, row / map.heads, b) ? fmt::format("{:.4g} ", std::max(value, 1e-9)) : "NaN ";
    }
    out += "\n";
  }
  out += "EOD\nunset key\nunset grid\nset title '" + title +
         "'\nset xlabel 'distance in tokens'\nset ylabel 'layer'\nset colorbox noborder\n" +
         distance_ticks(map) + "set ytics out nomirror (";
  int64_t step = std::max<int64_t>(1, map.layers / 16);
  for (int64_t l = 0; l < map.layers; l += step)
    out += fmt::format("{}'{}' {}", l > 0 ? ", " : "", l, static_cast<double>(l * map.heads) - 0.5);
  out += fmt::format(")\nset xrange [-0.5:{}]\nset yrange [{}:-0.5]\n", static_cast<double>(map.bins()) - 0.5,
                     static_cast<double>(map.layers * map.heads) - 0.5);
  for (int64_t l = 1; l < map.layers; ++l)
    out += fmt::format(
        "set arrow from graph 0, first {0} to graph 1, first {0} nohead front lw 0.3 lc rgb "
        "'#60808080'\n",
        static_cast<double>(l * map.heads) - 0.5);
  return out + colours + "plot $map matrix with image";
}

/// The mean density of a layer's heads in each range of distance that enough queries see whole; distance d is
/// drawn at d + 1.
std::string layer_points(const AttentionMap& map, int64_t layer) {
  std::string out;
  for (int64_t b = 0; b < map.bins(); ++b) {
    if (!enough_seen(map, layer, b)) continue;
    double sum = 0;
    for (int64_t h = 0; h < map.heads; ++h)
      sum += map.density[static_cast<size_t>((layer * map.heads + h) * map.bins() + b)];
    auto near = static_cast<double>(map.edges[static_cast<size_t>(b)]),
         far = static_cast<double>(map.edges[static_cast<size_t>(b + 1)]);
    out += fmt::format("{:.6g} {:.4g}\n", (near + far + 1) / 2,
                       std::max(sum / static_cast<double>(map.heads), 1e-9));
  }
  return out;
}

/// Log-log, one curve per layer, brighter from the first to the last; the key names some of them.
std::string layer_curves(const AttentionMap& map) {
  std::string out,
      plot = fmt::format("plot 1 with lines dt 2 lc rgb '{}' title 'evenly spread'", ink("muted"));
  int64_t named = std::max<int64_t>(1, (map.layers - 1 + 5) / 6);
  for (int64_t l = 0; l < map.layers; ++l) {
    std::string points = layer_points(map, l);
    if (points.empty()) continue;
    out += fmt::format("$l{} << EOD\n{}EOD\n", l, points);
    int64_t shade = map.layers > 1 ? l * (static_cast<int64_t>(kLayers) - 1) / (map.layers - 1) : 0;
    plot +=
        fmt::format(", $l{} with lines lw 1.5 lc rgb '{}' {}", l, ink(fmt::format("layer-{}", shade)),
                    l % named == 0 || l + 1 == map.layers ? fmt::format("title 'layer {}'", l) : "notitle");
  }
  out +=
      "set title 'attention of a key at each distance, relative to evenly spread'\n"
      "set logscale xy\nset xlabel 'distance in tokens, plus 1'\nset ylabel 'times uniform'\n";
  if (map.trained_context > 0 && map.trained_context < map.edges.back())
    out += fmt::format(
        "set arrow from {0}, graph 0 to {0}, graph 1 nohead dt 2 lc rgb '{1}'\nset label 'trained window' at "
        "{0}, graph 0.97 right offset -1,0\n",
        map.trained_context, ink("line"));
  return out + plot;
}

/// The figures of the layers, for readers of the page.
std::string layer_table(const AttentionMap& map) {
  std::vector<std::vector<std::string>> rows = {
      {"layer", "reach", "median distance", "90 % below", "entropy", "first token"}};
  for (int64_t d : map.beyond) rows[0].push_back("beyond " + grouped(d));
  for (int64_t l = 0; l < map.layers; ++l) {
    HeadAttention mean = layer_mean(map, l);
    rows.push_back({std::to_string(l), grouped(reach(map, l, 0, map.heads)),
                    fmt::format("{:.0f}", distance_quantile(map.edges, mean.late, 0.5)),
                    fmt::format("{:.0f}", distance_quantile(map.edges, mean.late, 0.9)),
                    fmt::format("{:.2f}", mean.entropy), fmt::format("{:.1f} %", 100 * mean.first_token)});
    for (double weight : mean.beyond) rows.back().push_back(fmt::format("{:.1f} %", 100 * weight));
  }
  return html_table("Means over the heads of each layer; distances in tokens", rows);
}

}  // namespace

Json attention_json(const AttentionMap& map) {
  Json seen_of = Json::array(), heads = Json::array(), layers = Json::array();
  for (int64_t l = 0; l < map.layers; ++l) {
    Json bins = Json::array(), row = Json::array();
    for (int64_t b = 0; b < map.bins(); ++b) bins.push_back(seen(map, l, b));
    for (int64_t h = 0; h < map.heads; ++h)
      row.push_back(figures(map, map.head[static_cast<size_t>(l * map.heads + h)], reach(map, l, h, h + 1)));
    seen_of.push_back(std::move(bins));
    heads.push_back(std::move(row));
    layers.push_back(figures(map, layer_mean(map, l), reach(map, l, 0, map.heads)));
  }
  return {{"length", map.length},
          {"queries", map.queries},
          {"trained_context", map.trained_context},
          {"distances", map.edges},
          {"seen", seen_of},
          {"mass", by_bin(map, map.mass)},
          {"density", by_bin(map, map.density)},
          {"heads", heads},
          {"layers", layers}};
}

void write_attention_page(const std::filesystem::path& folder, const AttentionMap& map,
                          const std::string& title) {
  std::filesystem::create_directories(folder);
  std::string body = fmt::format(
      "<p>{} tokens, {} queries sampled, {} layers of {} heads. Ranges of distance have one distance each at "
      "first, then four lie in an octave; a range is averaged over the queries that see all of it, and drawn "
      "where at least {} do. Orange keys get more than an even share of the attention, blue ones less: where "
      "orange ends is how far back a head reaches. The first token, on which heads put the attention that "
      "they "
      "have no use for, is left out.</p>\n",
      map.length, map.queries, map.layers, map.heads, std::min(kLeastQueries, map.queries));
  int height = static_cast<int>(std::clamp<int64_t>(160 + 3 * map.layers * map.heads, 420, 1500));
  auto picture = [&](const char* stem, const char* title, const std::string& commands, int tall) {
    body += html_picture(folder, stem, {commands, title, 800, tall}, title);
  };
  picture(
      "attention_density", "Attention relative to evenly spread attention, by head and distance",
      heat_map(map, map.density, "weight of a key relative to evenly spread attention (1)",
               "set logscale cb\nset cbrange [0.01:100]\nset palette defined (0 '#08306b', 1 '#f7f7f7', 2 "
               "'#a63603')\n"),
      height);
  picture("attention_layers", "Attention by distance, each layer", layer_curves(map), 480);
  picture("attention_mass", "Share of the attention, by head and distance",
          heat_map(map, map.mass, "share of the attention in each range of distance",
                   "set logscale cb\nset cbrange [0.001:1]\nset palette defined (" + scale_palette() + ")\n"),
          height);
  body += html_heading("Layers") + layer_table(map);
  write_file_atomic(folder / "attention.html", html_page(title, body));
}

}  // namespace longspan
