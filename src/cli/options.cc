#include "cli/options.h"

#include <algorithm>
#include <charconv>
#include <random>

#include "base/error.h"
#include "base/text.h"
#include "base/threads.h"
#include "base/token_count.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "cli/usage.h"
#include "documents/document.h"
#include "grammar/json_schema.h"
#include "kernels/devices.h"

namespace longspan::cli {

CLI::Validator whole_number(int64_t least, int64_t most) {
  auto digits = [least, most](std::string& text) -> std::string {
    std::optional<int64_t> n = parse_token_count(text);
    if (!n) return fmt::format("{} is not a whole number such as 4096 or 4k", in_quotes(text));
    if (*n < least) return fmt::format("{} is less than {}", in_quotes(text), grouped(least));
    if (*n > most) return fmt::format("{} is more than {}", in_quotes(text), grouped(most));
    text = std::to_string(*n);
    return {};
  };
  return {digits, ""};
}

void add_output_options(CLI::App& app, Options& o) {
  app.add_flag("--json", o.json, "one JSON object on stdout");
  app.add_flag("-q,--quiet", o.quiet, "no progress, no remarks");
}

void add_model_argument(CLI::App& app, Options& o) {
  app.add_option("MODEL", o.model, "GGUF file, directory, or name (smollm2)")->required();
}

void add_position_option(CLI::App& app, Options& o) {
  app.add_option("--position", o.position,
                 "NAME:key=value,... (longspan methods); factor=auto: as the length needs");
}

float sparse_share(const std::string& attention) {
  constexpr float kDefault = 0.95f;
  if (attention == "dense") return 0;
  if (attention == "sparse") return kDefault;
  const std::string start = "sparse:share=";
  float share = 0;
  const char *first = attention.data() + std::min(start.size(), attention.size()),
             *end = attention.data() + attention.size();
  bool read = attention.starts_with(start) && std::from_chars(first, end, share).ptr == end;
  if (!read || !(share > 0 && share <= 1))
    fail("attention {}: expected dense, sparse, or sparse:share=S with 0 < S <= 1", in_quotes(attention));
  return share;
}

std::optional<double> skipped_share(const Model& model) {
  auto all = static_cast<double>(model.sparse_scores->all);
  if (all == 0) return std::nullopt;
  return static_cast<double>(model.sparse_scores->skipped) / all;
}

void remark_skipped(const Options& o, const Model& model) {
  if (std::optional<double> share = skipped_share(model))
    remark(o, "sparse attention skipped {:.1f} % of the scores of long prompts", 100 * *share);
}

namespace {
/// Refuses a value with the sentence of the Error that `read` throws for it.
template <typename Read>
CLI::Validator readable(const Read& read) {
  return CLI::Validator(
      [read](const std::string& text) -> std::string {
        try {
          read(text);
          return {};
        } catch (const Error& e) {
          return e.what();
        }
      },
      "");
}
}  // namespace

void add_device_option(CLI::App& app, Options& o) {
  app.add_option("--device", o.device, "cpu (default), cuda (the first NVIDIA GPU) or cuda:N")
      ->check(CLI::Validator([](const std::string& text) { return device_name_problem(text); }, ""));
}

void add_engine_options(CLI::App& app, Options& o) {
  app.add_option("-t,--threads", o.threads, "threads; default the physical cores")
      ->check(CLI::Range(1, 1024).description(""));
  add_device_option(app, o);
  app.add_option("--seed", o.seed, "seed of everything random; default 0, when sampling a new one each time")
      ->each([&o](const std::string&) { o.seed_given = true; });
  add_position_option(app, o);
  app.add_option("--adapter", o.adapter, "directory of a LoRA adapter (PEFT), as `longspan train` writes it");
  app.add_option("--cache-type", o.cache_type,
                 cache_type_names() + "; default f16; or each side: k=q8_0,v=q4_0")
      ->check(readable(parse_cache_types));
  app.add_option("--weights", o.weights,
                 "long prompts read weights as stored: lean, from copies: packed; default auto")
      ->transform(one_of({"auto", "lean", "packed"}));
  app.add_option("--compute", o.compute, "products: f32, bf16, int8; default what the CPU does best")
      ->transform(one_of({"f32", "bf16", "int8"}));
  app.add_option("--attention", o.attention, "of long prompts: dense, sparse, sparse:share=S; default dense")
      ->check(readable(sparse_share));
  app.add_option("--kernels", o.kernels, "implementation: reference, avx2, ...; default the best");
  app.add_option("--chunk", o.chunk, "tokens a forward pass; default 512, on a GPU 8192")
      ->transform(whole_number(1, int64_t{1} << 20));
}

void add_window_options(CLI::App& app, Options& o) {
  app.add_option("--truncate", o.truncate, "drop the middle, left or right of a text that does not fit")
      ->transform(one_of({"middle", "left", "right"}));
  app.add_option("--context", o.context,
                 "use a window of N tokens (32k, 1M), even beyond what the model supports")
      ->transform(whole_number(1, int64_t{1} << 40));
}

void add_chat_options(CLI::App& app, Options& o) {
  app.add_option("--system", o.system, "system message; default the template's own");
  app.add_option("--chat-template", o.chat_template, "built-in name or Jinja file; default the model's");
}

void add_sampling_options(CLI::App& app, SamplingOptions& s) {
  app.add_option("--temperature", s.temperature, "0 (default): always the likeliest token");
  app.add_option("--top-k", s.top_k, "only the K likeliest tokens; 0: off");
  app.add_option("--top-p", s.top_p, "only the likeliest tokens of total probability P");
  app.add_option("--min-p", s.min_p, "only tokens of P times the likeliest's probability");
  app.add_option("--repetition-penalty", s.repetition_penalty, "above 1: penalise tokens already seen");
  app.add_option("--stop", s.stop, "end before this text; may be repeated")->allow_extra_args(false);
}

void add_grammar_options(CLI::App& app, Options& o) {
  app.add_option("--grammar", o.grammar, "file of a grammar (GBNF) that the text has to follow");
  // excludes() would say so in the help, in lines of their own.
  app.add_option("--json-schema", o.json_schema, "the text is JSON: a schema, or a file of one; '{}': any")
      ->each([&o](const std::string&) {
        if (!o.grammar.empty()) throw CLI::ExcludesError("--grammar", "--json-schema");
      });
}

constexpr size_t kMostGrammarBytes = size_t{1} << 20;

std::shared_ptr<const Grammar> read_grammar(const Options& o) {
  if (o.grammar.empty() && o.json_schema.empty()) return nullptr;
  auto compiled = [](const GrammarText& text) {
    return std::make_shared<const Grammar>(compile_grammar(text));
  };
  if (!o.grammar.empty())
    return compiled(parse_grammar(read_text_file(o.grammar, kMostGrammarBytes), o.grammar));
  size_t first = o.json_schema.find_first_not_of(" \t\r\n");
  bool is_file = first == std::string::npos || o.json_schema[first] != '{';
  std::string source = is_file ? o.json_schema : "--json-schema";
  std::string text = is_file ? read_text_file(o.json_schema, kMostGrammarBytes) : o.json_schema;
  return compiled(schema_grammar(parse_json(text, source), source));
}

void add_draft_option(CLI::App& app, Options& o) {
  app.add_option("--draft", o.draft, "ngram: guess tokens where the text repeats itself; default off")
      ->transform(one_of({name(Drafts::Off), name(Drafts::Ngram)}));
}

void add_evict_option(CLI::App& app, Options& o) {
  app.add_option("--evict", o.evict,
                 "snapkv:keep=N: write with N of a long prompt's keys a head; default off")
      ->check(readable(parse_eviction));
}

int64_t chunk_of(const Options& o) {
  constexpr int64_t kCpuChunk = 512, kGpuChunk = 8192;
  return o.chunk > 0 ? o.chunk : o.device == "cpu" ? kCpuChunk : kGpuChunk;
}

void choose_seed(Options& o, SamplingOptions& s) {
  if (s.temperature > 0 && !o.seed_given) {
    o.seed = std::random_device{}();
    remark(o, "--seed {} gives this text again", o.seed);
  }
  s.seed = o.seed;
}

EngineOptions engine_options(const Options& o) {
  EngineOptions e;
  e.position = o.position;
  e.cache_types = parse_cache_types(o.cache_type);
  if (!o.compute.empty()) e.compute = compute_named(o.compute);
  e.sparse = sparse_share(o.attention);
  e.eviction = parse_eviction(o.evict);
  e.weights = *weight_reading(o.weights);
  e.kernels = o.kernels;
  e.device = o.device;
  e.chat_template = o.chat_template;
  e.chunk = chunk_of(o);
  e.drafts = o.draft == name(Drafts::Ngram) ? Drafts::Ngram : Drafts::Off;
  e.adapter = o.adapter.empty() ? adapter_of(o.model).string() : o.adapter;
  return e;
}

OpenedModel open_model(const Options& o, bool weights) {
  set_threads(o.threads > 0 ? o.threads : physical_cores());
  auto path = resolve_model(o.model);
  Checkpoint checkpoint = weights ? open_checkpoint(path) : open_metadata(path);
  EngineSetup setup = engine_setup(checkpoint, engine_options(o));
  for (const std::string& sentence : setup.config.position.assumed) remark(o, "{}", sentence);
  for (const std::string& sentence : setup.prompts.tokenizer.specials().remarks) remark(o, "{}", sentence);
  return {std::move(checkpoint), std::move(setup)};
}

Engine open_engine(const Options& o, Lengths lengths) {
  OpenedModel model = open_model(o, true);
  if (lengths == Lengths::Unknown && model.setup.unstretched)
    fail("--position {}: no length is known here that its factor could follow; give factor=F",
         excerpt(o.position));
  return Engine(std::move(model.checkpoint), std::move(model.setup), engine_options(o));
}

void add_encoding_option(CLI::App& app, Options& o) {
  app.add_option("--encoding", o.encoding, "of text files: GB18030, Big5, UTF-16, ...; default: recognised");
}

CLI::Option* add_file_option(CLI::App& app, Options& o, std::vector<std::string>& files, const char* what) {
  CLI::Option* option = app.add_option("-f,--file", files, what)->allow_extra_args(false);
  add_encoding_option(app, o);
  return option;
}

std::string read_text(const Options& o, const std::vector<std::string>& files) {
  documents::Reading reading = documents::read_documents({files.begin(), files.end()}, o.encoding);
  for (const std::string& sentence : reading.remarks) remark(o, "{}", sentence);
  return std::move(reading.text);
}

}  // namespace longspan::cli
