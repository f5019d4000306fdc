// compare: position methods side by side on the user's own text.
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "report/compare_report.h"

namespace longspan::cli {

namespace {

namespace fs = std::filesystem;

struct CompareOptions : Options {
  std::string methods, out;
  std::vector<std::string> files;
  CompareSettings settings;
};

/// The command line that repeats this measurement, without the options that only control output.
std::string command_line(const CompareOptions& o) {
  const CompareSettings& s = o.settings;
  std::string lengths, files;
  for (const std::string& file : o.files) files += " --file " + shell_word(file);
  for (int64_t length : s.lengths) lengths += (lengths.empty() ? "" : ",") + std::to_string(length);
  std::string line = fmt::format(
      "longspan compare {}{} --methods {} --lengths {} --tail {} --windows {} "
      "--passkeys {} --seed {} --cache-type {} --chunk {}",
      shell_word(o.model), files, shell_word(o.methods), lengths, s.tail, s.windows, s.passkeys, s.seed,
      o.cache_type, chunk_of(o));
  auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) line += fmt::format(" {} {}", option, shell_word(value));
  };
  add("--encoding", o.encoding);
  add("--position", o.position);
  add("--compute", o.compute);
  add("--kernels", o.kernels);
  if (o.attention != Options().attention) add("--attention", o.attention);
  if (o.device != "cpu") add("--device", o.device);
  add("--chat-template", o.chat_template);
  if (o.threads > 0) add("--threads", std::to_string(o.threads));
  return line;
}

RunSettings settings_of(const CompareOptions& o, const Engine& engine) {
  RunSettings settings;
  settings.model = o.model;
  settings.cache_type = describe(engine.options().cache_types);
  settings.compute = name(engine.model().compute);
  settings.kernels = engine.model().kernels().name;
  settings.chunk = chunk_of(o);
  if (o.attention != Options().attention) settings.attention = o.attention;
  settings.chat_template = o.chat_template;
  settings.data = fmt::format("{}", fmt::join(o.files, ", "));
  settings.command = command_line(o);
  return settings;
}

int compare(CompareOptions& o) {
  CompareSettings& s = o.settings;
  s.methods = split_methods(o.methods);
  s.seed = o.seed;
  std::sort(s.lengths.begin(), s.lengths.end());
  s.lengths.erase(std::unique(s.lengths.begin(), s.lengths.end()), s.lengths.end());
  Engine engine = open_engine(o);
  ComparePlan plan =
      plan_compare(engine, resolve_model(o.model), read_text(o, o.files), s, settings_of(o, engine));
  if (o.out.empty())
    remark(o, "nothing is kept on disk; -o DIR keeps each result as it comes, and draws them on a page");
  const fs::path out = o.out;
  CompareResults results = open_results(plan, o.out.empty() ? out : out / "runs");
  if (CompareProgress there = count_cases(plan, results); there.known > 0)
    remark(o, "{} of {} cases are there already", there.known, there.all);
  arm_interrupt();
  bool complete;
  {
    ProgressBar bar("comparing", o.quiet);
    complete = run_compare(engine, plan, results,
                           [&](int64_t done, int64_t total) { return bar.update(done, total); });
  }
  Comparison comparison = compare_summary(plan, results);
  if (!complete)
    remark(o, "interrupted: {}",
           o.out.empty() ? "these results are lost" : "the same command goes on from here");
  // First the result on the terminal: a disk that is full loses the page only.
  if (o.json)
    print_json(to_json(comparison));
  else if (!comparison.rows.empty())
    print_now(compare_table(comparison));
  if (complete && !o.out.empty()) {
    write_file_atomic(out / "compare.json", dump_json(to_json(comparison)) + "\n");
    write_compare_page(out, comparison);
    remark(o, "{}", page_remark(out / "compare.html"));
  }
  return complete ? kExitDone : kExitInterrupted;
}

}  // namespace

Run define_compare(CLI::App& app) {
  auto o = std::make_shared<CompareOptions>();
  CompareSettings& s = o->settings;
  add_model_argument(app, *o);
  app.add_option("--methods", o->methods, "methods, as for --position; none: the model as it is")->required();
  app.add_option("--lengths", s.lengths, "tokens of the windows: N,M,...")
      ->required()
      ->delimiter(',')
      ->transform(whole_number(2, int64_t{1} << 40))
      ->allow_extra_args(false);
  add_file_option(app, *o, o->files, "the text; - is standard input")->required();
  app.add_option("-o", o->out, "folder for results, pictures and page; what is there is not done again");
  app.add_option("--tail", s.tail, "tokens at the end of a window that count; default 1024")
      ->transform(whole_number(1, int64_t{1} << 40));
  app.add_option("--windows", s.windows, "places in the text to average over; default 1, its end")
      ->transform(whole_number(1, 100000));
  app.add_option("--passkeys", s.passkeys, "depths of a pass key at each length; default 4, 0: none")
      ->transform(whole_number(0, 1000));
  app.add_option("--chat-template", o->chat_template, "of the pass keys' questions; default the model's");
  add_engine_options(app, *o);
  add_output_options(app, *o);
  return [o] { return compare(*o); };
}

}  // namespace longspan::cli
