// Every file is checked before it is written: the metadata are read back as a config, which has to be the
// model's.
#include "model/write_gguf_model.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/write_gguf.h"
#include "model/gguf_export.h"
#include "model/gguf_mix.h"
#include "model/model_files.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

/// The lists of rotary factors as a file's tensors.
constexpr std::pair<const char*, const char*> kLists[] = {{"rope_freqs", "rope_freqs.weight"},
                                                          {"short_factor", "rope_factors_short.weight"},
                                                          {"long_factor", "rope_factors_long.weight"}};

struct Plan {
  Json metadata;
  std::vector<FiledTensor> tensors;
  std::vector<DType> types;  // of the tensors
  Weights weights;           // what tensors read from
  std::map<std::string, std::vector<float>> lists;
  std::vector<std::string> remarks;
};

bool is_list(const std::string& name) {
  return std::any_of(std::begin(kLists), std::end(kLists), [&](const auto& l) { return name == l.second; });
}

Plan plan_from_directory(const Checkpoint& from, const ModelConfig& config) {
  Plan plan;
  PromptMaker prompts = load_prompt_maker(from, "");
  plan.metadata = config_to_gguf(config);
  plan.metadata["general.name"] = fs::absolute(from.path).lexically_normal().filename().string();
  TokenizerKeys keys = tokenizer_keys_for_gguf(prompts.tokenizer, vocabulary_files(from), config.vocab_size,
                                               from.path.string());
  plan.metadata.update(keys.keys);
  plan.remarks = std::move(keys.remarks);
  if (std::string text = own_chat_template(from); !text.empty())
    plan.metadata["tokenizer.chat_template"] = text;
  // What other readers are told where the model's own method has no name.
  PositionConfig plain;
  plain.base = config.position.base;
  plain.trained_context = plain.declared_context = std::max<int64_t>(1, config.position.trained_context);
  plan.metadata = position_to_gguf(std::move(plan.metadata), config.architecture, plain, config.head_shape(),
                                   0, UnknownMethod::Refuse)
                      .config;
  plan.weights = load_weights(from, config);
  plan.tensors = gguf_tensors(plan.weights, config);
  return plan;
}

/// Names, order and metadata stay; the lists of rotary factors come with the position.
Plan plan_from_gguf(const Checkpoint& from) {
  Plan plan;
  plan.metadata = Json::object();
  for (const auto& [key, value] : from.metadata.items())
    if (!key.starts_with("split.") && key != "general.alignment") plan.metadata[key] = value;
  for (const NamedTensor& t : from.tensors) {
    check_finite(t, from.path.string());
    if (!is_list(t.name))
      plan.tensors.push_back({t.name, {t.tensor}, {t.tensor.size, t.tensor.size + t.tensor.dims}});
  }
  return plan;
}

void set_position(Plan& plan, const ModelConfig& config, const GgufWish& wish) {
  const PositionConfig& position = wish.position ? *wish.position : config.position;
  int64_t window = wish.window > 0 ? wish.window : extended_context(position);
  if (window == 0)
    fail("{} has no window of its own: say with --to how many tokens to promise", describe(position));
  std::string local = config.architecture + ".rope.freq_base_swa";
  Json kept = plan.metadata.value(local, Json());
  WrittenPosition written = position_to_gguf(std::move(plan.metadata), config.architecture, position,
                                             config.head_shape(), window, UnknownMethod::Keep);
  plan.metadata = std::move(written.config);
  if (!kept.is_null()) plan.metadata[local] = kept;
  for (std::string& remark : written.remarks) plan.remarks.push_back(std::move(remark));
  for (auto [key, name] : kLists) {
    auto list = written.lists.find(key);
    if (list == written.lists.end()) continue;
    std::vector<float>& values = plan.lists[name];
    values.assign(list->second.begin(), list->second.end());
    Tensor t = host_vector(values.data(), DType::F32, std::ssize(values));
    plan.tensors.push_back({name, {t}, {t.size[0]}});
  }
}

/// Types of all tensors, and a sentence where the wished one does not fit.
void set_types(Plan& plan, const ModelConfig& config, std::optional<DType> wish) {
  if (!wish) {  // vectors of a directory become F32, as llama.cpp wants them
    for (const FiledTensor& t : plan.tensors)
      plan.types.push_back(t.sizes.size() == 1 ? DType::F32 : t.parts[0].dtype);
    DType embedding = plan.tensors[0].parts[0].dtype;
    if (!plan.metadata.contains("general.file_type"))
      plan.metadata["general.file_type"] = gguf_file_type(embedding);
    return;
  }
  DType wished = *wish;
  std::map<std::pair<DType, int64_t>, int64_t> unfit;
  for (const FiledTensor& t : plan.tensors) {
    bool head = t.name == "output.weight" || (config.tie_word_embeddings && t.name == "token_embd.weight");
    MixedTensor mixed{t.name, static_cast<int>(t.sizes.size()), t.sizes.back(), config.num_hidden_layers,
                      head};
    DType type = mixed_type(mixed, wished);
    plan.types.push_back(type);
    mixed.cols = 256;  // fits every type
    if (t.sizes.size() > 1 && mixed_type(mixed, wished) != type) ++unfit[{type, t.sizes.back()}];
  }
  for (const auto& [what, count] : unfit)
    plan.remarks.push_back(
        fmt::format("{} tensors have rows of {}, which blocks of 256 or 32 do not divide: "
                    "they are {}",
                    count, what.second, name(what.first)));
  plan.metadata["general.file_type"] = gguf_file_type(wished);
  plan.metadata["general.quantization_version"] = 2;
}

/// The file as a reader will find it, but for the weights.
Checkpoint as_read(const Plan& plan, const fs::path& path) {
  Checkpoint c;
  c.path = path;
  c.metadata = plan.metadata;
  for (const FiledTensor& t : plan.tensors) {
    Tensor view = t.parts[0];
    view.dims = static_cast<int>(t.sizes.size());
    std::copy(t.sizes.begin(), t.sizes.end(), view.size);
    c.index.emplace(t.name, c.tensors.size());
    c.tensors.push_back({t.name, view});
  }
  return c;
}

/// Numbers that a file keeps in F32.
bool same(double a, double b) { return static_cast<float>(a) == static_cast<float>(b); }

double score_scale(const ModelConfig& c) {
  return c.query_pre_attn_scalar > 0 ? c.query_pre_attn_scalar : static_cast<double>(c.head_dim);
}

/// Error naming the first thing that a reader of the file would not know.
void check(const ModelConfig& c, const PositionConfig& position, const Plan& plan, const fs::path& path) {
  ModelConfig read = read_config(as_read(plan, path));
  const char* lost = nullptr;
  auto expect = [&](bool equal, const char* what) {
    if (!equal && !lost) lost = what;
  };
  expect(same(score_scale(c), score_scale(read)), "query_pre_attn_scalar");
  expect(c.sliding_window == read.sliding_window, "sliding_window");
  expect(same(c.attn_logit_softcapping, read.attn_logit_softcapping) &&
             same(c.final_logit_softcapping, read.final_logit_softcapping),
         "the soft caps");
  for (int64_t l = 0; l < c.num_hidden_layers; ++l)
    expect(c.local_layer(l) == read.local_layer(l), "the pattern of local layers");
  expect(c.norm_topk_prob == read.norm_topk_prob, "norm_topk_prob");
  expect(c.num_experts == read.num_experts && c.num_experts_per_tok == read.num_experts_per_tok,
         "the experts");
  expect(c.no_rope_layer_interval == read.no_rope_layer_interval, "which layers do not rotate");
  expect(same(c.residual_multiplier, read.residual_multiplier) && same(c.logits_scaling, read.logits_scaling),
         "the multipliers of residual and logits");
  expect(same(c.embedding_scale, read.embedding_scale), "the scale of the embedding");
  expect(c.rotary_dim == read.rotary_dim && c.head_dim == read.head_dim, "the rotary size");
  expect(c.attention_bias == read.attention_bias && c.o_bias == read.o_bias && c.mlp_bias == read.mlp_bias,
         "biases");
  if (!plan.metadata.contains("longspan.position")) {
    PositionSpec want = position_spec(position, c.head_shape(), 0),
                 got = position_spec(read.position, read.head_shape(), 0);
    expect(want.inv_freq.size() == got.inv_freq.size(), "the rotary size");
    for (size_t i = 0; i < std::min(want.inv_freq.size(), got.inv_freq.size()); ++i)
      expect(std::abs(want.inv_freq[i] - got.inv_freq[i]) <= 1e-5 * want.inv_freq[i], "the position method");
  }
  if (lost)
    fail("{}: a GGUF file of the architecture {} cannot say {} of this model; convert to a directory instead",
         path.string(), c.architecture, lost);
}

void check_target(const fs::path& file, const Plan& plan) {
  std::error_code error;
  if (fs::exists(file, error)) fail("{}: exists already; choose another name", file.string());
  fs::path folder = fs::absolute(file).parent_path();
  if (!fs::is_directory(folder, error)) fail("{}: no such directory", folder.string());
  uintmax_t needed = 1 << 20;
  for (size_t i = 0; i < plan.tensors.size(); ++i)
    needed += static_cast<uintmax_t>(filed_as(plan.tensors[i], plan.types[i]).bytes());
  fs::space_info space = fs::space(folder, error);
  if (error || space.available >= needed) return;
  auto human = [](uintmax_t bytes) { return human_bytes(static_cast<double>(bytes)); };
  fail("{}: the model needs {}, {} are free there, {} are missing; free them or choose another place",
       file.string(), human(needed), human(space.available), human(needed - space.available));
}

}  // namespace

std::vector<std::string> write_gguf_model(const Checkpoint& from, const ModelConfig& config,
                                          const GgufWish& wish, const Progress& progress) {
  bool gguf = from.format == CheckpointFormat::Gguf;
  Plan plan = gguf ? plan_from_gguf(from) : plan_from_directory(from, config);
  set_position(plan, config, wish);
  set_types(plan, config, wish.type);
  check(config, wish.position ? *wish.position : config.position, plan, wish.file);
  check_target(wish.file, plan);
  if (config.sliding_window > 0 && config.sliding_window_pattern == 0)
    plan.remarks.push_back(
        fmt::format("the sliding window of {} tokens is in the file, but llama.cpp knows "
                    "none for {} and attends to everything",
                    config.sliding_window, config.architecture));
  std::vector<TensorSource> sources;
  for (size_t i = 0; i < plan.tensors.size(); ++i)
    sources.push_back(filed_as(plan.tensors[i], plan.types[i]));
  write_gguf(wish.file, plan.metadata, sources, progress);
  return plan.remarks;
}

}  // namespace longspan
