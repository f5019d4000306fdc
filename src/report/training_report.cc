#include "report/training_report.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "report/plot.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

using Curve = std::vector<std::pair<double, double>>;  // step, value

Curve curve_of(const std::vector<StepReport>& steps, double StepReport::*field) {
  Curve curve;
  for (const StepReport& r : steps)
    if (std::isfinite(r.*field)) curve.emplace_back(r.step, r.*field);
  return curve;
}

std::map<int64_t, Curve> curves_by_length(const std::vector<ValidationReport>& validation) {
  std::map<int64_t, Curve> curves;
  for (const ValidationReport& r : validation)
    for (const auto& [length, loss] : r.loss) curves[length].emplace_back(r.step, loss);
  return curves;
}

/// gnuplot commands for titled curves over steps.
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

std::string last_figures(const std::vector<StepReport>& steps, const std::map<int64_t, Curve>& validation) {
  const StepReport& last = steps.back();
  double seconds = 0;
  int64_t tokens = 0;
  for (const StepReport& r : steps) seconds += r.seconds, tokens += r.tokens;
  std::string rows;
  auto row = [&](const std::string& what, const std::string& value) {
    rows += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", what, value);
  };
  row("steps", fmt::format("{}", last.step));
  row("loss, first and last step", fmt::format("{:.4f} and {:.4f}", steps.front().loss, last.loss));
  for (const auto& [length, curve] : validation)
    row(fmt::format("held-out loss at {}, first and last", length),
        fmt::format("{:.4f} and {:.4f}", curve.front().second, curve.back().second));
  row("tokens read", fmt::format("{}", tokens));
  row("time in steps", human_seconds(seconds));
  row("tokens a second", fmt::format("{:.0f}", static_cast<double>(tokens) / seconds));
  row("MFU of the last step", fmt::format("{:.1f} %", 100 * last.mfu));
  row("memory at the last step", human_bytes(static_cast<double>(last.memory)));
  return "<table>\n" + rows + "</table>\n";
}

std::string suspicious_steps(const std::vector<StepReport>& steps) {
  std::string rows;
  for (const StepReport& r : steps)
    for (const std::string& document : r.suspicious)
      rows += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", r.step, escape_html(document));
  if (rows.empty()) return "";
  return "<h2>Steps whose loss or gradient jumped</h2>\n<table>\n" + rows + "</table>\n";
}

}  // namespace

void write_training_report(const fs::path& output, const MetricsHistory& history, const std::string& name,
                           const std::string& source) {
  const std::vector<StepReport>& steps = history.steps;
  if (steps.empty()) fail("{}: the run has no step to report", output.string());
  fs::path folder = output / "report";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("{}: cannot be made: {}", folder.string(), error.message());
  std::map<int64_t, Curve> validation = curves_by_length(history.validation);
  std::string body = fmt::format("<p>{}</p>\n", escape_html(source)) + last_figures(steps, validation);
  auto picture = [&](const char* stem, const std::vector<std::pair<std::string, Curve>>& curves,
                     const std::string& title, const std::string& y, const char* more = "") {
    draw(folder / stem, commands(curves, title, y, more), 900, 420);
    body += inline_svg(folder / (std::string(stem) + ".svg")) + "\n";
  };
  auto over_steps = [&](double StepReport::*field) { return curve_of(steps, field); };
  std::vector<std::pair<std::string, Curve>> losses = {{"long rows", over_steps(&StepReport::loss)}},
                                             held_out;
  if (Curve curve = over_steps(&StepReport::short_loss); !curve.empty())
    losses.emplace_back("short rows", curve);
  picture("loss", losses, "loss", "nats a token");
  for (const auto& [length, curve] : validation) held_out.emplace_back(std::to_string(length), curve);
  if (!held_out.empty()) picture("validation", held_out, "held-out loss by length", "nats a token");
  if (Curve curve = over_steps(&StepReport::divergence); !curve.empty())
    picture("divergence", {{"short rows", curve}}, "divergence from the original model", "nats a token");
  picture("grad_norm", {{"before clipping", over_steps(&StepReport::grad_norm)}}, "gradient norm", "L2 norm",
          "set logscale y");
  picture("lr", {{"learning rate", over_steps(&StepReport::lr)}}, "learning rate", "");
  picture("speed", {{"tokens a second", over_steps(&StepReport::tokens_per_s)}}, "speed", "tokens/s",
          "set yrange [0:*]");
  body += suspicious_steps(steps);
  write_file_atomic(output / "report.html", html_page(name, body));
}

}  // namespace longspan
