// eval: runs a suite and writes its report; compares two runs; lists the suites.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/plural.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/eval_runs.h"
#include "cli/interrupt.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/usage.h"
#include "cli/window.h"
#include "eval/endpoint.h"
#include "eval/run.h"
#include "eval/summary.h"
#include "model/model_files.h"
#include "position/stretch.h"
#include "report/report.h"

namespace longspan::cli {

namespace {

namespace fs = std::filesystem;

struct EvalOptions : Options {
  std::string suite, dialect, data, out, scoring = "compat", shard = "1/1", jieba, show;
  std::vector<std::string> more, tasks, overrides;
  std::vector<int64_t> lengths;
  std::string depths, haystack, needle, question, answer, length_tokenizer;
  int64_t limit = 0;
  Endpoint endpoint;
};

/// The short options as --set overrides.
std::vector<std::string> overrides_of(const EvalOptions& o) {
  std::vector<std::string> all;
  auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) all.push_back(fmt::format("{}={}", key, value));
  };
  auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) all.push_back(fmt::format("{}={}", key, dump_json(value)));
  };
  std::string lengths;
  for (int64_t length : o.lengths) lengths += (lengths.empty() ? "" : ",") + std::to_string(length);
  add("make.lengths", lengths.empty() ? "" : "[" + lengths + "]");
  bool list = o.depths.find(',') != o.depths.npos;
  add("make.depths", list ? "[" + o.depths + "]" : o.depths);
  text("make.haystack", o.haystack);
  text("make.needle", o.needle);
  text("make.question", o.question);
  text("make.answer", o.answer);
  text("truncate", o.truncate);
  all.insert(all.end(), o.overrides.begin(), o.overrides.end());  // an explicit --set wins
  return all;
}

/// The command line that repeats this run, without the options that only control place, speed and output.
std::string command_line(const EvalOptions& o) {
  std::string line = fmt::format("longspan eval {} {}", shell_word(o.suite), shell_word(o.model));
  auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) line += fmt::format(" {} {}", option, shell_word(value));
  };
  add("--dialect", o.dialect);
  std::string tasks;
  for (const std::string& task : o.tasks) tasks += (tasks.empty() ? "" : ",") + task;
  add("--tasks", tasks);
  for (const std::string& one : overrides_of(o)) add("--set", one);
  add("--data", o.data);
  add("--position", o.position);
  add("--adapter", o.adapter);
  add("--chat-template", o.chat_template);
  if (o.limit > 0) add("--limit", std::to_string(o.limit));
  if (o.context > 0) add("--context", std::to_string(o.context));
  if (o.seed > 0) add("--seed", std::to_string(o.seed));
  if (o.cache_type != Options().cache_type) add("--cache-type", o.cache_type);
  if (o.chunk > 0) add("--chunk", std::to_string(o.chunk));
  add("--compute", o.compute);
  add("--kernels", o.kernels);
  if (o.draft != Options().draft) add("--draft", o.draft);
  if (o.attention != Options().attention) add("--attention", o.attention);
  if (o.evict != Options().evict) add("--evict", o.evict);
  if (o.device != "cpu") add("--device", o.device);
  add("--encoding", o.encoding);
  add("--length-tokenizer", o.length_tokenizer);
  add("--jieba", o.jieba);
  if (o.scoring != EvalOptions().scoring) add("--scoring", o.scoring);
  add("--endpoint", o.endpoint.url);
  add("--endpoint-model", o.endpoint.model);
  if (o.endpoint.chat) line += " --endpoint-chat";
  return line;
}

/// A folder for this run, named after the settings that decide its results.
fs::path default_folder(const EvalOptions& o, const ModelConfig& config) {
  std::string name =
      fmt::format("eval-{}-{}", fs::path(o.suite).stem().string(), fs::path(o.model).stem().string());
  if (!o.dialect.empty()) name += "-" + o.dialect;
  if (!o.position.empty()) name += "-" + describe(config.position);
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) &&
        std::string_view("-._=").find(c) == std::string_view::npos)
      c = '-';
  return name;
}

RunSettings settings_of(const EvalOptions& o, const EngineSetup& setup, bool segments) {
  RunSettings settings;
  settings.scoring = o.scoring == name_of(Scoring::kClean) ? Scoring::kClean : Scoring::kCompat;
  settings.model = o.model;
  settings.position = describe(setup.config.position);
  settings.cache_type = o.cache_type;
  settings.compute = name(setup.compute);
  settings.kernels = setup.device->kernels().name;
  settings.chunk = chunk_of(o);
  if (o.draft != name(Drafts::Off)) settings.draft = o.draft;
  if (o.attention != Options().attention) settings.attention = o.attention;
  if (o.evict != Options().evict) settings.evict = o.evict;
  settings.adapter = o.adapter;
  settings.chat_template = o.chat_template;
  settings.data = o.data;
  settings.length_tokenizer = o.length_tokenizer;
  settings.overrides = overrides_of(o);
  settings.command = command_line(o);
  if (segments) {
    fs::path jieba = jieba_folder(o.jieba);
    settings.jieba = jieba.empty() ? "built in, version 0.42.1" : jieba.string();
  }
  if (!o.endpoint.url.empty())
    settings.endpoint = EndpointSettings{o.endpoint.url, o.endpoint.model, o.endpoint.chat};
  return settings;
}

/// Null if no metric needs one.
std::unique_ptr<Segmenter> segmenter_for(const EvalOptions& o, const Suite& suite) {
  for (const Task& task : suite.tasks)
    for (const std::string& name : task.metrics) {
      auto known =
          std::find_if(metrics().begin(), metrics().end(), [&](const Metric& m) { return name == m.name; });
      if (known != metrics().end() && known->needs_segmenter)
        return std::make_unique<Segmenter>(jieba_folder(o.jieba));
    }
  return nullptr;
}

bool lengths_are_chosen(const EvalOptions& o) {
  const std::vector<std::string> all = overrides_of(o);
  return std::any_of(all.begin(), all.end(), [](const std::string& one) {
    return one.substr(0, one.find('=')).ends_with("make.lengths");
  });
}

int show_case(const EvalOptions& o, const PromptMaker& prompts, const RunPlan& plan) {
  auto at = std::find_if(plan.cases.begin(), plan.cases.end(), [&](const Case& c) { return c.id == o.show; });
  if (at == plan.cases.end())
    fail("--show {}: there is no such case; the first is {}", excerpt(o.show),
         excerpt(plan.cases.front().id));
  CaseText text = at->text();
  if (at->kind == CaseKind::Loss) {
    print_now(prompts.tokenizer.decode(text.ids) + "\n");
    return kExitDone;
  }
  print_now(case_prompt(prompts, plan, *at, text).text + "\n");
  for (const std::string& reference : text.references) remark(o, "reference: {}", reference);
  for (const std::string& choice : text.choices) remark(o, "choice: {}", choice);
  return kExitDone;
}

void remark_cost(const EvalOptions& o, const Cost& cost) {
  if (!cost.read_tokens || cost.tokens == 0) return;  // losses share no prefix, servers do not report it
  remark(o, "prompts of {} tokens, {} of them read ({:.1f} %): the others were in the cache",
         grouped(cost.tokens), grouped(*cost.read_tokens),
         100.0 * static_cast<double>(*cost.read_tokens) / static_cast<double>(cost.tokens));
}

/// `engine`: null where a server answers. Error for cases that a server cannot answer.
Responder responder_of(const EvalOptions& o, const Engine* engine, const RunPlan& plan) {
  if (engine) return local_responder(*engine);
  for (const Case& c : plan.cases)
    if (c.kind != CaseKind::Answer)
      fail("{}: goes by the likelihood of given text, which servers do not tell; leave out --endpoint",
           excerpt(c.id));
  return endpoint_responder(o.endpoint);
}

/// Runs the cases of this shard that the folder does not have yet; false after Ctrl-C.
bool run_shard(const EvalOptions& o, const PromptMaker& prompts, const RunPlan& plan,
               const Responder& responder, const Segmenter* segmenter, const fs::path& folder) {
  Shard shard = parse_shard(o.shard);
  std::vector<size_t> indices = shard_cases(plan, shard);
  start_run(folder, plan.settings);
  ResultStore store(results_file(folder, shard));
  std::set<std::string> finished = finished_cases(folder);
  const Suite& suite = plan.suite;
  std::string name = suite.name + (suite.dialect.empty() ? "" : " (" + suite.dialect + ")"), more;
  if (shard.count > 1) more += fmt::format(", {} of them in shard {}", grouped(std::ssize(indices)), o.shard);
  if (!finished.empty()) more += fmt::format(", {} are there already", grouped(std::ssize(finished)));
  remark(o, "{}: {}{}", name, counted(std::ssize(plan.cases), "case"), more);
  arm_interrupt();
  ProgressBar bar(suite.name, o.quiet);
  return run_cases(
      prompts, plan, indices, responder, segmenter,
      [&](const std::string& id) { return finished.contains(id); }, store,
      [&](int64_t done, int64_t total) { return bar.update(done, total); });
}

/// Tables and report of the results in the folder. The report is written when the run is complete, or when no
/// other shard will write it.
void show_results(const EvalOptions& o, const fs::path& folder, bool alone) {
  RunResults run = read_run(folder);
  if (run.cases.empty()) return remark(o, "{}: no case is done", folder.string());
  Summary summary = summarise(run);
  bool page = alone || summary.complete();
  if (o.json)
    print_json(to_json(summary));
  else
    print_now(summary_table(summary));
  remark_cost(o, summary.cost);
  const fs::path file = folder / "report.html";
  if (page) write_report(run, summary);
  remark(o, "{}",
         page ? page_remark(file) : "this shard is done; the one that ends last writes " + file.string());
}

/// --position with the factor that the run's longest texts ask for.
std::string stretched_position(const EvalOptions& o) {
  int64_t longest = o.context;
  if (longest == 0)
    for (int64_t length : o.lengths) longest = std::max(longest, length);
  if (longest == 0)
    fail(
        "--position {}: its factor follows the longest texts of the run; give --lengths, --context, or "
        "factor=F",
        excerpt(o.position));
  ModelConfig config = read_config(open_metadata(resolve_model(o.model)));
  std::string spec = stretch_method(o.position, config.position, longest).spec;
  remark(o, "--position {} for {} tokens", spec, grouped(longest));
  return spec;
}

/// Error when a case whose length is known needs more memory than there is. The others are checked when they
/// have been made.
void check_run_memory(const Engine& engine, const RunPlan& plan, const std::vector<size_t>& indices) {
  const Case* longest = nullptr;
  for (size_t i : indices)
    if (!longest || plan.cases[i].length > longest->length) longest = &plan.cases[i];
  if (!longest || longest->length == 0) return;
  check_memory(engine, {.tokens = longest->length, .scored = longest->kind != CaseKind::Answer},
               [&](int64_t) {
                 return fmt::format("ask for shorter --lengths than that of {}", excerpt(longest->id));
               });
}

int eval(EvalOptions& o) {
  // A case's name begins with its task: the others need not be in order.
  if (!o.show.empty() && o.tasks.empty()) o.tasks = {o.show.substr(0, o.show.find('/'))};
  bool alone = parse_shard(o.shard).count == 1;
  Suite suite = read_suite(o.suite, o.dialect, o.tasks, overrides_of(o));
  std::unique_ptr<Segmenter> segmenter = segmenter_for(o, suite);
  // A server computes elsewhere, and a prompt is shown without any model: neither needs weights.
  const bool computes = o.endpoint.url.empty() && o.show.empty();
  if (needs_length(o.position)) o.position = stretched_position(o);
  OpenedModel model = open_model(o, computes);
  const EngineSetup& setup = model.setup;
  if (!o.endpoint.url.empty()) {
    if (o.draft != name(Drafts::Off))
      fail("--draft {}: how a server writes is its own affair; leave out --draft", o.draft);
    if (const char* key = std::getenv("OPENAI_API_KEY")) o.endpoint.key = key;
    o.endpoint.model = endpoint_model(o.endpoint);
  }
  int64_t window = window_tokens(setup.config, o);
  std::optional<Tokenizer> lengths;
  if (!o.length_tokenizer.empty()) lengths = load_tokenizer(open_metadata(resolve_model(o.length_tokenizer)));
  MakeContext context{
      .prompts = setup.prompts,
      .length_tokenizer = lengths ? &*lengths : nullptr,
      .data = o.data,
      .seed = o.seed,
      .limit = o.limit,
      .window = window == INT64_MAX ? 0 : window,
      .reading = {o.encoding, [&](const std::string& sentence) { remark(o, "{}", sentence); }}};
  RunPlan plan =
      plan_run(setup.config, std::move(suite), context, settings_of(o, setup, segmenter != nullptr),
               lengths_are_chosen(o) ? TooLong::Refuse : TooLong::LeaveOut);
  for (const std::string& sentence : plan.missing) remark(o, "left out: {}", sentence);
  if (!o.show.empty()) return show_case(o, setup.prompts, plan);
  std::optional<Engine> engine;
  if (computes) engine.emplace(std::move(model.checkpoint), setup, engine_options(o));
  if (engine) check_run_memory(*engine, plan, shard_cases(plan, parse_shard(o.shard)));
  Responder responder = responder_of(o, engine ? &*engine : nullptr, plan);
  fs::path folder = o.out.empty() ? default_folder(o, setup.config) : fs::path(o.out);
  bool complete = run_shard(o, setup.prompts, plan, responder, segmenter.get(), folder);
  if (!complete) remark(o, "interrupted: the same command goes on from here");
  show_results(o, folder, alone);
  return complete ? kExitDone : kExitInterrupted;
}

int report(const EvalOptions& o) {
  show_results(o, o.out, true);
  return kExitDone;
}

/// The suites of "needle,ruler".
std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> names;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) names.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

/// `eval needle ruler MODEL`: the last word is the model, the others are suites; a comma does as well.
std::vector<std::string> take_suites(EvalOptions& o) {
  std::vector<std::string> words = {o.suite, o.model}, suites;
  words.insert(words.end(), o.more.begin(), o.more.end());
  o.model = words.back();
  words.pop_back();
  for (const std::string& word : words)
    for (std::string& name : split_names(word)) suites.push_back(std::move(name));
  return suites;
}

/// One after another, each into a folder of its own. What one suite lacks does not stop the others.
int eval_all(EvalOptions& o) {
  std::vector<std::string> suites = take_suites(o);
  if (suites.size() == 1) {
    o.suite = suites[0];
    return eval(o);
  }
  for (const std::string& suite : suites)
    read_suite(suite, "", {}, {});  // a slip of the pen ends no run of hours
  int status = kExitDone;
  for (const std::string& suite : suites) {
    EvalOptions one = o;
    one.suite = suite;
    if (!o.out.empty()) one.out = (fs::path(o.out) / fs::path(suite).stem()).string();
    if (!o.json) print_now(&suite == &suites.front() ? "" : "\n");
    try {
      if (eval(one) == kExitInterrupted) return kExitInterrupted;
    } catch (const Error& e) {
      print_fault(fmt::format("{}: {}", suite, e.what()));
      status = kExitFault;
    }
  }
  return status;
}

void add_run_options(CLI::App& app, EvalOptions& o) {
  app.add_option("SUITE", o.suite, "a name of `eval list` or a .toml file of yours; several as A,B or A B");
  app.add_option("MODEL", o.model, "GGUF file, directory, or name (smollm2)");
  app.add_option("MORE", o.more, "of several suites the last word is the model")->group("");
  app.add_option("-o,--out", o.out, "folder of results and report; what is there is not done again");
  app.add_option("--tasks", o.tasks, "only these: A,B,...")->delimiter(',')->allow_extra_args(false);
  app.add_option("--dialect", o.dialect, "whose way of asking; default the suite's first");
  app.add_option("--data", o.data, "file or folder with the suite's data, plain or compressed");
  app.add_option("--limit", o.limit, "cases of a task, or of each of its lengths; 0 (default): all")
      ->transform(whole_number(0, int64_t{1} << 40));
  app.add_option("--lengths", o.lengths, "tokens of prompt and answer: N,M,...")
      ->delimiter(',')
      ->transform(whole_number(16, int64_t{1} << 40))
      ->allow_extra_args(false);
  app.add_option("--length-tokenizer", o.length_tokenizer,
                 "model whose tokens NeedleBench's lengths are; default MODEL's");
  app.add_option("--depths", o.depths, "of a needle: a number of them, or per cents A,B,...");
  app.add_option("--haystack", o.haystack, "text to hide needles in: a file or folder");
  add_encoding_option(app, o);
  app.add_option("--needle", o.needle, "a sentence of yours to hide, with --question and --answer");
  app.add_option("--question", o.question, "what is asked about it");
  app.add_option("--answer", o.answer, "the words that must be in the answer");
  app.add_option("--set", o.overrides, "a key of the rows: KEY=VALUE or TASK.KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--truncate", o.truncate,
                 "of a prompt that does not fit: refuse, middle, text-middle, left, right, words")
      ->transform(one_of({"refuse", "middle", "text-middle", "left", "right", "words"}));
  app.add_option("--context", o.context, "insist on a window of N tokens")
      ->transform(whole_number(1, int64_t{1} << 40));
  app.add_option("--scoring", o.scoring,
                 "compat (default): as the originals score; clean: without their quirks")
      ->transform(one_of({"compat", "clean"}));
  app.add_option("--shard", o.shard, "I/N: only this part of the cases, beside other processes");
  app.add_option("--jieba", o.jieba, "folder of another dictionary of jieba's, for Chinese scores");
  app.add_option("--chat-template", o.chat_template, "built-in name or Jinja file; default the model's");
  app.add_option("--endpoint", o.endpoint.url,
                 "ask this OpenAI-compatible server; MODEL gives tokenizer and template");
  app.add_option("--endpoint-model", o.endpoint.model, "the model's name there; default the first it lists");
  app.add_flag("--endpoint-chat", o.endpoint.chat, "send turns, not the rendered prompt");
  app.add_option("--show", o.show, "print the prompt of the case with this name, and run nothing");
  add_draft_option(app, o);
  add_evict_option(app, o);
  add_engine_options(app, o);
  add_output_options(app, o);
  // The help fits a screen; commands.cc names these below the others.
  for (const char* rare :
       {"--encoding", "--question", "--answer", "--length-tokenizer", "--jieba", "--chat-template",
        "--adapter", "--endpoint-model", "--endpoint-chat", "--cache-type", "--compute", "--kernels",
        "--chunk", "--device", "--draft", "--evict"})
    app.get_option(rare)->group("");
}

}  // namespace

Run define_eval(CLI::App& app) {
  auto o = std::make_shared<EvalOptions>();
  auto names = std::make_shared<std::vector<std::string>>();
  auto d = std::make_shared<DiffOptions>();
  add_run_options(app, *o);
  CLI::App* lists = app.add_subcommand("list", "the suites that run now, and those that need data");
  lists->add_option("NAME", *names, "tell all about these suites");
  add_output_options(*lists, *o);
  CLI::App* reports = app.add_subcommand("report", "write the report of a folder again");
  reports->add_option("DIR", o->out, "folder of a run")->required();
  add_output_options(*reports, *o);
  CLI::App* diffs = app.add_subcommand("diff", "runs side by side: what changed, and is it significant");
  diffs->add_option("RUNS", d->runs, "folders of runs of one suite; the first is the baseline")
      ->required()
      ->expected(2, 64);
  diffs->add_option("-o,--out", d->out, "page to write: FILE.html; of N runs FILE-2.html to FILE-N.html");
  diffs->add_flag("--fail-if-worse", d->fail_if_worse, "exit with 1 when a run is significantly worse");
  diffs->add_option("--threshold", d->threshold, "worse by more than X points (losses: nats); default 0")
      ->check(CLI::Range(0.0, 100.0).description(""));
  add_output_options(*diffs, *o);
  app.parse_complete_callback([o, lists, reports, diffs] {
    if (!lists->parsed() && !reports->parsed() && !diffs->parsed() && (o->suite.empty() || o->model.empty()))
      throw CLI::RequiredError("SUITE and MODEL (or list, report, diff)");
  });
  return [o, names, d, lists, reports, diffs] {
    if (lists->parsed()) return list_suites(*o, *names);
    if (reports->parsed()) return report(*o);
    if (diffs->parsed()) return diff_runs(*o, *d);
    return eval_all(*o);
  };
}

}  // namespace longspan::cli
