#include "cli/retrieving.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "base/threads.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "cli/usage.h"
#include "cli/window.h"
#include "embed/instructions.h"
#include "retrieval/indexer.h"

namespace longspan::cli {

namespace {

namespace fs = std::filesystem;

constexpr int64_t kDefaultPassage = 256, kDefaultOverlap = 32, kLeastPassage = 8;

/// The files of LLM-Embedder name neither its instructions nor its pooling; its name is all there is.
bool is_llm_embedder(const std::string& name) {
  std::string plain;
  for (char c : name)
    plain += c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return plain.find("llm-embedder") != plain.npos;
}

}  // namespace

void add_embedder_options(CLI::App& app, EmbedderChoice& choice) {
  std::vector<std::string> tasks;
  for (const Instructions& row : instruction_rows()) tasks.push_back(row.task);
  app.add_option("--embedder", choice.name, "GGUF file, directory, or name; default minilm");
  app.add_option("--task", choice.task, fmt::format("instructions: {}", fmt::join(tasks, ", ")));
  app.add_option("--pooling", choice.pooling, "cls, mean or last; default as the model's files say")
      ->transform(one_of({"cls", "mean", "last"}));
}

EmbedderChoice settled(const EmbedderChoice& choice, const std::optional<retrieval::Making>& held,
                       const char* task) {
  EmbedderChoice c = choice;
  if (held) {
    if (c.name.empty()) c.name = held->embedder;
    if (c.task.empty()) c.task = held->task;
    if (c.pooling.empty()) c.pooling = held->pooling;
    return c;
  }
  if (c.name.empty()) c.name = "minilm";
  if (is_llm_embedder(c.name) && c.pooling.empty()) c.pooling = "cls";
  if (is_llm_embedder(c.name) && c.task.empty()) c.task = task;
  return c;
}

Embedder open_embedder(const Options& o, const EmbedderChoice& choice) {
  set_threads(o.threads > 0 ? o.threads : physical_cores());
  return Embedder(resolve_plain_model(choice.name),
                  {.task = choice.task, .device = o.device, .kernels = o.kernels, .pooling = choice.pooling});
}

retrieval::Making making_of(const Embedder& embedder, const EmbedderChoice& choice, const char* kind,
                            retrieval::Cutting cutting) {
  int64_t most = retrieval::most_passage_tokens(embedder);
  if (cutting.tokens <= 0) cutting.tokens = std::min(kDefaultPassage, most);
  if (cutting.overlap < 0) cutting.overlap = std::min(kDefaultOverlap, cutting.tokens / 4);
  if (cutting.tokens > most || cutting.tokens < kLeastPassage)
    fail("--passage-tokens {}: the embedder reads passages of {} to {} tokens beside its special ones",
         cutting.tokens, kLeastPassage, most);
  if (cutting.overlap > cutting.tokens / 2)
    fail("--overlap {}: passages of {} tokens may share {} at most", cutting.overlap, cutting.tokens,
         cutting.tokens / 2);
  // Another working directory must find it again.
  std::error_code error;
  std::string name = fs::exists(choice.name, error) ? fs::absolute(choice.name).string() : choice.name;
  return {.kind = kind,
          .embedder = name,
          .identity = embedder.identity(),
          .task = choice.task,
          .pooling = choice.pooling,
          .dimensions = embedder.dimensions(),
          .cutting = cutting};
}

std::unique_ptr<retrieval::Memory> open_memory(const Options& o, const fs::path& directory,
                                               const EmbedderChoice& choice, const char* kind) {
  std::optional<retrieval::Making> held = retrieval::Store::making_in(directory);
  EmbedderChoice settled_choice = settled(choice, held, kMemoryTask);
  Embedder embedder = open_embedder(o, settled_choice);
  retrieval::Making making =
      making_of(embedder, settled_choice, kind, held ? held->cutting : retrieval::Cutting{0, -1});
  return std::make_unique<retrieval::Memory>(directory, std::move(embedder), making);
}

OpenIndex::OpenIndex(const Options& o, const fs::path& directory, const EmbedderChoice& choice)
    : store_(retrieval::Store::read(directory)),
      embedder_(open_embedder(o, settled(choice, store_.making()))),
      vectors_(store_) {
  store_.check_embedder(embedder_.identity(), embedder_.dimensions());
  if (!vectors_.remark().empty()) remark(o, "{}", vectors_.remark());
}

std::vector<retrieval::Hit> OpenIndex::find(const std::string& question, int64_t most) {
  std::lock_guard lock(mutex_);
  vectors_.update();
  const std::string texts[] = {question};
  std::vector<float> query = embedder_.embed(texts, EmbedSide::Query);
  std::vector<retrieval::Hit> hits = retrieval::search(store_, vectors_, question, query, most);
  std::string directory = store_.directory().string();
  if (hits.empty())
    fail("{}: the index holds no passages; `longspan index {} FILES...` adds some", directory, directory);
  return hits;
}

int64_t passages_for(int64_t budget) {
  constexpr int64_t kShortPassage = 16;  // tokens
  return budget / kShortPassage + 1;
}

std::vector<FoundPrompt> fit_passages(
    Engine& engine, const Options& o, const std::vector<std::vector<retrieval::Hit>>& found, int64_t budget,
    int64_t answer, const std::function<std::vector<int32_t>(size_t, const std::string&)>& prompt) {
  auto count = [&](const std::string& text) {
    return std::ssize(engine.tokenizer().encode(text, {.add_special = false, .parse_special = false}));
  };
  std::vector<FoundPrompt> all(found.size());
  auto make = [&](size_t q, int64_t tokens) {
    all[q].sources = retrieval::choose(found[q], tokens, count);
    all[q].prompt.ids = prompt(q, retrieval::context_text(all[q].sources));
    return std::ssize(all[q].prompt.ids) + answer;
  };
  const int64_t wish = budget > 0 ? budget : retrieval::kDefaultBudget;
  int64_t longest = 0;
  for (size_t q = 0; q < found.size(); ++q) longest = std::max(longest, make(q, wish));
  stretch(engine, o, longest);
  int64_t window = window_tokens(engine.config(), o), most = 0;
  for (size_t q = 0; q < found.size(); ++q) {
    int64_t tokens = wish, needed = std::ssize(all[q].prompt.ids) + answer;
    while (needed > window && !all[q].sources.empty()) {
      tokens = std::min(tokens, count(retrieval::context_text(all[q].sources))) - (needed - window);
      needed = make(q, tokens);
    }
    if (needed > window) refuse_length(engine, o, needed, answer);
    if (all[q].sources.empty())
      fail("{} tokens hold not even one passage beside question and answer; give a larger {}",
           grouped(std::max<int64_t>(tokens, 0)),
           tokens < wish ? "window (--position, --context)" : "--budget");
    if (budget > 0 && tokens < budget)
      remark(o, "the window of {} has room for {} tokens of passages", grouped(window), grouped(tokens));
    most = std::max(most, needed);
  }
  check_memory(engine, {.tokens = most});
  return all;
}

void print_sources(const std::vector<retrieval::Source>& sources) {
  std::string out = "\nSources:\n";
  for (size_t i = 0; i < sources.size(); ++i)
    out += fmt::format("[{}] {}\n", i + 1, retrieval::place_of(sources[i]));
  print_now(out);
}

Json sources_json(const std::vector<retrieval::Source>& sources) {
  Json list = Json::array();
  for (const retrieval::Source& s : sources) {
    Json one = {{"number", list.size() + 1}, {"file", s.path}, {"line", s.line}, {"last_line", s.last_line}};
    if (s.page > 0) one["page"] = s.page;
    if (s.chapter > 0) one["chapter"] = s.chapter;
    one.update(
        {{"begin", s.begin}, {"end", s.end}, {"passages", s.passages}, {"score", s.score}, {"text", s.text}});
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace longspan::cli
