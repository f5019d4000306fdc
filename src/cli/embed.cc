// embed: texts to vectors, and how near they are to each other.
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/plural.h"
#include "base/text.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "cli/usage.h"
#include "embed/embedder.h"
#include "embed/instructions.h"

namespace longspan::cli {

namespace {

struct EmbedOptions : Options {
  std::vector<std::string> texts, files;
  std::string side = "key", task, pooling;
  int64_t batch_tokens = 8192;
  bool lines = false;
};

/// The texts of the command line, then those of the files.
std::vector<std::string> gather_texts(const EmbedOptions& o) {
  std::vector<std::string> texts = o.texts;
  for (const std::string& file : o.files) {
    std::string text = read_text(o, {file});
    if (!o.lines) {
      texts.push_back(std::move(text));
      continue;
    }
    for (size_t at = 0; at < text.size();) {
      size_t end = std::min(text.find('\n', at), text.size());
      if (end > at) texts.push_back(text.substr(at, end - at));
      at = end + 1;
    }
  }
  if (texts.empty()) fail("there is no text to embed; give TEXT or --file");
  return texts;
}

using Vectors = std::vector<std::span<const float>>;

double cosine(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

std::string start_of(const std::string& text) { return excerpt(text, 60); }

/// A row and a column for each text.
std::string matrix(const Vectors& vectors, const std::vector<std::string>& texts) {
  std::string out = "   ";
  for (size_t i = 0; i < texts.size(); ++i) out += fmt::format("{:>7}", i + 1);
  out += "\n";
  for (size_t i = 0; i < texts.size(); ++i) {
    out += fmt::format("{:>3}", i + 1);
    for (const auto& other : vectors) out += fmt::format("{:>7.3f}", cosine(vectors[i], other));
    out += "  " + start_of(texts[i]) + "\n";
  }
  return out;
}

/// The nearest other text of each.
std::string neighbours(const Vectors& vectors, const std::vector<std::string>& texts) {
  std::string out;
  for (size_t i = 0; i < texts.size(); ++i) {
    size_t best = i == 0 ? 1 : 0;
    for (size_t j = 0; j < texts.size(); ++j)
      if (j != i && cosine(vectors[i], vectors[j]) > cosine(vectors[i], vectors[best])) best = j;
    out += fmt::format("{:>6}  {:.3f} with {:<6} {}\n", i + 1, cosine(vectors[i], vectors[best]), best + 1,
                       start_of(texts[i]));
  }
  return out;
}

int embed(const EmbedOptions& o) {
  set_threads(o.threads > 0 ? o.threads : physical_cores());
  std::vector<std::string> texts = gather_texts(o);
  EmbedderOptions options{.task = o.task,
                          .device = o.device,
                          .kernels = o.kernels,
                          .batch_tokens = o.batch_tokens,
                          .pooling = o.pooling,
                          .compute = o.compute == "bf16" ? Compute::BF16 : Compute::F32};
  Embedder embedder(resolve_plain_model(o.model), options);
  remark(o, "{}", embedder.description());
  EmbedSide side = o.side == "query" ? EmbedSide::Query : EmbedSide::Key;
  double start = seconds_now();
  std::vector<std::vector<int32_t>> ids;
  int64_t tokens = 0, cut_texts = 0;
  for (const std::string& text : texts) {
    int64_t cut = 0;
    ids.push_back(embedder.encode(text, side, &cut));
    tokens += std::ssize(ids.back());
    cut_texts += cut > 0;
  }
  if (cut_texts > 0)
    remark(o, "{} {} cut at the end: the model reads {} tokens of a text", counted(cut_texts, "text"),
           cut_texts == 1 ? "was" : "were", grouped(embedder.max_tokens()));
  std::vector<float> all = embedder.embed_encoded(ids);
  double seconds = seconds_now() - start;
  Vectors vectors;
  auto width = static_cast<size_t>(embedder.dimensions());
  for (size_t i = 0; i < texts.size(); ++i) vectors.emplace_back(all.data() + i * width, width);
  if (o.json)
    for (size_t i = 0; i < texts.size(); ++i)
      print_now(fmt::format("{{\"index\":{},\"tokens\":{},\"embedding\":[{}]}}\n", i, ids[i].size(),
                            fmt::join(vectors[i], ",")));
  else if (texts.size() == 1)
    print_now(fmt::format("[{:.4f}, ...] ({} numbers; --json prints all; give more texts to compare them)\n",
                          fmt::join(vectors[0].first(std::min<size_t>(4, width)), ", "), width));
  else if (constexpr size_t kMostColumns = 12; texts.size() <= kMostColumns)
    print_now(matrix(vectors, texts));
  else
    print_now(neighbours(vectors, texts));
  remark(o, "{}, {} tokens, {:.1f} texts/s, {} tokens/s", counted(std::ssize(texts), "text"), grouped(tokens),
         static_cast<double>(texts.size()) / seconds,
         grouped(static_cast<int64_t>(static_cast<double>(tokens) / seconds)));
  return kExitDone;
}

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const Instructions& row : instruction_rows()) names.push_back(row.task);
  return names;
}

}  // namespace

Run define_embed(CLI::App& app) {
  auto o = std::make_shared<EmbedOptions>();
  app.add_option("MODEL", o->model, "embedder: GGUF file, directory, or name (minilm)")->required();
  app.add_option("TEXT", o->texts, "texts");
  add_file_option(app, *o, o->files, "a file is one text; - is standard input");
  app.add_flag("--lines", o->lines, "each line of a file is a text");
  app.add_option("--side", o->side, "query, or key (default): models with instructions tell them apart")
      ->transform(one_of({"query", "key"}));
  app.add_option("--task", o->task, fmt::format("instructions: {}", fmt::join(task_names(), ", ")));
  app.add_option("--pooling", o->pooling, "cls, mean or last; default as the model's files say")
      ->transform(one_of({"cls", "mean", "last"}));
  app.add_option("--batch-tokens", o->batch_tokens, "tokens a forward pass, at most; default 8192")
      ->transform(whole_number(1, int64_t{1} << 24));
  app.add_option("-t,--threads", o->threads, "threads; default the physical cores")
      ->check(CLI::Range(1, 1024).description(""));
  add_device_option(app, *o);
  app.add_option("--compute", o->compute, "products: f32 (default), or bf16: faster and less precise")
      ->transform(one_of({"f32", "bf16"}));
  app.add_option("--kernels", o->kernels, "implementation: reference, avx2, ...; default the best");
  add_output_options(app, *o);
  return [o] { return embed(*o); };
}

}  // namespace longspan::cli
