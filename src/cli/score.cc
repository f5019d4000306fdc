// score: how well a model predicts a text, token by token; with --against how far its distributions are from
// those of another model, cache or method.
#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/window.h"
#include "eval/divergence.h"

namespace longspan::cli {

namespace {

struct ScoreOptions : Options {
  std::vector<std::string> files;
  int64_t length = 0;  // 0: all
  int64_t from = 1;    // first token that counts in the mean
  // What to compare with; empty: the same as of the model itself.
  std::string against, against_cache_type, against_position, against_attention;
  bool compares() const {
    return !against.empty() || !against_cache_type.empty() || !against_position.empty() ||
           !against_attention.empty();
  }
};

std::vector<int32_t> ids_of_text(Engine& engine, const ScoreOptions& o) {
  std::vector<int32_t> ids = engine.tokenizer().encode(read_text(o, o.files));
  if (o.length > 0 && o.length < static_cast<int64_t>(ids.size())) ids.resize(static_cast<size_t>(o.length));
  fit_ids(engine, o, ids, 0);
  if (o.from >= std::ssize(ids))
    fail("the text has {} tokens: nothing is left to score from token {} on", ids.size(), o.from);
  return ids;
}

/// The options of what is compared with: those that were not said otherwise are the same.
Options base_options(const ScoreOptions& o) {
  Options base = o;
  // An adapter belongs to the model that it was named with.
  if (!o.against.empty()) base.model = o.against, base.adapter.clear();
  if (!o.against_cache_type.empty()) base.cache_type = o.against_cache_type;
  if (!o.against_position.empty()) base.position = o.against_position;
  if (!o.against_attention.empty()) base.attention = o.against_attention;
  return base;
}

Json json_of(const DivergenceSummary& s) {
  return {{"scored", s.tokens},
          {"nll", s.nll},
          {"perplexity", std::exp(s.nll)},
          {"against", {{"nll", s.base_nll}, {"perplexity", std::exp(s.base_nll)}}},
          {"nll_change", {{"mean", s.nll_change}, {"error", s.nll_error}}},
          {"kl",
           {{"mean", s.kl},
            {"error", s.kl_error},
            {"median", s.kl_median},
            {"p99", s.kl_99},
            {"most", s.kl_most}}},
          {"same_likeliest", s.same_likeliest},
          {"probability_rms", s.probability_rms}};
}

int score_against(const ScoreOptions& o) {
  Engine engine = open_engine(o, Lengths::Known);
  std::vector<int32_t> ids = ids_of_text(engine, o);
  Options other = base_options(o);
  Engine base_engine = open_engine(other, Lengths::Known);
  if (base_engine.tokenizer().encode("The same text?\n1234 文") !=
      engine.tokenizer().encode("The same text?\n1234 文"))
    fail("{} and {} split text into different tokens: only models with one tokenizer can be compared",
         o.model, other.model);
  stretch(base_engine, other, std::ssize(ids));
  check_memory(base_engine, {.tokens = std::ssize(ids), .scored = true});
  Sequence sequence(engine, std::ssize(ids)), base(base_engine, std::ssize(ids));
  arm_interrupt();
  std::vector<TokenDivergence> tokens;
  bool complete;
  {
    ProgressBar bar("comparing", o.quiet);
    complete = diverge(base, sequence, ids, static_cast<size_t>(o.from), tokens,
                       [&](int64_t done, int64_t total) { return bar.update(done, total); });
  }
  if (tokens.empty()) return kExitInterrupted;
  DivergenceSummary s = summarise(tokens);
  if (!complete) remark(o, "interrupted: the figures are of {} tokens", grouped(s.tokens));
  if (o.json) {
    Json json = json_of(s);
    if (std::optional<double> share = skipped_share(engine.model())) json["skipped_scores"] = *share;
    print_json(json);
  } else {
    remark_skipped(o, engine.model());
    print_now(fmt::format("tokens      {}, {} of them compared from token {} on\n", grouped(std::ssize(ids)),
                          grouped(s.tokens), grouped(o.from)));
    print_now(fmt::format("nll         {:.4f} nats a token, against {:.4f}: {:+.5f} ± {:.5f}\n", s.nll,
                          s.base_nll, s.nll_change, s.nll_error));
    print_now(fmt::format("perplexity  {:.3f}, against {:.3f}\n", std::exp(s.nll), std::exp(s.base_nll)));
    print_now(
        fmt::format("KL          {:.6f} ± {:.6f} nats a token; median {:.6f}, 99 % {:.5f}, most {:.4f}\n",
                    s.kl, s.kl_error, s.kl_median, s.kl_99, s.kl_most));
    print_now(fmt::format("likeliest   the same for {:.2f} % of the tokens\n", 100 * s.same_likeliest));
    print_now(fmt::format("next token  its probability differs by {:.3f} % (root mean square)\n",
                          100 * s.probability_rms));
  }
  return complete ? kExitDone : kExitInterrupted;
}

int score(const ScoreOptions& o) {
  if (o.compares()) return score_against(o);
  Engine engine = open_engine(o, Lengths::Known);
  std::vector<int32_t> ids = ids_of_text(engine, o);
  auto count = static_cast<int64_t>(ids.size());

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

  remark_skipped(o, engine.model());
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
  app.add_option("--against", o->against, "compare the next-token distributions with this model's (KL)");
  app.add_option("--against-cache-type", o->against_cache_type, "the same, of this type of cache: f32");
  app.add_option("--against-position", o->against_position, "the same, under this position method");
  app.add_option("--against-attention", o->against_attention, "the same, under this attention: dense");
  add_window_options(app, *o);
  add_engine_options(app, *o);
  add_output_options(app, *o);
  return [o] { return score(*o); };
}

}  // namespace longspan::cli
