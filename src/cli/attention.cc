// attention: how a model's attention is spread over distance, by layer and head.
#include <memory>

#include "base/file.h"
#include "base/plural.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/window.h"
#include "report/attention_page.h"

namespace longspan::cli {

namespace {

struct AttentionOptions : Options {
  std::string out;
  std::vector<std::string> files;
  int64_t length = 0;  // 0: all
  int64_t queries = AttentionMapOptions{}.queries;
};

/// One line per layer: the mean of its heads.
std::string table(const AttentionMap& map) {
  std::string out = fmt::format("{:<7}{:>8}{:>8}{:>8}{:>9}{:>13}", "layer", "reach", "median", "90 %",
                                "entropy", "first token");
  for (int64_t d : map.beyond) out += fmt::format("{:>15}", "beyond " + grouped(d));
  out += "\n";
  for (int64_t l = 0; l < map.layers; ++l) {
    HeadAttention mean = layer_mean(map, l);
    out += fmt::format("{:<7}{:>8}{:>8.0f}{:>8.0f}{:>9.2f}{:>11.1f} %", l, reach(map, l, 0, map.heads),
                       distance_quantile(map.edges, mean.late, 0.5),
                       distance_quantile(map.edges, mean.late, 0.9), mean.entropy, 100 * mean.first_token);
    for (double weight : mean.beyond) out += fmt::format("{:>13.1f} %", 100 * weight);
    out += "\n";
  }
  return out;
}

int attention(const AttentionOptions& o) {
  Engine engine = open_engine(o, Lengths::Known);
  std::vector<int32_t> ids = engine.tokenizer().encode(read_text(o, o.files));
  if (o.length > 0 && o.length < static_cast<int64_t>(ids.size())) ids.resize(static_cast<size_t>(o.length));
  fit_ids(engine, o, ids, 0);
  PositionSpec spec =
      position_spec(engine.config().position, engine.config().head_shape(), static_cast<int64_t>(ids.size()));
  arm_interrupt();
  double start = seconds_now();
  std::optional<AttentionMap> map;
  {
    ProgressBar bar("reading", o.quiet, 0, {});
    map = attention_map(
        engine.model(), spec, ids,
        {.queries = o.queries, .chunk = engine.options().chunk, .cache_types = engine.options().cache_types},
        [&](int64_t done, int64_t total) { return bar.update(done, total); });
  }
  if (!map) return kExitInterrupted;
  double seconds = seconds_now() - start;

  std::string position = describe(engine.config().position);
  Json json = attention_json(*map);
  json["model"] = o.model;
  json["position"] = position;
  json["seconds"] = seconds;
  if (o.json)
    print_json(json);
  else
    print_now(table(*map));
  if (!o.out.empty()) {
    const std::filesystem::path out = o.out;
    std::filesystem::create_directories(out);
    write_file_atomic(out / "attention.json", dump_json(json) + "\n");
    write_attention_page(out, *map, fmt::format("Attention over distance: {}, {}", o.model, position));
    remark(o, "{}", page_remark(out / "attention.html"));
  }
  remark(o, "{}, {} sampled, {}, {} at most", counted(map->length, "token"), counted(map->queries, "query"),
         human_seconds(seconds), human_bytes(static_cast<double>(peak_bytes())));
  return kExitDone;
}

}  // namespace

Run define_attention(CLI::App& app) {
  auto o = std::make_shared<AttentionOptions>();
  add_model_argument(app, *o);
  add_file_option(app, *o, o->files, "the text; - is standard input")->required();
  app.add_option("--length", o->length, "only the first N tokens")
      ->transform(whole_number(2, int64_t{1} << 40));
  app.add_option("--queries", o->queries, "tokens whose attention is measured, about; default 256")
      ->transform(whole_number(1, int64_t{1} << 40));
  app.add_option("-o,--out", o->out, "folder for attention.html, attention.json and the pictures");
  add_window_options(app, *o);
  add_engine_options(app, *o);
  add_output_options(app, *o);
  return [o] { return attention(*o); };
}

}  // namespace longspan::cli
