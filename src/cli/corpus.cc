// corpus stats, corpus pack, corpus synth: statistics of a corpus, its tokens as shards for training, and
// long instruction data made from it.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/plural.h"
#include "base/text.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/usage.h"
#include "data/packing.h"
#include "data/shards.h"
#include "model/model_files.h"
#include "report/corpus_picture.h"
#include "synth/synth.h"

namespace longspan::cli {

namespace {

struct CorpusOptions : Options {
  std::vector<std::string> files;
  std::string out;
  bool strict = false;
  // stats
  int64_t bin = 4096, most = 131072;
  // pack
  std::vector<int64_t> rows;
  int64_t shard_tokens = TokeniseOptions{}.shard_tokens;
  bool bos = false, no_eos = false;
  // synth
  std::vector<std::string> documents, questions, code, instructions, mix;
  SynthJob job;

  OnBadDocument on_bad() const { return strict ? OnBadDocument::Fail : OnBadDocument::Skip; }
  ReadingOptions reading() const { return {.on_bad = on_bad(), .encoding = encoding}; }
  std::vector<std::filesystem::path> paths() const { return {files.begin(), files.end()}; }
};

/// "####.....", `width` wide.
std::string bar(double part, int width) {
  auto full = static_cast<size_t>(part * width + 0.5);
  return std::string(full, '#') + std::string(static_cast<size_t>(width) - full, ' ');
}

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

std::string category_line(const std::string& name, const LengthStatistics& s, int64_t long_from) {
  int64_t long_tokens = 0;
  for (int64_t length : s.lengths) long_tokens += length >= long_from ? length : 0;
  return fmt::format("{:<16.16} {:>9} {:>13} {:>7.2f} {:>9} {:>9} {:>10} {:>8.1f} %\n", name,
                     grouped(static_cast<int64_t>(s.lengths.size())), grouped(s.tokens),
                     share(s.characters, s.tokens), grouped(length_quantile(s.lengths, 0.5)),
                     grouped(length_quantile(s.lengths, 0.9)), grouped(length_quantile(s.lengths, 1)),
                     100 * share(long_tokens, s.tokens));
}

constexpr int64_t kLong = 32768;
constexpr size_t kMostLines = 30;

std::string categories_table(const CorpusStatistics& statistics) {
  std::string out = fmt::format("{:<16} {:>9} {:>13} {:>7} {:>9} {:>9} {:>10} {:>10}\n", "category",
                                "documents", "tokens", "chars/t", "median", "90 %", "longest", ">= 32K");
  auto sorted = largest_first(statistics);
  for (size_t i = 0; i < std::min(sorted.size(), kMostLines); ++i)
    out += category_line(sorted[i].first, sorted[i].second, kLong);
  if (sorted.size() > kMostLines) out += fmt::format("... and {} more\n", sorted.size() - kMostLines);
  return out + category_line("all", all_categories(statistics), kLong);
}

/// One line per bin, up to the last non-empty one.
std::string histogram_table(const CorpusStatistics& statistics, int64_t width, int64_t most) {
  LengthStatistics all = all_categories(statistics);
  auto documents = static_cast<int64_t>(all.lengths.size());
  std::vector<LengthBin> bins = histogram(all.lengths, width, most);
  int64_t end = bins.back().from;
  while (!bins.empty() && bins.back().documents == 0) bins.pop_back();
  std::string out = fmt::format("\n{:<19} {:<29} {}\n", "tokens", "documents", "tokens in them");
  for (const LengthBin& bin : bins) {
    std::string range = bin.from == end ? grouped(end) + " and more"
                                        : fmt::format("{} - {}", grouped(bin.from), grouped(bin.to - 1));
    double d = share(bin.documents, documents), t = share(bin.tokens, all.tokens);
    out +=
        fmt::format("{:<19} {} {:>5.1f} %  {} {:>5.1f} %\n", range, bar(d, 20), 100 * d, bar(t, 20), 100 * t);
  }
  return out;
}

constexpr size_t kShownSentences = 5;

void remark_reading(const CorpusOptions& o, const ReadingReport& reading) {
  for (size_t i = 0; i < std::min(reading.remarks.size(), kShownSentences); ++i)
    remark(o, "{}", reading.remarks[i]);
  if (reading.remarks.size() > kShownSentences)
    remark(o, "... and {} more such remarks", reading.remarks.size() - kShownSentences);
  for (size_t i = 0; i < std::min(reading.faults.size(), kShownSentences); ++i)
    remark(o, "skipped: {}", reading.faults[i]);
}

void report_bad(const CorpusOptions& o, const ReadingReport& reading) {
  remark_reading(o, reading);
  if (reading.bad > 0)
    remark(o, "{} skipped as bad; --strict makes the first one an error", counted(reading.bad, "document"));
}

Tokenizer corpus_tokenizer(const CorpusOptions& o) {
  set_threads(o.threads > 0 ? o.threads : physical_cores());
  return load_tokenizer(open_metadata(resolve_model(o.model)));
}

std::string speed(int64_t tokens, double seconds) {
  return fmt::format("{} in {} ({}/s), {} at most", counted(tokens, "token"), human_seconds(seconds),
                     grouped(static_cast<int64_t>(static_cast<double>(tokens) / std::max(seconds, 1e-9))),
                     human_bytes(static_cast<double>(peak_bytes())));
}

int stats(const CorpusOptions& o) {
  constexpr int64_t kMostBins = 10000;
  if (o.most / o.bin > kMostBins)
    fail("--most {} in bins of {} tokens makes more than {} bins; choose wider ones", o.most, o.bin,
         kMostBins);
  Tokenizer tokenizer = corpus_tokenizer(o);
  arm_interrupt();
  double start = seconds_now();
  CorpusStatistics statistics;
  {
    ProgressBar progress("tokenising", o.quiet);
    statistics = corpus_statistics(o.paths(), tokenizer, o.reading(),
                                   [&](int64_t done, int64_t total) { return progress.update(done, total); });
  }
  if (!statistics.complete) return kExitInterrupted;
  report_bad(o, statistics.reading);
  if (statistics.reading.documents == 0) fail("{}: no document was found", o.files.front());
  Json json = corpus_json(statistics, o.bin, o.most);
  json["model"] = o.model;
  if (o.json)
    print_json(json);
  else
    print_now(categories_table(statistics) + histogram_table(statistics, o.bin, o.most));
  if (!o.out.empty()) {
    const std::filesystem::path out = o.out;
    std::filesystem::create_directories(out);
    write_file_atomic(out / "corpus.json", dump_json(json) + "\n");
    write_corpus_page(out, statistics, o.bin, o.most, "Lengths of documents in tokens of " + o.model);
    remark(o, "{}", page_remark(out / "corpus.html"));
  }
  remark(o, "{}", speed(json["all"]["tokens"].get<int64_t>(), seconds_now() - start));
  return kExitDone;
}

/// How the documents of the shards fill rows of each length.
Json packings(const CorpusOptions& o, const TokeniseReport& report) {
  std::vector<int64_t> lengths;
  for (const auto& path : report.shards) {
    Shard shard(path);
    for (const ShardDocument& d : shard.documents()) lengths.push_back(d.end - d.begin);
  }
  Json rows = Json::array();
  for (int64_t row : o.rows) {
    Packing packing = pack(cut(lengths, row), row);
    rows.push_back({{"row", row},
                    {"rows", packing.rows.size()},
                    {"efficiency", packing.efficiency},
                    {"documents", lengths.size()},
                    {"cut_documents", packing.cut_documents}});
  }
  return rows;
}

int pack_corpus(const CorpusOptions& o) {
  Tokenizer tokenizer = corpus_tokenizer(o);
  arm_interrupt();
  double start = seconds_now();
  TokeniseReport report;
  {
    ProgressBar progress("tokenising", o.quiet);
    report = tokenise(o.paths(), tokenizer, o.out,
                      {.on_bad = o.on_bad(),
                       .add_bos = o.bos,
                       .add_eos = !o.no_eos,
                       .shard_tokens = o.shard_tokens,
                       .encoding = o.encoding},
                      [&](int64_t done, int64_t total) { return progress.update(done, total); });
  }
  if (report.shards.empty()) return kExitInterrupted;
  double seconds = seconds_now() - start;
  report_bad(o, report.reading);
  Json rows = packings(o, report);
  if (o.json) {
    Json shards = Json::array();
    for (const auto& path : report.shards) shards.push_back(path.string());
    print_json({{"documents", report.reading.documents},
                {"bad", report.reading.bad},
                {"faults", report.reading.faults},
                {"tokens", report.tokens},
                {"shards", shards},
                {"packing", rows},
                {"seconds", seconds}});
  } else {
    std::string out =
        fmt::format("{}, {} in {} in {}\n", counted(report.reading.documents, "document"),
                    counted(report.tokens, "token"), counted(std::ssize(report.shards), "shard"), o.out);
    for (const Json& row : rows)
      out += fmt::format("rows of {:>9} tokens: {:>9}, {:.2f} % full, {} cut\n",
                         grouped(row["row"].get<int64_t>()), counted(row["rows"].get<int64_t>(), "row"),
                         100 * row["efficiency"].get<double>(),
                         counted(row["cut_documents"].get<int64_t>(), "document"));
    print_now(out);
  }
  remark(o, "{}", speed(report.tokens, seconds));
  return kExitDone;
}

/// Options shared by stats and pack.
void add_corpus_options(CLI::App& app, CorpusOptions& o) {
  app.add_option("--model", o.model, "whose tokenizer counts: GGUF file, directory, or name (smollm2)")
      ->required();
  app.add_option("FILES", o.files, "JSON lines, texts, documents, each also compressed; folders of them")
      ->required();
  add_encoding_option(app, o);
  app.add_flag("--strict", o.strict, "the first bad document is an error; default: skip and report");
  app.add_option("-t,--threads", o.threads, "threads; default the physical cores")
      ->check(CLI::Range(1, 1024).description(""));
  add_output_options(app, o);
}

void define_stats(CLI::App& app, CorpusOptions& o) {
  add_corpus_options(app, o);
  app.add_option("--bin", o.bin, "tokens a bin of the histogram; default 4096")
      ->transform(whole_number(1, int64_t{1} << 30));
  app.add_option("--most", o.most, "the last bin holds all from N tokens on; default 131072")
      ->transform(whole_number(0, int64_t{1} << 40));
  app.add_option("-o,--out", o.out, "folder for corpus.html, corpus.json and the picture");
  app.footer("Example:\n  longspan corpus stats --model smollm2 books.jsonl.zst -o lengths");
}

void define_pack(CLI::App& app, CorpusOptions& o) {
  add_corpus_options(app, o);
  app.add_option("-o,--out", o.out, "folder for the shards; must not be there, or be empty")->required();
  app.add_option("--row", o.rows, "tell how the documents fill rows of N tokens; N,M,... for several")
      ->delimiter(',')
      ->transform(whole_number(2, int64_t{1} << 40));
  app.add_option("--shard", o.shard_tokens, "tokens a shard, about; default 134217728")
      ->transform(whole_number(1, int64_t{1} << 40));
  app.add_flag("--bos", o.bos, "put the token for begin of text before each document");
  app.add_flag("--no-eos", o.no_eos, "no token for end of text behind each document");
  app.footer("Example:\n  longspan corpus pack --model smollm2 books.jsonl.zst -o shards --row 4096,32768");
}

/// "facts=0.6" -> facts, 0.6; "facts" -> facts, 1.
std::pair<std::string, double> mix_entry(const std::string& text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos) return {text, 1};
  std::string number = text.substr(equals + 1);
  char* end = nullptr;
  double share = std::strtod(number.c_str(), &end);
  if (number.empty() || *end != '\0') fail("--mix {}: give KIND=SHARE, such as facts=0.6", excerpt(text));
  return {text.substr(0, equals), share};
}

int synth(const CorpusOptions& o) {
  SynthJob job = o.job;
  job.documents = {o.documents.begin(), o.documents.end()};
  job.questions = {o.questions.begin(), o.questions.end()};
  job.code = {o.code.begin(), o.code.end()};
  job.encoding = o.encoding;
  job.instructions = {o.instructions.begin(), o.instructions.end()};
  for (const std::string& entry : o.mix) job.mix.push_back(mix_entry(entry));
  Tokenizer tokenizer = corpus_tokenizer(o);
  arm_interrupt();
  double start = seconds_now();
  SynthReport report;
  {
    ProgressBar progress("writing records", o.quiet);
    report = synthesise(job, tokenizer, o.out,
                        [&](int64_t done, int64_t total) { return progress.update(done, total); });
  }
  if (!report.complete) return kExitInterrupted;
  remark_reading(o, report.reading);
  double seconds = seconds_now() - start;
  int64_t mean = report.tokens / std::max<int64_t>(report.records, 1);
  if (o.json) {
    print_json({{"records", report.records},
                {"tokens", report.tokens},
                {"mean_tokens", mean},
                {"kinds", report.by_kind},
                {"out", o.out},
                {"seconds", seconds}});
  } else {
    std::string out = fmt::format("{} records, {} tokens, {} on average, in {}\n", grouped(report.records),
                                  grouped(report.tokens), grouped(mean), o.out);
    for (const auto& [kind, records] : report.by_kind)
      out += fmt::format("{:<18} {:>9}\n", kind, grouped(records));
    print_now(out);
  }
  remark(o, "{}", speed(report.tokens, seconds));
  return kExitDone;
}

void define_synth(CLI::App& app, CorpusOptions& o) {
  SynthJob& job = o.job;
  app.add_option("--model", o.model, "whose tokenizer counts: GGUF file, directory, or name (smollm2)")
      ->required();
  app.add_option("--documents", o.documents, "long texts, as corpus stats reads them; folders of them");
  app.add_option("--questions", o.questions, "records with \"text\" and \"qas\": [{question, answers}]");
  app.add_option("--code", o.code, "source files, or records with \"text\"");
  app.add_option("--instructions", o.instructions, "records with instruction, input, output");
  add_encoding_option(app, o);
  app.add_option("--tokens", job.target_tokens,
                 "tokens of a conversation at most, and 90 % at least; default 32768")
      ->transform(whole_number(256, int64_t{1} << 22));
  app.add_option("--records", job.records, "how many; default 100")
      ->transform(whole_number(1, int64_t{1} << 40));
  app.add_option("--mix", o.mix, "KIND=SHARE,...; default all kinds whose input is given")->delimiter(',');
  app.add_option("--language", job.language, "en, zh, any; default any")
      ->transform(one_of({"en", "zh", "any"}));
  app.add_option("--turns", job.turns,
                 "questions a conversation; default 24 at 32K in proportion, at most 96")
      ->transform(whole_number(1, 100000));
  app.add_option("--most-turns", job.most_turns,
                 "draw their number between --turns and N, small ones as often as large ones (log-uniform)")
      ->needs("--turns")
      ->transform(whole_number(1, 100000));
  app.add_option("--far-weight", job.far_weight,
                 "0: answers at all depths alike (default); 1: ever rarer towards the end")
      ->check(CLI::Range(0.0, 1.0).description(""));
  auto share = [&](const char* name, double& value, const char* what) {
    app.add_option(name, value, what)->check(CLI::Range(0.0, 1.0).description(""));
  };
  share("--front-share", job.front_share,
        "share of conversations whose answers all lie in the first 30 to 80 % of the context; default 0");
  share("--sister-share", job.sister_share,
        "share of hidden facts with one to three of the same form about others; default 0");
  share("--natural-share", job.natural_share,
        "share of facts that are sentences of the --questions' articles (English); default 0");
  share(
      "--sentence-share", job.sentence_share,
      "share of questions of facts and reading that ask for a sentence; default 0.2, the others: few words");
  app.add_option("--seed", job.seed, "record k depends on it and on k; default 1");
  app.add_option("-o,--out", o.out, "JSONL to write, compressed if its name ends in .zst")->required();
  app.add_option("-t,--threads", o.threads, "threads; default the physical cores")
      ->check(CLI::Range(1, 1024).description(""));
  add_output_options(app, o);
  std::string kinds;
  for (const SynthKind& kind : synth_kinds())
    kinds += fmt::format("  {:<18} {} (of {})\n", kind.name, kind.summary, kind.needs);
  app.footer("Kinds:\n" + kinds +
             "\nExample:\n  longspan corpus synth --model smollm2 --documents books.jsonl.zst --tokens 32768 "
             "--records 500\n      --mix facts=0.8,quote=0.2 -o sft.jsonl.zst");
}

}  // namespace

Run define_corpus(CLI::App& app) {
  app.require_subcommand(1);
  struct Sub {
    const char *name, *summary;
    void (*define)(CLI::App&, CorpusOptions&);
    int (*run)(const CorpusOptions&);
  };
  // THE table of what can be done with a corpus: one row each.
  static const Sub table[] = {
      {"stats", "lengths of documents in tokens: table, histogram, picture", define_stats, stats},
      {"pack", "tokenise to shards for training, and how well they fill rows", define_pack, pack_corpus},
      {"synth", "long instruction data from documents and questions", define_synth, synth},
  };
  std::vector<std::pair<CLI::App*, Run>> runs;
  for (const Sub& sub : table) {
    auto o = std::make_shared<CorpusOptions>();
    CLI::App* command = app.add_subcommand(sub.name, sub.summary);
    sub.define(*command, *o);
    runs.emplace_back(command, [o, run = sub.run] { return run(*o); });
  }
  return [runs] {
    for (const auto& [command, run] : runs)
      if (command->parsed()) return run();
    return kExitUsage;
  };
}

}  // namespace longspan::cli
