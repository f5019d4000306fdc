// ask: answers about a document. Several questions share the document, which is read once; its keys and
// values stay on disk for the questions of later calls (document_cache.h). With --index each question has a
// document of its own: the passages that were found for it (retrieving.h).
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "cli/answering.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/questions.h"
#include "cli/retrieving.h"
#include "cli/window.h"
#include "documents/document.h"

namespace longspan::cli {

namespace {

struct AskOptions : Options {
  std::vector<std::string> files, words, given;  // words: QUESTION; given: -Q
  std::vector<std::string> questions;
  std::string question_file, index;
  int64_t n = 128, budget = 0, passages = 0;
  SamplingOptions sampling;
};

std::vector<int32_t> prompt_ids(const Engine& engine, const AskOptions& o, const std::string& document,
                                const std::string& question) {
  std::vector<ChatMessage> messages;
  if (!o.system.empty()) messages.push_back({"system", o.system});
  messages.push_back({"user", document_message(document, question)});
  return engine.prompts().encode(messages);
}

/// One for each question.
Prompts question_prompts(Engine& engine, const AskOptions& o) {
  auto prompt = [&](const std::string& document, const std::string& question) {
    return prompt_ids(engine, o, document, question);
  };
  return fit_document(engine, o, read_text(o, o.files), o.n, [&](const std::string& document) {
    Prompts all;
    for (const std::string& q : o.questions) {
      Prompt& p = all.emplace_back(Prompt{.ids = prompt(document, q)});
      p.document = document_tokens(engine, p.ids, document, [&](const std::string& text, const char* other) {
        return prompt(text, other ? other : q);
      });
    }
    return all;
  });
}

using SourceLists = std::vector<std::vector<retrieval::Source>>;

/// For each question.
std::vector<std::vector<retrieval::Hit>> find_passages(const AskOptions& o) {
  OpenIndex index(o, o.index);
  std::vector<std::vector<retrieval::Hit>> found;
  int64_t most =
      o.passages > 0 ? o.passages : passages_for(o.budget > 0 ? o.budget : retrieval::kDefaultBudget);
  for (const std::string& question : o.questions) found.push_back(index.find(question, most));
  return found;
}

/// The same of the passages that were found; `sources` receives those of each question.
Prompts index_prompts(Engine& engine, const AskOptions& o,
                      const std::vector<std::vector<retrieval::Hit>>& found, SourceLists& sources) {
  Prompts all;
  for (FoundPrompt& one : fit_passages(
           engine, o, found, o.budget, o.n,
           [&](size_t q, const std::string&text) { return prompt_ids(engine, o, text, o.questions[q]); })) {
    all.push_back(std::move(one.prompt));
    sources.push_back(std::move(one.sources));
  }
  return all;
}

/// The length to declare for prompts and answers: where keys depend on it, one that questions of different
/// lengths share.
int64_t declared_length(const Engine& engine, const Prompts& all, const AskOptions& o) {
  int64_t needed = longest(all) + o.n;
  if (!position_spec(engine.config().position, engine.config().head_shape(), needed).depends_on_length)
    return needed;
  int64_t shared = shared_length(longest_document(all), needed);
  return std::max(needed, std::min(shared, window_tokens(engine.config(), o)));
}

/// False after Ctrl-C.
bool answer_question(const Engine& engine, const AskOptions& o, Sequence& sequence, DocumentCache& cache,
                     const Prompt& prompt, const std::string& question,
                     const std::vector<retrieval::Source>& sources) {
  constexpr double kWorthKeeping = 10;  // seconds
  Prefill prefill = feed_prompt(sequence, prompt, cache, o);
  if (!prefill.complete) {
    if (prefill.seconds > kWorthKeeping) cache.keep(sequence);
    return false;
  }
  bool several = o.questions.size() > 1;
  if (several && !o.json) print_now(fmt::format("Question: {}\n", question));
  Generation g = answer(sequence, engine, o.n, chat_sampling(engine.chat(), o.sampling), o);
  if (!sources.empty() && !o.json) print_sources(sources);
  if (several && !o.json) print_now("\n");
  Json fields = {{"question", question}, {"answer", g.text}};
  if (!o.index.empty()) fields["sources"] = sources_json(sources);
  report_answer(o, std::move(fields), prefill, g);
  remark_limit(o, g, o.n);
  cache.keep(sequence);
  // So that the passes of the next question, too, begin where the document ends.
  if (prompt.document > 0) sequence.truncate(prompt.document);
  return g.reason != StopReason::Interrupted;
}

int ask(AskOptions& o) {
  if (o.question_file.empty()) o.questions = typed_questions(o.words, o.given);
  if (o.question_file.empty() && o.questions.size() < o.words.size() + o.given.size())
    remark(o, "one question: {}; for several: -Q QUESTION -Q QUESTION", in_quotes(o.questions.front(), 200));
  check_sampling(o.sampling);
  o.sampling.grammar = read_grammar(o);
  choose_seed(o, o.sampling);
  if (!o.question_file.empty()) {
    if (o.question_file == "-" && std::count(o.files.begin(), o.files.end(), "-") > 0)
      fail("--file and --questions cannot both be standard input");
    o.questions = read_questions(o.question_file, o.encoding);
  }
  // The embedder is gone when the model comes.
  std::vector<std::vector<retrieval::Hit>> found;
  if (!o.index.empty()) found = find_passages(o);
  Engine engine = open_engine(o, Lengths::Known);
  DocumentCache cache(engine, o);
  SourceLists sources;
  Prompts all = o.index.empty() ? question_prompts(engine, o) : index_prompts(engine, o, found, sources);
  sources.resize(all.size());
  Sequence sequence(engine, declared_length(engine, all, o));
  arm_interrupt();
  for (size_t i = 0; i < all.size(); ++i)
    if (!answer_question(engine, o, sequence, cache, all[i], o.questions[i], sources[i]))
      return kExitInterrupted;
  return kExitDone;
}

}  // namespace

Run define_ask(CLI::App& app) {
  auto o = std::make_shared<AskOptions>();
  add_model_argument(app, *o);
  CLI::Option* words = app.add_option("QUESTION", o->words, "the question; several in quotes each, or by -Q");
  CLI::Option* given =
      app.add_option("-Q,--question", o->given, "a question; may be repeated")->allow_extra_args(false);
  CLI::Option* file =
      app.add_option("--questions", o->question_file, "a file of questions, one per line; - is stdin");
  CLI::Option* document = add_file_option(app, *o, o->files, "the document, or several; - is standard input");
  CLI::Option* index =
      app.add_option("--index", o->index, "instead: the passages that `longspan index` finds");
  app.add_option("--budget", o->budget, "of them, tokens; default what the window leaves, at most 16k")
      ->transform(whole_number(1, int64_t{1} << 30));
  app.add_option("--passages", o->passages, "of them, at most N")->transform(whole_number(1, 100000));
  app.parse_complete_callback([words, given, file, document, index, o] {
    if (document->count() + index->count() == 0) throw CLI::RequiredError("--file or --index");
    if (document->count() > 0 && index->count() > 0) throw CLI::ExcludesError("--index", "--file");
    if (index->count() == 0 && o->budget + o->passages > 0)
      throw CLI::RequiresError("--budget and --passages", "--index");
    size_t typed = words->count() + given->count();
    if (typed + file->count() == 0) throw CLI::RequiredError("QUESTION");
    if (typed > 0 && file->count() > 0) throw CLI::ExcludesError("--questions", "QUESTION");
  });
  app.add_option("-n", o->n, "tokens of an answer at most; default 128")
      ->transform(whole_number(1, int64_t{1} << 30));
  add_chat_options(app, *o);
  add_sampling_options(app, o->sampling);
  add_grammar_options(app, *o);
  add_draft_option(app, *o);
  add_evict_option(app, *o);
  add_window_options(app, *o);
  add_cache_options(app, *o);
  add_engine_options(app, *o);
  add_output_options(app, *o);
  // The help fits a screen; commands.cc names these below the others.
  for (const char* rare : {"--chunk", "--compute", "--kernels", "--attention", "--evict", "--min-p",
                           "--weights", "--cache-size"})
    app.get_option(rare)->group("");
  return [o] { return ask(*o); };
}

}  // namespace longspan::cli
