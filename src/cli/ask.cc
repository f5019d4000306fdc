// ask: answers about a document. Several questions share the cache of the document, which is read once.
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "cli/answering.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/questions.h"

namespace longspan::cli {

namespace {

struct AskOptions : Options {
  std::vector<std::string> files, words, given;  // words: QUESTION; given: -Q
  std::vector<std::string> questions;
  int64_t n = 128;
  SamplingOptions sampling;
};

std::vector<int32_t> question_prompt(const Engine& engine, const AskOptions& o, const std::string& document,
                                     const std::string& question) {
  std::vector<ChatMessage> messages;
  if (!o.system.empty()) messages.push_back({"system", o.system});
  messages.push_back({"user", document_message(document, question)});
  return engine.prompts().encode(messages);
}

/// One for each question.
Prompts question_prompts(Engine& engine, const AskOptions& o) {
  return fit_document(engine, o, read_text(o, o.files), o.n, [&](const std::string& document) {
    Prompts all;
    for (const std::string& q : o.questions) all.push_back(question_prompt(engine, o, document, q));
    return all;
  });
}

int ask(AskOptions& o) {
  o.questions = typed_questions(o.words, o.given);
  if (o.questions.size() < o.words.size() + o.given.size())
    remark(o, "one question: {}; for several: -Q QUESTION -Q QUESTION", in_quotes(o.questions.front(), 200));
  check_sampling(o.sampling);
  choose_seed(o, o.sampling);
  Engine engine = open_engine(o, Lengths::Known);
  Prompts all = question_prompts(engine, o);
  size_t longest = 0;
  for (const auto& ids : all) longest = std::max(longest, ids.size());
  Sequence sequence(engine, static_cast<int64_t>(longest) + o.n);
  arm_interrupt();
  for (size_t i = 0; i < all.size(); ++i) {
    Prefill prefill = feed_prompt(sequence, all[i], o);
    if (!prefill.complete) return kExitInterrupted;
    if (all.size() > 1 && !o.json) remark(o, "question: {}", o.questions[i]);
    Generation g = answer(sequence, engine, o.n, chat_sampling(engine.chat(), o.sampling), o);
    report_answer(o, {{"question", o.questions[i]}, {"answer", g.text}}, prefill, g);
    if (g.reason == StopReason::Interrupted) return kExitInterrupted;
  }
  return kExitDone;
}

}  // namespace

Run define_ask(CLI::App& app) {
  auto o = std::make_shared<AskOptions>();
  add_model_argument(app, *o);
  CLI::Option* words = app.add_option("QUESTION", o->words, "the question; several in quotes each, or by -Q");
  CLI::Option* given =
      app.add_option("-Q,--question", o->given, "a question; may be repeated")->allow_extra_args(false);
  app.parse_complete_callback([words, given] {
    if (words->count() + given->count() == 0) throw CLI::RequiredError("QUESTION");
  });
  add_file_option(app, *o, o->files, "the document, or several; - is standard input")->required();
  app.add_option("-n", o->n, "tokens of an answer at most; default 128")
      ->transform(whole_number(1, int64_t{1} << 30));
  add_chat_options(app, *o);
  add_sampling_options(app, o->sampling);
  add_window_options(app, *o);
  add_engine_options(app, *o);
  add_output_options(app, *o);
  return [o] { return ask(*o); };
}

}  // namespace longspan::cli
