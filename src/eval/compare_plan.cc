// What `compare` is going to do, checked before anything is computed.
#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/threads.h"
#include "eval/compare.h"
#include "model/memory.h"

namespace longspan {

namespace {

namespace fs = std::filesystem;

constexpr int kResultFormat = 1;  // to be raised when the same key would give another result

/// FNV-1a (64 bits): tells inputs apart, nothing more.
std::string digest(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("{:016x}", hash);
}

std::string digest(const std::vector<int32_t>& ids) {
  return digest(std::string_view(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof ids[0]));
}

/// Sizes and times of a model's files: weights of gigabytes are not read twice to recognise them.
std::string model_stamp(const fs::path& model) {
  if (!fs::is_directory(model)) return digest(file_stamp(model));
  std::vector<std::string> stamps;
  for (const auto& entry : fs::directory_iterator(model))
    if (entry.is_regular_file())
      stamps.push_back(entry.path().filename().string() + " " + file_stamp(entry.path()));
  std::sort(stamps.begin(), stamps.end());
  std::string all;
  for (const std::string& stamp : stamps) all += stamp + "\n";
  return digest(all);
}

/// What decides every result of this engine.
Json engine_key(const Engine& engine, const fs::path& model) {
  const EngineOptions& o = engine.options();
  return {{"format", kResultFormat},
          {"model", fs::canonical(model).string()},
          {"model_stamp", model_stamp(model)},
          {"kernels", engine.model().kernels->name},
          {"compute", engine.model().compute == Compute::F32 ? "f32" : "bf16"},
          {"cache", name(o.cache_dtype)},
          {"chunk", o.chunk},
          {"threads", threads()}};  // seconds depend on them
}

Json position_key(const PositionConfig& position) {
  Json key = {{"position", describe(position)}};
  if (position.lists.empty()) return key;  // only these methods look at the declared window, too
  key["lists"] = digest(dump_json(Json(position.lists)));
  key["declared_context"] = position.declared_context;
  return key;
}

/// Tokens that the tokenizer puts before a text: BOS or nothing.
std::vector<int32_t> opening(const Tokenizer& tokenizer) {
  std::vector<int32_t> with = tokenizer.encode("a");
  if (tokenizer.bos_id() >= 0 && !with.empty() && with.front() == tokenizer.bos_id()) return {with.front()};
  return {};
}

void check_lengths(const CompareSettings& s, int64_t text_tokens, int64_t opening_tokens) {
  if (s.lengths.front() <= s.tail)
    fail(
        "a length of {} tokens leaves nothing before the last {} that are scored; ask for longer ones, or "
        "for a shorter --tail",
        grouped(s.lengths.front()), grouped(s.tail));
  int64_t longest = s.lengths.back() - opening_tokens, needed = longest + (s.windows - 1) * s.tail;
  if (needed <= text_tokens) return;
  if (s.windows == 1)
    fail("the text has {} tokens, but a length of {} was asked for; give a longer text or shorter --lengths",
         grouped(text_tokens), grouped(s.lengths.back()));
  fail(
      "the text has {} tokens, but {} windows of {} whose last {} do not overlap need {}; give a longer "
      "text, shorter --lengths or fewer --windows",
      grouped(text_tokens), s.windows, grouped(s.lengths.back()), grouped(s.tail), grouped(needed));
}

CompareRow plan_row(const Engine& engine, const Checkpoint& checkpoint, const std::string& method,
                    int64_t length, std::optional<int64_t> available) {
  CompareRow row{method, stretch_method(method, engine.config().position, length), length};
  ModelConfig config = engine.config();
  config.position = row.stretched.position;
  const Model& model = engine.model();
  MemoryPlan memory = plan_memory(checkpoint, config, *model.kernels, model.compute,
                                  engine.options().cache_dtype, engine.options().chunk, length);
  row.kv_bytes = memory.kv_cache;
  row.memory_bytes = memory.total() + memory.scoring;
  int64_t more = memory.kv_cache + memory.activations + memory.scoring;  // than the loaded model takes
  if (available && more > *available)
    fail(
        "{} at {} tokens needs {} for keys, values and buffers, and {} of memory are free; ask for shorter "
        "--lengths or a smaller --cache-type",
        row.stretched.spec, grouped(length), human_bytes(static_cast<double>(more)),
        human_bytes(static_cast<double>(*available)));
  return row;
}

/// The window that ends at token `end` of the text: opening, then text.
std::vector<int32_t> window_ids(const std::vector<int32_t>& opening, const std::vector<int32_t>& ids,
                                int64_t end, int64_t length) {
  std::vector<int32_t> window = opening;
  window.insert(window.end(), ids.begin() + end - (length - static_cast<int64_t>(opening.size())),
                ids.begin() + end);
  return window;
}

std::string passkey_digest(const PasskeyTask& task) {
  std::string all;
  for (const auto& prompt : task.prompts) all += digest(prompt);
  return digest(all);
}

CompareCase loss_case(const Json& key, std::vector<int32_t> ids, const CompareSettings& s) {
  CompareCase c{CompareCase::Loss, 0, key, std::move(ids)};
  auto length = static_cast<int64_t>(c.ids.size());
  c.by_position = length == s.lengths.back();
  c.tokens = length;
  c.key.update({{"kind", "loss"},
                {"length", length},
                {"tail", s.tail},
                {"by_position", c.by_position},
                {"ids", digest(c.ids)}});
  return c;
}

CompareCase passkey_case(const Json& key, const PasskeyTask& task, int64_t length) {
  CompareCase c{CompareCase::Passkeys, 0, key};
  for (size_t k = 0; k < task.prompts.size(); ++k) c.tokens += unshared_tokens(task, k) + kPasskeyAnswer;
  c.key.update({{"kind", "passkeys"}, {"length", length}, {"prompts", passkey_digest(task)}});
  return c;
}

}  // namespace

ComparePlan plan_compare(const Engine& engine, const fs::path& model, const std::string& text,
                         const CompareSettings& settings) {
  ComparePlan plan{settings};
  const CompareSettings& s = plan.settings;
  if (s.methods.empty() || s.lengths.empty()) fail("compare needs at least one method and one length");
  const Tokenizer& tokenizer = engine.tokenizer();
  std::vector<int32_t> before = opening(tokenizer),
                       ids = tokenizer.encode(text, {.add_special = false, .parse_special = false});
  plan.text_tokens = static_cast<int64_t>(ids.size());
  check_lengths(s, plan.text_tokens, static_cast<int64_t>(before.size()));
  Checkpoint checkpoint = open_checkpoint(model);
  std::optional<int64_t> available = available_memory();
  for (const std::string& method : s.methods)
    for (int64_t length : s.lengths)
      plan.rows.push_back(plan_row(engine, checkpoint, method, length, available));
  if (s.passkeys > 0)
    for (int64_t length : s.lengths)
      plan.passkeys[length] = make_passkeys(engine.prompts(), text, ids, length, s.passkeys, s.seed);

  int64_t first_end = s.lengths.back() - static_cast<int64_t>(before.size());
  Json shared = engine_key(engine, model);
  for (size_t r = 0; r < plan.rows.size(); ++r) {
    const CompareRow& row = plan.rows[r];
    Json key = shared;
    key.update(position_key(row.stretched.position));
    for (int64_t w = 0; w < s.windows; ++w) {
      int64_t back =
          s.windows == 1 ? 0 : (plan.text_tokens - first_end) * (s.windows - 1 - w) / (s.windows - 1);
      plan.cases.push_back(loss_case(key, window_ids(before, ids, plan.text_tokens - back, row.length), s));
      plan.cases.back().row = r;
    }
    if (s.passkeys > 0) {
      plan.cases.push_back(passkey_case(key, plan.passkeys.at(row.length), row.length));
      plan.cases.back().row = r;
    }
  }
  return plan;
}

}  // namespace longspan
