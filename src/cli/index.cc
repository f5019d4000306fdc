// index: an index of documents in a directory; brought up to date with its files, searched, listed.
#include <memory>

#include "base/error.h"
#include "base/plural.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/retrieving.h"
#include "retrieval/indexer.h"

namespace longspan::cli {

namespace {

namespace fs = std::filesystem;
using retrieval::Store;

struct IndexOptions : Options {
  std::string directory, question;
  std::vector<std::string> files;
  EmbedderChoice embedder;
  retrieval::Cutting cutting{.tokens = 0, .overlap = -1};
  int64_t most = 10;
  bool list = false;
};

/// Makes the graph where there are passages enough. False after Ctrl-C.
bool keep_graph(const IndexOptions& o, const Store& store) {
  if (!retrieval::wants_graph(store)) return true;
  ProgressBar bar("graph", o.quiet, "passages");
  return retrieval::make_graph(store, [&](int64_t done, int64_t total) { return bar.update(done, total); });
}

int report(const IndexOptions& o, const Store& store, const retrieval::IndexReport& r, double seconds) {
  auto documents = std::ssize(store.documents());
  int64_t passages = store.passage_count();
  if (o.json)
    print_json({{"read", r.read},
                {"unchanged", r.unchanged},
                {"removed", r.removed},
                {"new_passages", r.passages},
                {"new_tokens", r.tokens},
                {"documents", documents},
                {"passages", passages},
                {"faults", r.faults},
                {"complete", r.complete},
                {"seconds", seconds}});
  else
    print_now(fmt::format("{}: {}, {} ({} read, {} unchanged, {} removed)\n", o.directory,
                          counted(documents, "document"), counted(passages, "passage"), grouped(r.read),
                          grouped(r.unchanged), grouped(r.removed)));
  if (r.tokens > 0)
    remark(o, "{} with {} tokens in {}", counted(r.passages, "passage"), grouped(r.tokens),
           human_seconds(seconds));
  if (!r.complete) return kExitInterrupted;
  if (r.faults.empty()) return kExitDone;
  for (size_t i = 0; i + 1 < r.faults.size(); ++i) print_fault(r.faults[i]);
  fail("{}", r.faults.back());
}

int update(const IndexOptions& o) {
  std::optional<retrieval::Making> held = Store::making_in(o.directory);
  if (!held && o.files.empty())
    fail("{}: holds no index; `longspan index {} FILES...` makes one", o.directory, o.directory);
  EmbedderChoice choice = settled(o.embedder, held);
  Embedder embedder = open_embedder(o, choice);
  retrieval::Cutting cutting = o.cutting;
  if (held && cutting.tokens == 0) cutting.tokens = held->cutting.tokens;
  if (held && cutting.overlap < 0) cutting.overlap = held->cutting.overlap;
  Store store = Store::write(o.directory, making_of(embedder, choice, retrieval::kDocuments, cutting));
  remark(o, "{}: {}; passages of {} tokens, {} of them shared", choice.name, embedder.description(),
         store.making().cutting.tokens, store.making().cutting.overlap);
  double start = seconds_now();
  arm_interrupt();
  retrieval::IndexReport r;
  {
    ProgressBar bar("indexing", o.quiet, "bytes");
    r = retrieval::update_index(store, embedder, {o.files.begin(), o.files.end()}, o.encoding,
                                {[&](int64_t done, int64_t total) { return bar.update(done, total); },
                                 [&](const std::string& sentence) { remark(o, "{}", sentence); }});
  }
  r.complete = r.complete && keep_graph(o, store);
  return report(o, store, r, seconds_now() - start);
}

Json hit_json(const retrieval::Hit& hit) {
  const retrieval::StoredPassage& p = hit.passage;
  Json one = {{"file", p.path}, {"line", p.line}, {"last_line", p.last_line}};
  if (p.page > 0) one["page"] = p.page;
  if (p.chapter > 0) one["chapter"] = p.chapter;
  one.update({{"begin", p.begin},
              {"end", p.end},
              {"score", hit.score},
              {"vector_rank", hit.vector_rank > 0 ? Json(hit.vector_rank) : Json()},
              {"word_rank", hit.word_rank > 0 ? Json(hit.word_rank) : Json()},
              {"cosine", hit.vector_rank > 0 ? Json(hit.cosine) : Json()},
              {"text", p.text}});
  return one;
}

int search(const IndexOptions& o) {
  constexpr size_t kShown = 300;
  std::vector<retrieval::Hit> hits = OpenIndex(o, o.directory, o.embedder).find(o.question, o.most);
  if (o.json) {
    Json list = Json::array();
    for (const retrieval::Hit& hit : hits) list.push_back(hit_json(hit));
    print_json({{"question", o.question}, {"hits", std::move(list)}});
    return kExitDone;
  }
  for (size_t i = 0; i < hits.size(); ++i) {
    const retrieval::Hit& hit = hits[i];
    std::string how;
    if (hit.vector_rank > 0) how = fmt::format("vector {} (cosine {:.3f})", hit.vector_rank, hit.cosine);
    if (hit.word_rank > 0) how += fmt::format("{}words {}", how.empty() ? "" : ", ", hit.word_rank);
    print_now(fmt::format("{:>2}  {}  {:.4f}: {}\n    {}\n", i + 1, retrieval::place_of(hit.passage),
                          hit.score, how, excerpt(hit.passage.text, kShown)));
  }
  return kExitDone;
}

int list(const IndexOptions& o) {
  Store store = Store::read(o.directory);
  const retrieval::Making& m = store.making();
  std::vector<retrieval::StoredDocument> documents = store.documents();
  if (o.json) {
    Json files = Json::array();
    for (const auto& d : documents)
      files.push_back({{"file", d.path}, {"bytes", d.size}, {"passages", d.passages}});
    print_json({{"kind", m.kind},
                {"embedder", m.embedder},
                {"task", m.task},
                {"dimensions", m.dimensions},
                {"passage_tokens", m.cutting.tokens},
                {"overlap", m.cutting.overlap},
                {"passages", store.passage_count()},
                {"documents", std::move(files)}});
    return kExitDone;
  }
  for (const auto& d : documents)
    print_now(fmt::format("{:>9}  {:>10}  {}\n", grouped(d.passages),
                          human_bytes(static_cast<double>(d.size)), retrieval::shown_path(d.path)));
  print_now(fmt::format("{}, {}; {}, {} dimensions, passages of {} tokens, {} of them shared\n",
                        counted(std::ssize(documents), "document"), counted(store.passage_count(), "passage"),
                        m.embedder, m.dimensions, m.cutting.tokens, m.cutting.overlap));
  return kExitDone;
}

}  // namespace

Run define_index(CLI::App& app) {
  auto o = std::make_shared<IndexOptions>();
  app.add_option("DIR", o->directory, "folder of the index; made where there is none")->required();
  CLI::Option* files =
      app.add_option("FILES", o->files, "documents and folders; without any, those it has are looked at");
  CLI::Option* question = app.add_option("--search", o->question, "shows the passages for a question");
  app.add_option("--most", o->most, "passages shown; default 10")->transform(whole_number(1, 10000));
  CLI::Option* list_them = app.add_flag("--list", o->list, "shows the documents and how they were indexed");
  app.parse_complete_callback([files, question, list_them] {
    if (question->count() > 0 && files->count() > 0) throw CLI::ExcludesError("--search", "FILES");
    if (list_them->count() > 0 && files->count() + question->count() > 0)
      throw CLI::ExcludesError("--list", "FILES and --search");
  });
  add_embedder_options(app, o->embedder);
  app.add_option("--passage-tokens", o->cutting.tokens,
                 "tokens of a passage at most; default 256, or all that the embedder reads")
      ->transform(whole_number(1, int64_t{1} << 20));
  app.add_option("--overlap", o->cutting.overlap,
                 "of them shared with the passage before, at most; default 32")
      ->transform(whole_number(0, int64_t{1} << 20));
  add_encoding_option(app, *o);
  app.add_option("-t,--threads", o->threads, "threads; default the physical cores")
      ->check(CLI::Range(1, 1024).description(""));
  add_device_option(app, *o);
  app.add_option("--kernels", o->kernels, "implementation: reference, avx2, ...; default the best");
  add_output_options(app, *o);
  return [o] { return o->list ? list(*o) : o->question.empty() ? update(*o) : search(*o); };
}

}  // namespace longspan::cli
