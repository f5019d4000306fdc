// serve: the OpenAI-compatible server.
#include <csignal>
#include <memory>
#include <thread>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/threads.h"
#include "cli/answering.h"
#include "cli/commands.h"
#include "cli/model_sources.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/retrieving.h"
#include "cli/window.h"
#include "server/server.h"

namespace longspan::cli {

namespace {

struct ServeOptions : Options {
  server::ServerOptions server;
  std::string cache_dir, key_file, embedder, task, index;
  int64_t pool_tokens = 0;
  double step_ms = 15, drain_s = 30;
  bool reread_answers = false;
};

/// Tokens for keys and values: what four fifths of the free memory hold, but not more than all streams could
/// use, and at least one text that fills the window where that fits at all.
int64_t pool_tokens(const Engine& engine, const ServeOptions& o, int64_t window) {
  if (o.pool_tokens > 0) {
    check_memory(engine, {.tokens = o.pool_tokens},
                 [](int64_t longest) { return fmt::format("give --pool-tokens {}", longest); });
    return o.pool_tokens;
  }
  constexpr int64_t kMost = int64_t{1} << 24;
  int64_t wanted = std::min(kMost, 2 * o.server.scheduler.streams * (window + kPageTokens));
  MemoryFit fit = engine.memory_for({.tokens = wanted});
  if (fit.fits() && fit.needed <= *fit.available * 4 / 5) return wanted;
  int64_t tokens = fit.longest * 4 / 5 / kPageTokens * kPageTokens;
  if (tokens < 2 * kPageTokens)
    fail("{}; use a smaller or a quantised model", describe(engine.memory_for({.tokens = 2 * kPageTokens})));
  return std::min(tokens, wanted);
}

std::string model_name(const std::string& model) {
  std::string name = std::filesystem::path(model).filename().string();
  return name.empty() ? model : name;
}

void load_embedder(ServeOptions& o) {
  if (o.embedder.empty()) return;
  o.server.embedder_name = model_name(o.embedder);
  if (o.server.embedder_name == o.server.api.model)
    fail("--embedder {}: has the name of the model; give the model another with --model-name",
         excerpt(o.embedder));
  o.server.embedder = std::make_shared<const Embedder>(
      resolve_plain_model(o.embedder),
      EmbedderOptions{.task = o.task, .device = o.device, .kernels = o.kernels});
  remark(o, "embeddings by {}: {}", o.server.embedder_name, o.server.embedder->description());
}

void open_index(ServeOptions& o) {
  if (o.index.empty()) return;
  auto index = std::make_shared<OpenIndex>(o, o.index);
  o.server.api.find_text = [index, directory = o.index](const std::string& question, int64_t budget,
                                                        int64_t passages, const auto& count) {
    std::vector<retrieval::Hit> hits = index->find(question, passages > 0 ? passages : passages_for(budget));
    release_helpers();
    std::vector<retrieval::Source> sources = retrieval::choose(hits, budget, count);
    if (sources.empty()) fail("{}: {} tokens hold not even one passage", directory, budget);
    return server::FoundText{document_message(retrieval::context_text(sources), question),
                             sources_json(sources)};
  };
  remark(o, "questions are answered from {} where they ask for it (\"retrieval\")", o.index);
}

/// Waits for SIGTERM or SIGINT, which all threads have blocked; a second one kills.
int wait_for_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  int signal = 0;
  ::sigwait(&set, &signal);
  ::signal(signal, SIG_DFL);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  return signal;
}

int serve(ServeOptions& o) {
  // Before any thread is started, so that all inherit it.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (sparse_share(o.attention) > 0)
    fail(
        "--attention {}: a server cuts prompts as its other requests allow, on which sparse attention "
        "depends",
        o.attention);
  if (!o.key_file.empty()) o.server.keys = server::ApiKeys(o.key_file);
  Engine engine = open_engine(o, o.context > 0 ? Lengths::Known : Lengths::Unknown);
  stretch(engine, o, o.context);
  if (o.server.api.model.empty()) o.server.api.model = model_name(o.model);
  open_index(o);
  load_embedder(o);                             // before the room for keys and values is measured
  constexpr int64_t kNoEnd = int64_t{1} << 20;  // of a model that states no window
  int64_t window = std::min(window_tokens(engine.config(), o), std::max(o.context, kNoEnd));
  SchedulerOptions& s = o.server.scheduler;
  s.window = window;
  s.pool_tokens = pool_tokens(engine, o, window);
  s.step_seconds = o.step_ms / 1e3;
  s.reuse_answers = !o.reread_answers;
  s.cache_folder = o.cache_dir;
  s.cache_limit = o.cache_size > 0 ? o.cache_size : int64_t{20} << 30;
  s.remark = [&o](const std::string& sentence) { remark(o, "{}", sentence); };
  if (o.seed_given) o.server.api.seed = o.seed;
  server::Server server(engine, o.server);
  std::thread listening([&] { server.listen(); });
  if (o.json)
    print_json({{"url", server.url()},
                {"model", o.server.api.model},
                {"window", window},
                {"pool_tokens", s.pool_tokens}});
  remark(o, "{} is served at {}: window {} tokens, room for {} tokens of keys and values, {} answers at once",
         o.server.api.model, server.url(), grouped(window), grouped(s.pool_tokens), s.streams);
  if (!server::is_loopback(o.server.host) && !o.server.keys.required())
    remark(o, "whoever reaches {} may ask; --api-key-file gives keys", server.url());
  int signal = wait_for_signal();
  remark(o, "closing: waits up to {:.0f} s for answers that are being written", o.drain_s);
  bool whole = server.close(o.drain_s);
  listening.join();
  if (!whole) remark(o, "some answers were broken off");
  return signal == SIGINT ? kExitInterrupted : kExitDone;
}

}  // namespace

Run define_serve(CLI::App& app) {
  auto o = std::make_shared<ServeOptions>();
  server::ServerOptions& s = o->server;
  s.api.model.clear();
  add_model_argument(app, *o);
  app.add_option("--host", s.host, "address to listen on; default 127.0.0.1, all: 0.0.0.0");
  app.add_option("--port", s.port, "default 8080; 0: any")->check(CLI::Range(0, 65535).description(""));
  app.add_option("--model-name", s.api.model, "name under which clients ask for it; default MODEL's");
  app.add_option("--embedder", o->embedder, "model of /v1/embeddings: path or name (minilm)");
  app.add_option("--index", o->index, "folder of `longspan index`, for chats with \"retrieval\"");
  app.add_option("--embedder-task", o->task, "its instructions: longspan embed --help")->group("");
  app.add_option("--parallel", s.scheduler.streams, "answers at once; default 4")
      ->transform(whole_number(1, 1024));
  app.add_option("--queue", s.scheduler.queue, "further requests that may wait; default 64")
      ->transform(whole_number(0, 1 << 20));
  app.add_option("--pool-tokens", o->pool_tokens,
                 "room for keys and values, in tokens; default what memory allows")
      ->transform(whole_number(512, int64_t{1} << 40));
  app.add_option("--max-answer", s.api.max_answer,
                 "tokens of a chat's answer where nobody says; default 2048")
      ->transform(whole_number(1, int64_t{1} << 30));
  app.add_option("--step-tokens", s.scheduler.step_tokens,
                 "of a prompt between two tokens of other answers, at most; default 256")
      ->transform(whole_number(32, int64_t{1} << 20));
  app.add_option("--step-ms", o->step_ms,
                 "and no more than takes so long, or half the time of those tokens; default 15")
      ->check(CLI::Range(1.0, 1e6).description(""));
  app.add_option("--cache-dir", o->cache_dir, "folder that keeps what was read, for the next start");
  app.add_option("--cache-size", o->cache_size, "of that folder at most: 500M, 20G; default 20G")
      ->transform(CLI::AsSizeValue(false).description(""));
  app.add_flag("--reread-answers", o->reread_answers, "read answers again when a conversation goes on")
      ->group("");
  app.add_option("--api-key-file", o->key_file, "keys that may ask, a line each: sha256:HEX NAME");
  app.add_option("--cors", s.cors, "origin whose pages may ask: https://example.org, or * for all");
  app.add_option("--timeout", s.api.timeout_s, "seconds that a request may take; default no limit")
      ->check(CLI::NonNegativeNumber.description(""));
  app.add_option("--max-body", s.limits.body_bytes, "of a request; default 32M")
      ->transform(CLI::AsSizeValue(false).description(""))
      ->group("");
  app.add_option("--connections", s.limits.connections, "at once; default 256")
      ->transform(whole_number(1, 16384))
      ->group("");
  app.add_option("--drain", o->drain_s, "seconds for running answers after SIGTERM; default 30")
      ->check(CLI::NonNegativeNumber.description(""));
  app.add_option("--context", o->context,
                 "use a window of N tokens (32k, 1M), even beyond what the model supports")
      ->transform(whole_number(1, int64_t{1} << 40));
  app.add_option("--chat-template", o->chat_template, "built-in name or Jinja file; default the model's");
  add_engine_options(app, *o);
  app.get_option("--attention")->group("");  // refused: see serve
  add_output_options(app, *o);
  return [o] { return serve(*o); };
}

}  // namespace longspan::cli
