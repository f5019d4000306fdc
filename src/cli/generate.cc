// generate: continues raw text.
#include <memory>

#include "base/error.h"
#include "cli/answering.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/window.h"

namespace longspan::cli {

namespace {

struct GenerateOptions : Options {
  std::string prompt;
  std::vector<std::string> files;
  int64_t n = 128;
  SamplingOptions sampling;
};

int generate_text(GenerateOptions& o) {
  check_sampling(o.sampling);
  o.sampling.grammar = read_grammar(o);
  choose_seed(o, o.sampling);
  Engine engine = open_engine(o, Lengths::Known);
  std::vector<int32_t> ids = engine.tokenizer().encode(o.files.empty() ? o.prompt : read_text(o, o.files));
  if (ids.empty())
    fail("the prompt is empty and this model has no token for the beginning of a text; give it a word");
  fit_ids(engine, o, ids, o.n);
  Sequence sequence(engine, static_cast<int64_t>(ids.size()) + o.n);
  arm_interrupt();
  Prefill prefill = feed_prompt(sequence, ids, o);
  if (!prefill.complete) return kExitInterrupted;
  Generation g = answer(sequence, engine, o.n, o.sampling, o);
  report_answer(o, {{"text", g.text}, {"ids", g.ids}}, prefill, g);
  return g.reason == StopReason::Interrupted ? kExitInterrupted : kExitDone;
}

}  // namespace

Run define_generate(CLI::App& app) {
  auto o = std::make_shared<GenerateOptions>();
  add_model_argument(app, *o);
  CLI::Option* prompt = app.add_option("-p,--prompt", o->prompt, "the text to continue");
  CLI::Option* file =
      add_file_option(app, *o, o->files, "the text of a file; - is standard input")->excludes(prompt);
  app.add_option("-n", o->n, "tokens to write at most; default 128")
      ->transform(whole_number(1, int64_t{1} << 30));
  add_sampling_options(app, o->sampling);
  add_grammar_options(app, *o);
  add_draft_option(app, *o);
  add_evict_option(app, *o);
  add_window_options(app, *o);
  add_engine_options(app, *o);
  add_output_options(app, *o);
  app.callback([prompt, file] {
    if (prompt->count() + file->count() == 0) throw CLI::RequiredError("--prompt or --file");
  });
  return [o] { return generate_text(*o); };
}

}  // namespace longspan::cli
