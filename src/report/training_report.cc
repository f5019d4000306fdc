#include "report/training_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "report/page_parts.h"
#include "report/style.h"

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

/// Mean of the last `width` values up to each step.
Curve smoothed(const Curve& curve, size_t width) {
  Curve out;
  double sum = 0;
  for (size_t i = 0; i < curve.size(); ++i) {
    sum += curve[i].second;
    if (i >= width) sum -= curve[i - width].second;
    out.emplace_back(curve[i].first, sum / static_cast<double>(std::min(i + 1, width)));
  }
  return out;
}

constexpr size_t kSmoothed = 100;  // curves of as many steps are drawn thin, with their running mean
constexpr size_t kMean = 25;

/// gnuplot commands for titled curves over steps.
std::string commands(const std::vector<std::pair<std::string, Curve>>& curves, const std::string& y,
                     const char* more, bool smooth) {
  std::string out, plots;
  auto add = [&](size_t i, const Curve& curve, const std::string& title, const std::string& look) {
    std::string name = fmt::format("$c{}", out.size());
    out += name + " << EOD\n";
    for (const auto& [step, value] : curve) out += fmt::format("{} {:.6g}\n", step, value);
    out += "EOD\n";
    plots += fmt::format("{}{} using 1:2 with {} lc rgb '{}' title {}", plots.empty() ? "" : ", ", name, look,
                         series_ink(i), gnuplot_string(title));
  };
  for (size_t i = 0; i < curves.size(); ++i) {
    const auto& [title, curve] = curves[i];
    if (!smooth || curve.size() < kSmoothed) {
      add(i, curve, title, curve.size() > 40 ? "lines lw 2" : "linespoints ps 0.5 lw 2 " + series_marks(i));
    } else {
      add(i, curve, "", "lines lw 0.4");
      add(i, smoothed(curve, kMean), fmt::format("{}, mean of {} steps", title, kMean), "lines lw 2");
    }
  }
  return out + fmt::format(
                   "set offsets 0, 0, graph 0.05, graph 0.05\nset xlabel 'step'\nset ylabel '{}'\n{}\n"
                   "plot {}",
                   y, more, plots);
}

std::string last_figures(const std::vector<StepReport>& steps, const std::map<int64_t, Curve>& validation) {
  const StepReport& last = steps.back();
  double seconds = 0;
  int64_t tokens = 0;
  for (const StepReport& r : steps) seconds += r.seconds, tokens += r.tokens;
  std::vector<std::vector<std::string>> rows = {{"figure", "value"}};
  auto row = [&](const std::string& what, const std::string& value) { rows.push_back({what, value}); };
  row("steps", grouped(last.step));
  row("loss, first and last step", fmt::format("{:.4f} and {:.4f}", steps.front().loss, last.loss));
  for (const auto& [length, curve] : validation)
    row(fmt::format("held-out loss at {} tokens, first and last", grouped(length)),
        fmt::format("{:.4f} and {:.4f}", curve.front().second, curve.back().second));
  row("tokens read", grouped(tokens));
  row("time in steps", human_seconds(seconds));
  row("tokens a second", fmt::format("{:.0f}", static_cast<double>(tokens) / seconds));
  row("MFU of the last step", fmt::format("{:.1f} %", 100 * last.mfu));
  row("memory at the last step", human_bytes(static_cast<double>(last.memory)));
  return html_table("The run", rows);
}

std::string suspicious_steps(const std::vector<StepReport>& steps) {
  std::vector<std::vector<std::string>> rows = {{"step", "documents"}};
  for (const StepReport& r : steps)
    for (const std::string& document : r.suspicious) rows.push_back({grouped(r.step), document});
  if (rows.size() == 1) return "";
  return html_heading("Steps whose loss or gradient jumped") +
         html_table("Steps and what they held", rows, Cells::Sentences);
}

/// Charts below OUTPUT/report, one after the other.
std::string charts(const fs::path& folder, const MetricsHistory& history,
                   const std::map<int64_t, Curve>& validation) {
  std::string out;
  auto picture = [&](const char* stem, const std::vector<std::pair<std::string, Curve>>& curves,
                     const std::string& title, const std::string& y, const char* more = "",
                     bool smooth = false) {
    if (std::all_of(curves.begin(), curves.end(), [](const auto& curve) { return curve.second.empty(); }))
      return;
    out += html_picture(folder, stem, {commands(curves, y, more, smooth), title}, title);
  };
  auto over_steps = [&](double StepReport::*field) { return curve_of(history.steps, field); };
  std::vector<std::pair<std::string, Curve>> losses = {{"long rows", over_steps(&StepReport::loss)}},
                                             held_out;
  if (Curve curve = over_steps(&StepReport::short_loss); !curve.empty())
    losses.emplace_back("short rows", curve);
  for (const auto& [length, curve] : validation) held_out.emplace_back(grouped(length) + " tokens", curve);
  picture("loss", losses, "Loss", "nats a token", "", true);
  picture("validation", held_out, "Held-out loss by length", "nats a token");
  picture("divergence", {{"short rows", over_steps(&StepReport::divergence)}},
          "Divergence from the original model", "nats a token");
  picture("grad_norm", {{"before clipping", over_steps(&StepReport::grad_norm)}}, "Gradient norm", "L2 norm",
          "set logscale y");
  picture("lr", {{"learning rate", over_steps(&StepReport::lr)}}, "Learning rate", "");
  picture("speed", {{"tokens a second", over_steps(&StepReport::tokens_per_s)}}, "Speed", "tokens/s",
          "set yrange [0:*]", true);
  return out;
}

}  // namespace

void write_training_report(const Recipe& recipe, const MetricsHistory& history, const std::string& command) {
  const std::vector<StepReport>& steps = history.steps;
  if (steps.empty()) fail("{}: the run has no step to report", recipe.output.string());
  fs::path folder = recipe.output / "report";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail("{}: cannot be made: {}", folder.string(), error.message());
  std::map<int64_t, Curve> validation = curves_by_length(history.validation);
  std::string body;
  if (!recipe.source.empty()) body += fmt::format("<p>{}</p>\n", escape_html(recipe.source));
  body += last_figures(steps, validation) + charts(folder, history, validation) + suspicious_steps(steps) +
          html_heading("Command") + html_pre(command) + html_heading("Recipe") +
          "<p>As it was read, with the values of <code>--set</code>.</p>\n" + html_pre(recipe.text);
  write_file_atomic(recipe.output / "report.html", html_page(recipe.name, body));
}

}  // namespace longspan
