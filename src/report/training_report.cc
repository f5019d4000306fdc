#include "report/training_report.h"

#include <fmt/format.h>

#include <map>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "report/plot.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

using Curve = std::vector<std::pair<double, double>>;  // step, value

struct Figures {
  std::map<std::string, Curve> curves;  // by key of the steps
  std::map<int64_t, Curve> validation;  // by length
  std::vector<std::pair<int64_t, std::string>> suspicious;
  double seconds = 0, tokens = 0;
};

Figures read_figures(const fs::path& file) {
  Figures f;
  std::istringstream lines(read_file(file));
  for (std::string line; std::getline(lines, line);) {
    Json json = parse_json(line, file.string());
    double step = json.at("step");
    if (json.contains("validation")) {
      for (const auto& [length, loss] : json["validation"].items())
        f.validation[std::stoll(length)].emplace_back(step, loss.get<double>());
      continue;
    }
    for (const auto& [key, value] : json.items())
      if (value.is_number()) f.curves[key].emplace_back(step, value.get<double>());
    f.seconds += json.value("seconds", 0.0), f.tokens += json.value("tokens", 0.0);
    for (const Json& document : json.value("suspicious", Json::array()))
      f.suspicious.emplace_back(static_cast<int64_t>(step), document.get<std::string>());
  }
  if (f.curves["loss"].empty()) fail("{}: holds no step", file.string());
  return f;
}

/// Curves over steps, titles by curve.
std::string commands(const std::vector<std::pair<std::string, Curve>>& curves, const std::string& title,
                     const std::string& y, const char* more) {
  std::string out, plots;
  for (size_t i = 0; i < curves.size(); ++i) {
    out += fmt::format("$c{} << EOD\n", i);
    for (const auto& [step, value] : curves[i].second) out += fmt::format("{} {:.6g}\n", step, value);
    out += "EOD\n";
    plots += fmt::format("{}$c{} using 1:2 with {} lw 1.5 title '{}'", i ? ", " : "", i,
                         curves[i].second.size() > 40 ? "lines" : "linespoints pt 7 ps 0.4", curves[i].first);
  }
  return out + fmt::format("set title '{}'\nset xlabel 'step'\nset ylabel '{}'\nset grid\n{}\nplot {}", title,
                           y, more, plots);
}

std::string last_figures(const Figures& f) {
  auto last = [&](const char* key) { return f.curves.at(key).back().second; };
  std::string rows;
  auto row = [&](const std::string& what, const std::string& value) {
    rows += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", what, value);
  };
  row("steps", fmt::format("{:.0f}", f.curves.at("loss").back().first));
  row("loss, first and last step",
      fmt::format("{:.4f} and {:.4f}", f.curves.at("loss").front().second, last("loss")));
  for (const auto& [length, curve] : f.validation)
    row(fmt::format("held-out loss at {}, first and last", length),
        fmt::format("{:.4f} and {:.4f}", curve.front().second, curve.back().second));
  row("tokens read", fmt::format("{:.0f}", f.tokens));
  row("time in steps", human_seconds(f.seconds));
  row("tokens a second", fmt::format("{:.0f}", f.tokens / f.seconds));
  row("MFU of the last step", fmt::format("{:.1f} %", 100 * last("mfu")));
  row("memory at the last step", human_bytes(last("memory")));
  return "<table>\n" + rows + "</table>\n";
}

}  // namespace

void write_training_report(const fs::path& output, const std::string& name, const std::string& source) {
  Figures f = read_figures(output / "metrics.jsonl");
  fs::path folder = output / "report";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("{}: cannot be made: {}", folder.string(), error.message());
  std::string body = fmt::format("<p>{}</p>\n", escape_html(source)) + last_figures(f);
  auto picture = [&](const char* stem, const std::vector<std::pair<std::string, Curve>>& curves,
                     const std::string& title, const std::string& y, const char* more = "") {
    draw(folder / stem, commands(curves, title, y, more), 900, 420);
    body += inline_svg(folder / (std::string(stem) + ".svg")) + "\n";
  };
  std::vector<std::pair<std::string, Curve>> losses = {{"long rows", f.curves["loss"]}}, held_out;
  if (f.curves.contains("short_loss")) losses.emplace_back("short rows", f.curves["short_loss"]);
  picture("loss", losses, "loss", "nats a token");
  for (const auto& [length, curve] : f.validation) held_out.emplace_back(std::to_string(length), curve);
  if (!held_out.empty()) picture("validation", held_out, "held-out loss by length", "nats a token");
  if (f.curves.contains("divergence"))
    picture("divergence", {{"short rows", f.curves["divergence"]}}, "divergence from the original model",
            "nats a token");
  picture("grad_norm", {{"before clipping", f.curves["grad_norm"]}}, "gradient norm", "L2 norm",
          "set logscale y");
  picture("lr", {{"learning rate", f.curves["lr"]}}, "learning rate", "");
  picture("speed", {{"tokens a second", f.curves["tokens_per_s"]}}, "speed", "tokens/s", "set yrange [0:*]");
  if (!f.suspicious.empty()) {
    body += "<h2>Steps whose loss or gradient jumped</h2>\n<table>\n";
    for (const auto& [step, document] : f.suspicious)
      body += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", step, escape_html(document));
    body += "</table>\n";
  }
  write_file_atomic(output / "report.html", html_page(name, body));
}

}  // namespace longspan
