// score: how well a model predicts a text, token by token.
#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/window.h"

namespace longspan::cli {

namespace {

struct ScoreOptions : Options {
  std::vector<std::string> files;
  int64_t length = 0;  // 0: all
  int64_t from = 1;    // first token that counts in the mean
};

int score(const ScoreOptions& o) {
  Engine engine = open_engine(o, Lengths::Known);
  std::vector<int32_t> ids = engine.tokenizer().encode(read_text(o, o.files));
  if (o.length > 0 && o.length < static_cast<int64_t>(ids.size())) ids.resize(static_cast<size_t>(o.length));
  fit_ids(engine, o, ids, 0);
  auto count = static_cast<int64_t>(ids.size());
  if (o.from >= count)
    fail("the text has {} tokens: nothing is left to score from token {} on", count, o.from);

  std::vector<float> logprobs;
  Sequence sequence(engine, count);
  arm_interrupt();
  ReadingTimes times = announce_reading(sequence, o, count, true);
  double start = seconds_now();
  bool complete;
  {
    ProgressBar bar("scoring", o.quiet, 0, std::move(times));
    complete =
        sequence.score(ids, logprobs, [&](int64_t done, int64_t total) { return bar.update(done, total); });
  }
  double seconds = seconds_now() - start;
  if (!complete && static_cast<int64_t>(logprobs.size()) < o.from) return kExitInterrupted;

  double sum = 0;
  for (size_t i = static_cast<size_t>(o.from) - 1; i < logprobs.size(); ++i) sum -= logprobs[i];
  auto scored = static_cast<int64_t>(logprobs.size()) - (o.from - 1);
  double nll = sum / static_cast<double>(scored);
  if (!complete)
    remark(o, "interrupted: the figures are of the first {} tokens",
           grouped(static_cast<int64_t>(logprobs.size()) + 1));
  if (o.json) {
    print_json({{"tokens", static_cast<int64_t>(logprobs.size()) + 1},
                {"nll", nll},
                {"perplexity", std::exp(nll)},
                {"from", o.from},
                {"scored", scored},
                {"seconds", seconds},
                {"peak_bytes", peak_bytes()},
                {"logprobs", logprobs}});
  } else {
    print_now(fmt::format(
        "tokens      {}, {} of them scored from token {} on\nnll         {:.4f} nats a token\nperplexity  "
        "{:.3f}\n",
        grouped(static_cast<int64_t>(logprobs.size()) + 1), grouped(scored), o.from, nll, std::exp(nll)));
    remark(o, "{} tokens/s, {}, {} at most",
           grouped(static_cast<int64_t>(static_cast<double>(logprobs.size() + 1) / seconds)),
           human_seconds(seconds), human_bytes(static_cast<double>(peak_bytes())));
  }
  return complete ? kExitDone : kExitInterrupted;
}

}  // namespace

Run define_score(CLI::App& app) {
  auto o = std::make_shared<ScoreOptions>();
  add_model_argument(app, *o);
  add_file_option(app, *o, o->files, "the text; - is standard input")->required();
  app.add_option("--length", o->length, "only the first N tokens")
      ->transform(whole_number(1, int64_t{1} << 40));
  app.add_option("--from", o->from, "the mean is over tokens N.. (counted from 0) only")
      ->transform(whole_number(1, int64_t{1} << 40));
  add_window_options(app, *o);
  add_engine_options(app, *o);
  add_output_options(app, *o);
  return [o] { return score(*o); };
}

}  // namespace longspan::cli
