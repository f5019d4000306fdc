#include "cli/commands.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <vector>

#include "base/text.h"
#include "cli/output.h"
#include "cli/usage.h"

namespace longspan::cli {

std::span<const Command> commands() {
  static const Command table[] = {
      {"fetch", "bring a model into the cache and check its digest", "", "longspan fetch smollm2",
       define_fetch},
      {"info", "what a model is and what it will cost in memory", "", "longspan info smollm2 --context 16384",
       define_info},
      {"methods", "the methods that stretch a model's window", "", "longspan methods", define_methods},
      {"frequencies", "what a position method makes of a model", "",
       "longspan frequencies smollm2 --position yarn:factor=4 --length 32768", define_frequencies},
      {"plan", "what it takes to stretch a model: base, method, training, memory",
       "Without --position the method planned for is the one recommended with training.",
       "longspan plan smollm2 --to 32768", define_plan},
      {"tokenize", "text to token ids", "", "longspan tokenize smollm2 \"Hello world\"", define_tokenize},
      {"detokenize", "token ids to text", "", "longspan detokenize smollm2 19556 905", define_detokenize},
      {"score", "log-probability of every token of a text, given those before it",
       "JSON: tokens = tokens read; logprobs = natural logs for tokens 1, 2, ... (token 0 has none);\n"
       "nll = mean of -logprobs over tokens --from, ...; perplexity = exp(nll).\n"
       "--against compares distributions: KL(base, this model) and what else llama.cpp's perplexity tells.",
       "longspan score smollm2 --file book.txt --cache-type q4_0 --against-cache-type f32", define_score},
      {"attention", "how far back each layer and head looks, as a heat map",
       "reach: beyond it no distance gets the even share of attention. Over the text's second half: median,\n"
       "90 % = distances within which that part of the attention lies; entropy in nats; first token = what\n"
       "is parked there, counted at no distance. JSON: distances = borders of B ranges; mass, density =\n"
       "[layer][head][B], a range's share of the attention and the same a key, 1 being an even share.",
       "longspan attention smollm2 --file book.txt --length 4096 -o attention", define_attention},
      {"generate", "continue a text", "", "longspan generate smollm2 --prompt \"Once upon a time\" -n 64",
       define_generate},
      {"ask", "answer questions about a document",
       "The document is read once, also for later calls (--cache). With --json each answer is a line.\n"
       "Also: --attention --evict --chunk --compute --kernels --min-p --weights --cache-size.",
       "longspan ask smollm2 --file report.txt \"Who wrote it?\" --position yarn:factor=4", define_ask},
      {"chat", "a conversation, also about a file that changes",
       "In the conversation: /help lists the commands (/file, /save, /load, /stats, /reset, /exit); Ctrl-C\n"
       "stops an answer. With --memory the same command goes on where it ended.\n"
       "Also: --attention --chunk --kernels.",
       "longspan chat smollm2 --file notes.txt", define_chat},
      {"agent", "a task step by step with tools: by a model, a planner, or chance",
       "Skills say what calls need and change; then the model chooses among those that are possible.\n"
       "Also: --tool-seconds --system --chat-template --device --chunk --compute --kernels --weights\n"
       "--cache-type. JSON: a line a step (choice call result read written history), and its end. "
       "docs/agent.md.",
       "longspan agent iron_pickaxe --world crafting --seed 3 --policy plan\n"
       "  longspan agent smollm2 sticks --world crafting --memory steps --transcript run.jsonl\n"
       "  longspan agent smollm2 \"what is in notes.txt?\" --mcp \"python3 server.py\" --yes",
       define_agent},
      {"sql", "a question about a database: the model writes a SELECT, the database runs it",
       "Nothing but reading is possible: one SELECT, in limits of time and rows. docs/sql.md.\n"
       "Also: --chunk --compute --kernels --weights. JSON: question statement refused columns rows cut.",
       "longspan sql smollm2 --db library.db \"How many books did each author write?\"", define_sql},
      {"embed", "texts to vectors, and how near they are to each other",
       "Prints the cosines between all texts, or each text's nearest; with --json a line a text: index,\n"
       "tokens, embedding. Without --task the model's own instructions hold. docs/retrieval.md.",
       "longspan embed minilm \"a cat sat on the mat\" \"felines rest\" \"stock prices fell\"", define_embed},
      {"index", "an index of documents, for questions about more text than a window holds",
       "The first call makes it; later ones read only what has changed, and what is gone leaves it. Each\n"
       "document is kept as it is done: the same command goes on after Ctrl-C. `longspan ask --index DIR`\n"
       "answers from it. JSON of --search: question, hits with file line page score cosine text.\n"
       "docs/retrieval.md.",
       "longspan index library reports/ && longspan index library --search \"Who signed it?\"", define_index},
      {"serve", "an OpenAI-compatible server",
       "Endpoints: /v1/chat/completions /v1/completions /v1/embeddings /v1/models /tokenize /detokenize\n"
       "/apply-template /documents /health /metrics /openapi.json. SIGTERM lets running answers end.\n"
       "Also: --embedder-task --max-body --connections --reread-answers. docs/serving.md.",
       "longspan serve smollm2 --port 8080 --parallel 4", define_serve},
      {"corpus", "what a corpus is made of; its tokens as shards for training", "",
       "longspan corpus stats --model smollm2 books.jsonl.zst -o lengths", define_corpus},
      {"compare", "methods side by side on your text: loss, pass keys, seconds, memory",
       "Methods are separated by commas, semicolons or blanks; key=value belongs to the method before it. "
       "With\n"
       "s = length / trained window, factor=auto is s, factor=2*auto is 2 s, and a factor that a method "
       "needs\n"
       "and was not given is s (dynamic_ntk, which follows the length by itself: 2).\n"
       "JSON: rows of method length nll seconds and more; nll = mean loss of the last --tail tokens.",
       "longspan compare smollm2 --methods none,linear,yarn --lengths 8192,16384 --file book.txt -o out",
       define_compare},
      {"eval", "run a suite of questions: needles, RULER, LongBench, L-Eval, loss, ...",
       "Each case is kept as it ends: the same command goes on after Ctrl-C. OUT/report.html shows all.\n"
       "Also: --encoding --question --answer --endpoint-model --endpoint-chat --length-tokenizer --jieba "
       "--chat-template\n"
       "--adapter --cache-type --compute --kernels --chunk --device --draft --evict. JSON: suite score tasks "
       "cost.",
       "longspan eval needle smollm2 --lengths 512,1024,2048 --depths 5 -o needle-smollm2", define_eval},
      {"bench", "speed of reading and writing at given depths", "",
       "longspan bench smollm2 -p 512,4096 -n 128 -d 0,4096", define_bench},
      {"extend", "write a model whose config carries a longer window",
       "Hugging Face directories keep their weights (hard links where possible); GGUF files are "
       "dequantised.\n"
       "Methods that transformers does not know go into a key that only longspan reads.",
       "longspan extend smollm2 --position yarn --to 32768 -o smollm2-32k", define_extend},
      {"convert", "write a model as a Hugging Face directory of another type", "",
       "longspan convert smollm2 --type f16 -o smollm2-f16", define_convert},
      {"merge", "write a model with an adapter in its weights",
       "Positions that the adapter was trained under become the model's.",
       "longspan merge smollm2 runs/stretch/adapter -o smollm2-32k", define_merge},
      {"train", "continued pre-training, long instructions, adapters: what a recipe says",
       "JSON: a line a step, step loss grad_norm lr tokens_per_s mfu and more; lines with \"validation\" "
       "hold\n"
       "the held-out loss by length. OUTPUT holds metrics.jsonl, tensorboard, report.html, snapshots and "
       "the\n"
       "result. Ctrl-C makes a snapshot and leaves; --resume goes on bit by bit.",
       "longspan train recipes/stretch-smollm2-32k.toml --set stage.0.steps=100", define_train},
      {"reference", "write the reference, man pages and completions of this program", "",
       "longspan reference markdown", define_reference},
  };
  return table;
}

namespace {

int usage_error(const CLI::App& app, const std::string& what) {
  print_fault(fmt::format("{}; see {} --help", what, full_name(innermost(app))));
  return kExitUsage;
}

bool asks_for_version(const std::string& word) {
  return word == "version" || word == "--version" || word == "-V";
}

/// `help`, `help ask` and `ask help` become --help; `version`, -V and `ask --version` become --version.
std::vector<std::string> as_options(std::vector<std::string> words) {
  if (words.empty()) return words;
  if (words[0] == "help") {
    words.erase(words.begin());
    words.push_back("--help");
  } else if (words.size() == 2 && words[1] == "help") {
    words[1] = "--help";
  } else if (words.size() <= 2 && asks_for_version(words.back())) {
    words = {"--version"};
  }
  return words;
}

int run_parsed(const Program& program) {
  try {
    for (const auto& [sub, run] : program.runs)
      if (sub->parsed()) return run();
  } catch (const std::bad_alloc&) {
    print_fault("out of memory; `longspan info MODEL --context N` says what a context needs");
  } catch (const std::exception& e) {
    print_fault(e.what());
  }
  return kExitFault;
}

/// Options of this group stand in no help. CLI11's own way, a group without a name, also takes the option's
/// name out of what it says of a wrong value.
constexpr const char* kHidden = "hidden";

struct HelpWithoutHidden : CLI::Formatter {
  std::string make_group(std::string group, bool positional,
                         std::vector<const CLI::Option*> options) const override {
    return group == kHidden ? std::string() : CLI::Formatter::make_group(group, positional, options);
  }
};

}  // namespace

Program make_program() {
  Program program;
  program.app =
      std::make_unique<CLI::App>("longspan: long context for open models on your own machine", "longspan");
  CLI::App& app = *program.app;
  app.require_subcommand(1);
  app.set_version_flag("--version", LONGSPAN_VERSION);
  app.formatter(std::make_shared<HelpWithoutHidden>());
  app.get_formatter()->column_width(30);
  app.footer(
      "MODEL is a GGUF file, a Hugging Face directory, or a name that `longspan fetch` knows.\n"
      "Begin with: longspan fetch smollm2 && longspan chat smollm2\n"
      "Options of a command: longspan COMMAND --help; everything, with environment variables: man longspan");
  for (const Command& command : commands()) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    sub->set_help_flag("-h,--help", "show this help");
    sub->footer(
        fmt::format("{}{}Example:\n  {}", command.notes, *command.notes ? "\n" : "", command.example));
    if (command.define == define_reference) sub->group("");  // for packagers: not in --help
    program.runs.emplace_back(sub, command.define(*sub));
    for (CLI::Option* option : sub->get_options())
      if (option->get_group().empty() && option->nonpositional()) option->group(kHidden);
  }
  return program;
}

int run_program(int argc, const char* const* argv) {
  Program program = make_program();
  CLI::App& app = *program.app;
  const std::vector<std::string> words = as_options({argv + std::min(argc, 1), argv + argc});
  try {
    auto named = [&](const auto& run) { return run.first->get_name() == words[0]; };
    if (!words.empty() && !words[0].starts_with('-') &&
        std::none_of(program.runs.begin(), program.runs.end(), named))
      return usage_error(app, unknown_command(app, words[0]));
    std::vector<std::string> from_the_back(words.rbegin(), words.rend());
    app.parse(from_the_back);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForVersion& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return usage_error(app, usage_problem(app, words, e));
  }
  return run_parsed(program);
}

}  // namespace longspan::cli
