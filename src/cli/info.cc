// info, methods, frequencies: what is known about a model before any weight is read.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "model/adapter_files.h"
#include "model/memory.h"
#include "model/model_files.h"
#include "position/stretch.h"

namespace longspan::cli {

namespace {

struct FrequencyOptions : Options {
  int64_t length = 0;
};

/// `length`: what a factor that --position leaves to the length follows; 0: the trained window.
ModelConfig config_of(const Checkpoint& checkpoint, const Options& o, int64_t length) {
  ModelConfig config = read_config(checkpoint);
  if (std::filesystem::path adapter = adapter_of(o.model); !adapter.empty())
    config.position = position_with_adapter(adapter, config.position);
  if (needs_length(o.position) && length == 0) length = config.position.trained_context;
  if (!o.position.empty()) config.position = stretch_method(o.position, config.position, length).position;
  for (const std::string& sentence : config.position.assumed) remark(o, "{}", sentence);
  return config;
}

/// With the end of turn of the chat template, if that can be read.
Tokenizer tokenizer_of(const Checkpoint& checkpoint, const Options& o) {
  try {
    return load_prompt_maker(checkpoint, "").tokenizer;
  } catch (const Error& e) {
    Tokenizer tokenizer = load_tokenizer(checkpoint);  // its own fault is fatal
    remark(o, "the chat template cannot be used: {}", e.what());
    return tokenizer;
  }
}

/// [{"name", "id", "text", "from"}]; the named tokens that are in the vocabulary.
Json named_tokens(const Tokenizer& tokenizer) {
  Json rows = Json::array();
  for (const SpecialTokens::Token& t : tokenizer.specials().named)
    if (t.token.id >= 0)
      rows.push_back({{"name", t.name}, {"id", t.token.id}, {"text", t.token.content}, {"from", t.from}});
  return rows;
}

/// [{"id", "text", "from"}]; the ids that end an answer.
Json ends(const Tokenizer& tokenizer) {
  Json rows = Json::array();
  for (const SpecialTokens::End& end : tokenizer.specials().ends)
    rows.push_back({{"id", end.id}, {"text", tokenizer.token_text(end.id)}, {"from", end.from}});
  return rows;
}

std::string special_tokens_text(const Json& named, const Json& ends) {
  std::string out;
  auto add = [&](const std::string& name, const Json& row) {
    out += fmt::format("  {:<20}{:>8}  {}, from {}\n", name, row["id"].get<int64_t>(),
                       in_quotes(row["text"].get<std::string>()), row["from"].get<std::string>());
  };
  for (const Json& row : named) add(row["name"].get<std::string>(), row);
  for (const Json& row : ends) add("ends an answer", row);
  return out.empty() ? out : "\nspecial tokens\n" + out;
}

/// What the file calls itself: GGUF's general.name, Hugging Face's _name_or_path, else the name of the file.
std::string model_name(const Checkpoint& checkpoint) {
  for (const char* key : {"general.name", "_name_or_path"})
    if (auto at = checkpoint.metadata.find(key); at != checkpoint.metadata.end() && at->is_string())
      if (const auto& text = at->get_ref<const std::string&>(); !text.empty()) return excerpt(text);
  std::filesystem::path path = checkpoint.path.lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

/// "Q4_K 82 %, Q6_K 17 %, F32 1 %": types by the bytes of their tensors.
std::string weight_types(const Checkpoint& checkpoint) {
  std::map<std::string, double> bytes;
  double all = 0;
  for (const NamedTensor& t : checkpoint.tensors) {
    auto size = static_cast<double>(t.tensor.bytes());
    bytes[name(t.tensor.dtype)] += size, all += size;
  }
  std::vector<std::pair<double, std::string>> sorted;
  for (const auto& [type, size] : bytes) sorted.emplace_back(-size, type);
  std::sort(sorted.begin(), sorted.end());
  std::string out;
  for (const auto& [size, type] : sorted) {
    double share = -100 * size / all;
    out += fmt::format("{}{}", out.empty() ? "" : ", ", type);
    if (sorted.size() > 1) out += share < 1 ? " below 1 %" : fmt::format(" {:.0f} %", share);
  }
  return out;
}

std::string info_text(const Json& facts, const MemoryPlan& plan, const MemoryFit& fit) {
  std::string out;
  for (const auto& [key, value] : facts.items()) {
    if (value.is_structured() || key == "memory_to_score") continue;  // these are in tables
    std::string shown = value.is_number_integer() ? grouped(value.get<int64_t>())
                        : value.is_string()       ? value.get<std::string>()
                        : value.is_null()         ? "not limited by the position method"
                                                  : value.dump();
    out += fmt::format("{:<22}{}\n", key, shown);
  }
  out += special_tokens_text(facts["special_tokens"], facts["ends"]);
  out += fmt::format("\nmemory for a context of {} tokens\n", grouped(fit.use.tokens));
  const std::pair<const char*, int64_t> rows[] = {
      {"weights, mapped", plan.weights},
      {"weights, copied", plan.copied},
      {"weights, packed", plan.packed},
      {"keys and values", plan.kv_cache},
      {"activations", plan.activations},
      {"program", plan.program},
      {"total", plan.total()},
      {"with lean weights", facts["memory_by_weights"]["lean"].get<int64_t>()},
      {"with packed weights", facts["memory_by_weights"]["packed"].get<int64_t>()},
      {"and to score", plan.scoring},
  };
  for (const auto& [label, bytes] : rows)
    out += fmt::format("  {:<20}{:>12}\n", label, human_bytes(static_cast<double>(bytes)));
  if (fit.available)
    out += fmt::format("  {:<20}{:>12}  {}; up to {} tokens fit\n", "free here",
                       human_bytes(static_cast<double>(*fit.available)),
                       fit.fits() ? "it fits" : "it does not fit", grouped(fit.longest));
  return out;
}

int info(const Options& o) {
  Checkpoint checkpoint = open_checkpoint(resolve_model(o.model));
  ModelConfig config = config_of(checkpoint, o, o.context);
  EngineOptions engine = engine_options(o);
  std::shared_ptr<Device> device = device_of(engine);
  const Kernels& k = device->kernels();
  int64_t window = extended_context(config.position);
  int64_t context = o.context > 0 ? o.context
                    : window > 0  ? window
                                  : std::max<int64_t>(config.position.trained_context, 4096);
  Compute compute = engine.compute.value_or(k.preferred);
  Tokenizer tokenizer = tokenizer_of(checkpoint, o);
  for (const std::string& sentence : tokenizer.specials().remarks) remark(o, "{}", sentence);
  std::optional<int64_t> free = device->free_memory();
  auto planned = [&](WeightReading reading) {
    return plan_memory(checkpoint, config, k, compute, reading, engine.cache_types, engine.chunk, context);
  };
  MemoryPlan plan = planned(settled_reading(engine.weights, checkpoint, config, k, compute, free));
  int64_t lean = planned(WeightReading::Lean).total(), packed = planned(WeightReading::Packed).total();
  MemoryFit fit = fit_memory(plan, config, engine.cache_types, {.tokens = context}, free);
  Json facts = {
      {"name", model_name(checkpoint)},
      {"format", checkpoint.format == CheckpointFormat::Gguf ? "GGUF" : "Hugging Face directory"},
      {"weights", weight_types(checkpoint)},
      {"architecture", config.architecture},
      {"parameters", checkpoint.parameters()},
      {"layers", config.num_hidden_layers},
      {"hidden", config.hidden_size},
      {"heads", config.num_attention_heads},
      {"kv_heads", config.num_key_value_heads},
      {"head_dim", config.head_dim},
      {"vocab", config.vocab_size},
      {"native_context", config.position.trained_context},
      {"position", describe(config.position)},
      {"growth", growth(config.position, config.head_shape())},
      {"window", window > 0 ? Json(window) : Json()},
      {"tokenizer", tokenizer.kind()},
      {"special_tokens", named_tokens(tokenizer)},
      {"ends", ends(tokenizer)},
      {"weights_bytes", checkpoint.tensor_bytes()},
      {"kv_bytes_per_token", kv_bytes_per_token(config, engine.cache_types, key_copies(config, context))},
      {"kernels", k.name},
      {"compute", name(compute)},
      {"context", context},
      {"memory",
       {{"weights", plan.weights},
        {"copied", plan.copied},
        {"packed", plan.packed},
        {"kv_cache", plan.kv_cache},
        {"activations", plan.activations},
        {"program", plan.program},
        {"total", plan.total()}}},
      {"memory_by_weights", {{"lean", lean}, {"packed", packed}}},
      {"memory_to_score", plan.scoring},
      {"here",
       {{"fits", fit.fits()},
        {"free", fit.available ? Json(*fit.available) : Json()},
        {"longest", fit.available ? Json(fit.longest) : Json()}}}};
  if (o.json)
    print_json(facts);
  else
    print_now(info_text(facts, plan, fit));
  return kExitDone;
}

int methods(const Options& o) {
  Json rows = Json::array();
  for (const PositionMethod& m : position_methods())
    rows.push_back(
        {{"name", m.name}, {"paper", m.paper}, {"needs", m.needs}, {"summary", m.summary}, {"keys", m.keys}});
  if (o.json) {
    print_json(Json::object({{"methods", rows}}));
    return kExitDone;
  }
  for (const PositionMethod& m : position_methods()) {
    std::string keys;
    for (const std::string& key : m.keys) keys += fmt::format("{}{}=", keys.empty() ? ":" : ",", key);
    print_now(fmt::format("{}{}\n  {}\n  paper: {}; needs: {}\n", m.name, keys, m.summary, m.paper, m.needs));
  }
  return kExitDone;
}

Json map_json(const PositionMap& map) {
  return {{"modulus", map.modulus},
          {"divisor", map.divisor},
          {"offset", map.offset},
          {"cap", map.cap},
          {"floor", map.floor}};
}

/// "floor((m mod 8) / 4) + 2, at most 9".
std::string map_text(const PositionMap& map, char position) {
  std::string text(1, position);
  if (map.modulus > 0) text = fmt::format("({} mod {:g})", text, map.modulus);
  if (map.divisor != 1) text += fmt::format(" / {:g}", map.divisor);
  if (map.floor) text = "floor(" + text + ")";
  if (map.offset != 0) text += fmt::format(" {} {:g}", map.offset < 0 ? '-' : '+', std::abs(map.offset));
  if (map.cap >= 0) text += fmt::format(", at most {:g}", map.cap);
  return text;
}

int frequencies(const FrequencyOptions& o) {
  Checkpoint checkpoint = open_checkpoint(resolve_model(o.model));
  ModelConfig config = config_of(checkpoint, o, o.length);
  PositionSpec spec = position_spec(config.position, config.head_shape(), o.length);
  PositionConfig plain;
  plain.base = config.position.base;
  std::vector<double> plain_freq = position_spec(plain, config.head_shape(), 0).inv_freq;
  Json zones = Json::array();
  for (const Zone& z : spec.zones)
    zones.push_back({{"from", z.from},
                     {"query", map_json(z.query)},
                     {"key", map_json(z.key)},
                     {"inv_freq", z.inv_freq.empty() ? spec.inv_freq : z.inv_freq}});
  if (o.json) {
    print_json({{"inv_freq", spec.inv_freq},
                {"attention_scale", spec.attention_scale},
                {"zones", zones},
                {"chunk", spec.chunk},
                {"decay", spec.decay},
                {"slopes", spec.slopes},
                {"log_n", spec.log_n},
                {"position", describe(config.position)},
                {"depends_on_length", spec.depends_on_length}});
    return kExitDone;
  }
  print_now(fmt::format("{}\nattention scale {:.6g}, {} zone{}\n{:>4}{:>16}{:>16}{:>12}\n",
                        describe(config.position), spec.attention_scale, spec.zones.size(),
                        spec.zones.size() == 1 ? "" : "s", "i", "radians/token", "wavelength", "slower"));
  for (size_t i = 0; i < spec.inv_freq.size(); ++i)
    print_now(spec.inv_freq[i] == 0 ? fmt::format("{:>4}{:>16}{:>16}{:>12}\n", i, 0, "does not turn", "")
                                    : fmt::format("{:>4}{:>16.6g}{:>16.6g}{:>11.4g}x\n", i, spec.inv_freq[i],
                                                  2 * 3.14159265358979323846 / spec.inv_freq[i],
                                                  plain_freq[i] / spec.inv_freq[i]));
  for (const Zone& z : spec.zones)
    if (spec.zones.size() > 1)
      print_now(fmt::format("from distance {}{}: query at {}, key at {}\n", z.from,
                            spec.chunk > 0 ? fmt::format(" chunks of {}", spec.chunk) : "",
                            map_text(z.query, 'm'), map_text(z.key, 'n')));
  return kExitDone;
}

}  // namespace

Run define_info(CLI::App& app) {
  auto o = std::make_shared<Options>();
  add_model_argument(app, *o);
  app.add_option("--context", o->context, "tokens to plan memory for; default the window")
      ->transform(whole_number(1, int64_t{1} << 40));
  add_engine_options(app, *o);
  add_output_options(app, *o);
  return [o] { return info(*o); };
}

Run define_methods(CLI::App& app) {
  auto o = std::make_shared<Options>();
  add_output_options(app, *o);
  return [o] { return methods(*o); };
}

Run define_frequencies(CLI::App& app) {
  auto o = std::make_shared<FrequencyOptions>();
  add_model_argument(app, *o);
  add_position_option(app, *o);
  app.add_option("--length", o->length, "declared length of the sequence; default the window")
      ->transform(whole_number(1, int64_t{1} << 40));
  add_output_options(app, *o);
  return [o] { return frequencies(*o); };
}

}  // namespace longspan::cli
