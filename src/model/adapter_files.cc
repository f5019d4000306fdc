#include "model/adapter_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "base/threads.h"
#include "checkpoint/write_safetensors.h"
#include "model/adapter_config.h"
#include "model/export.h"
#include "model/initial_part.h"
#include "model/roles.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPrefix = "base_model.model.";
constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kTensorFile = "adapter_model.safetensors";
constexpr const char* kTorchFile = "adapter_model.bin";
constexpr const char* kPositionFile = "longspan.json";
constexpr const char *kEmbedding = "model.embed_tokens", *kHead = "lm_head";

std::string without_prefix(const std::string& name) {
  return name.starts_with(kPrefix) ? name.substr(std::strlen(kPrefix)) : name;
}
bool of_adapter(const std::string& name) { return name.find(".lora_") != std::string::npos; }

/// "model.layers.3.input_layernorm.weight" -> "input_layernorm".
std::string module_of(const std::string& name) {
  size_t end = name.rfind('.');
  return name.substr(name.rfind('.', end - 1) + 1, end - name.rfind('.', end - 1) - 1);
}

std::string pretty(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Tensor to_f32(const Tensor& t, Arena& memory) {
  Tensor out = memory.matrix("adapters", DType::F32, t.rows(), t.cols());
  std::vector<std::byte> raw(static_cast<size_t>(dtype_bytes(t.dtype, t.cols())));  // aligned
  for (int64_t r = 0; r < t.rows(); ++r) {
    std::memcpy(raw.data(), t.row<std::byte>(r), raw.size());
    dequantise(out.row(r), raw.data(), t.dtype, t.cols());
  }
  return t.dims == 1 ? host_vector(out.data, DType::F32, t.cols()) : out;
}

/// A place in the model that a whole tensor of the file may take.
struct Place {
  std::string name;
  Tensor* tensor = nullptr;
  Linear* product = nullptr;  // of `tensor`, whose packed copies become invalid
  float offset = 0;           // the file holds the value minus this
};

/// A matrix that may have a pair A, B beside it.
struct Module {
  std::string name;            // "model.layers.3.mlp.up_proj"
  Tensor* weight = nullptr;    // [N, C]
  Linear* product = nullptr;   // of `weight`
  Adapter* adapter = nullptr;  // null: the pair is added to the weight
  // What the file holds: A [r, C], B [N, r] (of the embedding A^T [V, r], B^T [r, C]), magnitude [N] of DoRA.
  Tensor a = {}, b = {}, magnitude = {};
};

std::vector<Place> places_of(Model& model) {
  std::vector<Place> places;
  Weights& w = model.weights;
  places.push_back({"model.embed_tokens.weight", &w.embedding});
  places.push_back({"lm_head.weight", &w.head.weight, &w.head});
  places.push_back(
      {.name = "model.norm.weight", .tensor = &w.final_norm, .offset = norm_offset(model.config)});
  const TensorNames& names = parameter_names(model.config);
  for (size_t l = 0; l < w.layers.size(); ++l) {
    std::string layer = fmt::format("model.layers.{}.", l);
    for (const Norm& norm : kNorms)
      if (const char* path = names.*norm.path)
        places.push_back({.name = layer + path + ".weight",
                          .tensor = &(w.layers[l].*norm.weight),
                          .offset = norm_offset(model.config)});
    for (const Role& role : kRoles) {
      Linear& linear = w.layers[l].*role.linear;
      places.push_back({layer + role.path + ".weight", &linear.weight, &linear});
      places.push_back({layer + role.path + ".bias", &linear.bias});
    }
  }
  return places;
}

std::vector<Module> modules_of(Model& model) {
  Weights& w = model.weights;
  std::vector<Module> modules = {{kEmbedding, &w.embedding}, {kHead, &w.head.weight, &w.head}};
  for (size_t l = 0; l < w.layers.size(); ++l)
    for (const Role& role : kRoles) {
      Linear& linear = w.layers[l].*role.linear;
      modules.push_back({fmt::format("model.layers.{}.{}", l, role.path), &linear.weight, &linear,
                         &(model.adapters[l].*role.adapter)});
    }
  return modules;
}

/// Rows divided by their L2 norm, as a model with NormHead multiplies with.
void divide_rows(const Tensor& t) {
  for (int64_t r = 0; r < t.rows(); ++r) {
    double squares = 0;
    for (int64_t c = 0; c < t.cols(); ++c) squares += static_cast<double>(t.row(r)[c]) * t.row(r)[c];
    auto scale = static_cast<float>(1 / std::max(std::sqrt(squares), 1e-12));
    for (int64_t c = 0; c < t.cols(); ++c) t.row(r)[c] *= scale;
  }
}

Tensor transposed(const Tensor& t, Arena& memory) {
  Tensor out = memory.matrix("adapters", DType::F32, t.cols(), t.rows());
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t c = 0; c < t.cols(); ++c) out.row(c)[r] = t.row(r)[c];
  return out;
}

/// W + scale B A in place; with a magnitude (DoRA, Liu 2024, arXiv 2402.09353) its rows divided by their L2
/// norm and multiplied by the magnitude. All in host memory, F32.
void add_pair(const Tensor& w, const Module& m, float scale) {
  auto cols = static_cast<size_t>(w.cols());
  parallel_for(w.rows(), [&](int64_t n) {
    std::vector<double> sum(cols);
    for (int64_t r = 0; r < m.a.rows(); ++r)
      for (size_t c = 0; c < cols; ++c) sum[c] += static_cast<double>(m.b.row(n)[r]) * m.a.row(r)[c];
    double squares = 0;
    for (size_t c = 0; c < cols; ++c) {
      sum[c] = w.row(n)[c] + scale * sum[c];
      squares += sum[c] * sum[c];
    }
    double length = m.magnitude ? m.magnitude.row(0)[n] / std::sqrt(squares) : 1;
    for (size_t c = 0; c < cols; ++c) w.row(n)[c] = static_cast<float>(length * sum[c]);
  });
}

/// The same of an embedding [V, C], whose magnitude [C] is that of its columns, as PEFT has it.
void add_embedding_pair(const Tensor& w, const Module& m, float scale) {
  Tensor magnitude = m.magnitude;
  Module pair = m;
  pair.magnitude = {};
  add_pair(w, pair, scale);
  if (!magnitude) return;
  std::vector<double> squares(static_cast<size_t>(w.cols()));
  for (int64_t v = 0; v < w.rows(); ++v)
    for (int64_t c = 0; c < w.cols(); ++c)
      squares[static_cast<size_t>(c)] += static_cast<double>(w.row(v)[c]) * w.row(v)[c];
  for (int64_t c = 0; c < w.cols(); ++c) {
    double factor = magnitude.row(0)[c] / std::sqrt(squares[static_cast<size_t>(c)]);
    for (int64_t v = 0; v < w.rows(); ++v) w.row(v)[c] = static_cast<float>(factor * w.row(v)[c]);
  }
}

/// Loads one adapter. What is made on the host goes to the model's device afterwards.
struct Loader {
  const std::string file;  // of the tensors
  const AdapterConfig& config;
  Model& model;
  Arena scratch = {};  // host memory of a model on another device
  Arena& host = model.device->is_host() ? model.weights.copies : scratch;
  std::vector<Place> places = places_of(model);
  std::vector<Module> modules = modules_of(model);
  std::vector<NamedTensor> whole = {};  // by name, what merging writes

  [[noreturn]] void refuse_shape(const NamedTensor& t) const {
    fail("{}: {} of {} x {} does not fit the model: the adapter was made for a different model", file,
         excerpt(t.name), t.tensor.rows(), t.tensor.cols());
  }

  Tensor on_device(const Tensor& t) {
    if (model.device->is_host()) return t;
    Tensor copy = t.dims == 1 ? model.weights.copies.vector("adapters", DType::F32, t.cols())
                              : model.weights.copies.matrix("adapters", DType::F32, t.rows(), t.cols());
    model.device->upload(copy.data, t.data, t.bytes());
    return copy;
  }

  Tensor* whole_of(const std::string& name) {
    auto at = std::find_if(whole.begin(), whole.end(), [&](const NamedTensor& t) { return t.name == name; });
    return at == whole.end() ? nullptr : &at->tensor;
  }

  void set_whole(const std::string& name, const Tensor& value) {
    if (Tensor* known = whole_of(name))
      *known = value;
    else
      whole.push_back({name, value});
  }

  /// PEFT's names: the module wrapped by an adapter is its base_layer, a copy that trained was
  /// modules_to_save.
  static std::string plain_name(std::string name) {
    name = without_prefix(name);
    for (const char* part : {".base_layer", ".modules_to_save"})
      if (size_t at = name.find(part); at != std::string::npos) name.erase(at, std::strlen(part));
    return name;
  }

  /// False when it is no part of a pair.
  bool take_part(const std::string& name, const NamedTensor& t) {
    size_t at = name.find(".lora_");
    if (at == std::string::npos) return false;
    std::string module = name.substr(0, at), part = name.substr(at + 1);
    if (part.ends_with(".weight")) part.resize(part.size() - std::strlen(".weight"));
    auto m = std::find_if(modules.begin(), modules.end(), [&](const Module& m) { return m.name == module; });
    bool embedding = module == kEmbedding;
    if (m == modules.end() || !*m->weight) return false;
    Tensor value = to_f32(t.tensor, host);
    if (part == (embedding ? "lora_embedding_A" : "lora_A"))
      (embedding ? m->b : m->a) = embedding ? transposed(value, host) : value;
    else if (part == (embedding ? "lora_embedding_B" : "lora_B"))
      (embedding ? m->a : m->b) = embedding ? transposed(value, host) : value;
    else if (part == "lora_magnitude_vector" && config.dora)
      m->magnitude = value;
    else
      return false;
    bool fits = t.tensor.dims == (part == "lora_magnitude_vector" ? 1 : 2) &&
                (!m->a || m->a.cols() == m->weight->cols()) && (!m->b || m->b.rows() == m->weight->rows()) &&
                (!m->magnitude || m->magnitude.cols() == (embedding ? m->weight->cols() : m->weight->rows()));
    if (!fits) refuse_shape(t);
    bool shared = config.ensure_weight_tying && (embedding || module == kHead) &&
                  (is_target(config, kEmbedding) || is_target(config, kHead));
    if (!shared && !is_target(config, module))
      fail("{}: holds {}, but target_modules and the keys beside it of {} leave that module out", file,
           excerpt(t.name), kConfigFile);
    return true;
  }

  void take(const NamedTensor& t) {
    std::string name = plain_name(t.name);
    check_finite(t, file);
    if (take_part(name, t)) return;
    auto place = std::find_if(places.begin(), places.end(), [&](const Place& p) { return p.name == name; });
    if (place == places.end() || !*place->tensor)
      fail("{}: the model has no place for {}", file, excerpt(t.name));
    if (t.tensor.rows() != place->tensor->rows() || t.tensor.cols() != place->tensor->cols()) refuse_shape(t);
    put(*place, t.tensor);
  }

  void put(const Place& place, const Tensor& t) {
    Tensor value = to_f32(t, host);
    set_whole(place.name, value);  // as the file has it
    bool unit = place.product == &model.weights.head && model.config.norm_head;
    if (place.offset != 0 || unit) value = to_f32(t, host);
    for (int64_t i = 0; place.offset != 0 && i < value.cols(); ++i) value.row(0)[i] += place.offset;
    if (unit) divide_rows(value);
    *place.tensor = on_device(value);
    if (place.product) place.product->packed.clear();
  }

  /// The pair becomes one of the original base: behind A and B come those that the initialisation began with,
  /// B negated (as PEFT converts such adapters). PiSSA's product has the size of the part, OLoRA's is still
  /// to be multiplied by the scale.
  void take_initial_part_out(Module& m, float scale) {
    // Larger ones take seconds each, and a model has hundreds of them.
    constexpr int64_t kMostElements = int64_t{1} << 23;
    const char* init = config.start == AdapterStart::Pissa ? "pissa" : "olora";
    Weights& w = model.weights;
    if (m.product == &w.head && w.head.weight.data == w.embedding.data)
      fail(
          "{}: init_lora_weights is \"{}\" and {} shares the embedding, which is not supported; merge the "
          "adapter into its base with PEFT",
          file, init, m.name);
    int64_t rank = m.a.rows(), rows = m.weight->rows(), cols = m.weight->cols();
    if (rank > std::min(rows, cols))
      fail("{}: {} of {} x {} has no part of rank {}", file, m.name, rows, cols, rank);
    if (config.start == AdapterStart::Pissa && rows * cols > kMostElements)
      fail(
          "{}: init_lora_weights is \"pissa\", and weights of {} x {} take too long to decompose; convert it "
          "to plain LoRA with PEFT (save_pretrained(..., path_initial_model_for_weight_conversion=...))",
          file, rows, cols);
    Arena here;
    Tensor weight = to_f32(to_host(*model.device, *m.weight, here), here);
    InitialPart part =
        config.start == AdapterStart::Pissa ? principal_part(weight, rank) : orthogonal_part(weight, rank);
    if (part.rank == 0)
      fail("{}: init_lora_weights is \"olora\", but the first {} columns of {} depend on each other", file,
           rank, m.name);
    double divisor = config.start == AdapterStart::Pissa ? static_cast<double>(scale) : 1;
    Tensor a = host.matrix("adapters", DType::F32, 2 * rank, cols),
           b = host.matrix("adapters", DType::F32, rows, 2 * rank);
    for (int64_t r = 0; r < rank; ++r) {
      std::copy_n(m.a.row(r), cols, a.row(r));
      std::copy_n(part.a.data() + r * cols, cols, a.row(rank + r));
    }
    for (int64_t n = 0; n < rows; ++n) {
      std::copy_n(m.b.row(n), rank, b.row(n));
      for (int64_t r = 0; r < rank; ++r)
        b.row(n)[rank + r] = static_cast<float>(-part.b[static_cast<size_t>(n * rank + r)] / divisor);
    }
    m.a = a, m.b = b;
  }

  void apply(Module& m) {
    if (!m.a && !m.b && !m.magnitude) return;
    int64_t rank = m.a ? m.a.rows() : 0;
    if (!m.a || !m.b || rank != m.b.cols()) fail("{}: A and B beside {} are not of one rank", file, m.name);
    if (static_cast<double>(rank) != rank_of(config, m.name))
      fail("{}: A and B beside {} have rank {}, but {} says {}", file, m.name, rank, kConfigFile,
           rank_of(config, m.name));
    if (config.dora && !m.magnitude)
      fail("{}: use_dora is true, but {} has no lora_magnitude_vector", file, m.name);
    if (m.product == &model.weights.head && model.config.norm_head)
      fail("{}: adapters of the head of a model with NormHead are not supported", file);
    float scale = scale_of(config, m.name);
    bool embedding = m.name == kEmbedding;
    // A base weight in the file is one that the part has been taken out of.
    if (config.start != AdapterStart::Plain && !embedding && !whole_of(m.name + ".weight"))
      take_initial_part_out(m, scale);
    if (m.adapter && !m.magnitude) {
      m.adapter->a.weight = on_device(m.a), m.adapter->b.weight = on_device(m.b);
      m.adapter->scale = scale;
      return;
    }
    Tensor sum = to_f32(to_host(*model.device, *m.weight, scratch), host);
    (embedding ? add_embedding_pair : add_pair)(sum, m, scale);
    *m.weight = on_device(sum);
    if (m.product) m.product->packed.clear();
    set_whole(m.name + ".weight", sum);
  }

  /// Embedding and head of a model that shares them: they stay one tensor where both became the same.
  void settle_tie(bool share_embedding) {
    Weights& w = model.weights;
    if (w.head.weight.data == w.embedding.data) return;
    Tensor *embedding = whole_of(std::string(kEmbedding) + ".weight"),
           *head = whole_of(std::string(kHead) + ".weight");
    bool same = embedding && head &&
                std::memcmp(embedding->data, head->data, static_cast<size_t>(head->bytes())) == 0;
    if (same || (share_embedding && !head)) {
      w.head.weight = w.embedding, w.head.packed.clear();
      std::erase_if(whole, [](const NamedTensor& t) { return t.name == std::string(kHead) + ".weight"; });
      return;
    }
    model.config.tie_word_embeddings = false;
    if (!head) set_whole(std::string(kHead) + ".weight", w.head.weight);  // of the base
  }
};

/// The file of the adapter's tensors: safetensors, else torch's .bin.
fs::path tensor_file(const fs::path& directory) {
  std::error_code ignored;
  for (const char* name : {kTensorFile, kTorchFile})
    if (fs::exists(directory / name, ignored)) return directory / name;
  fail("{}: holds neither {} nor {}; copy the adapter's weights there", directory.string(), kTensorFile,
       kTorchFile);
}

Json config_of(const fs::path& directory) {
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored) || !fs::exists(directory / kConfigFile, ignored))
    fail("{}: is no directory with {}; an adapter is a directory as PEFT and `longspan train` write it",
         directory.string(), kConfigFile);
  return parse_json_file(directory / kConfigFile);
}

}  // namespace

void write_adapter(const fs::path& directory, const TrainingModel& model, const Trained& trained,
                   const std::string& base_model, const std::string& position, DType type) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) fail("{}: cannot be made: {}", directory.string(), error.message());
  std::vector<TensorSource> tensors;
  std::set<std::string> whole;
  Arena memory;
  for (const Parameter& p : model.parameters) {
    std::string name = of_adapter(p.name) ? p.name : kPrefix + p.name;
    tensors.push_back(converted({name, as_filed(model, p, memory)}, type));
    if (!of_adapter(p.name)) whole.insert(module_of(p.name));
    // PEFT leaves the head as it was unless the file holds it, even where the base shares it.
    const Weights& w = model.model.weights;
    if (p.value.data != w.embedding.data || w.head.weight.data != w.embedding.data) continue;
    tensors.push_back(
        converted({std::string(kPrefix) + kHead + ".weight", as_filed(model, p, memory)}, type));
    whole.insert(kHead);
  }
  double alpha = trained.lora_alpha > 0 ? trained.lora_alpha : static_cast<double>(trained.lora_rank);
  Json config = {{"peft_type", "LORA"},
                 {"task_type", "CAUSAL_LM"},
                 {"base_model_name_or_path", base_model},
                 {"r", trained.lora_rank},
                 {"lora_alpha", alpha},
                 {"lora_dropout", 0.0},
                 {"bias", "none"},
                 {"fan_in_fan_out", false},
                 {"inference_mode", true},
                 {"target_modules", trained.projections},
                 {"modules_to_save", whole.empty() ? Json() : Json(whole)}};
  write_safetensors(directory / kTensorFile, tensors, {{"format", "pt"}});
  write_file_atomic(directory / kPositionFile, pretty({{"position", position}}));
  write_file_atomic(directory / kConfigFile, pretty(config));
}

std::string adapter_position(const fs::path& directory) {
  std::error_code ignored;
  fs::path file = directory / kPositionFile;
  if (!fs::exists(file, ignored)) return "";
  Json json = parse_json_file(file);
  if (!json.is_object() || !json.contains("position") || !json["position"].is_string())
    fail("{}: the text \"position\" is missing", file.string());
  return json["position"];
}

PositionConfig position_with_adapter(const fs::path& directory, const PositionConfig& base) {
  std::string own = adapter_position(directory);
  return own.empty() ? base : parse_position(own, base);
}

std::vector<NamedTensor> load_adapter(const fs::path& directory, Model& model) {
  if (!row_of(model.config).trains)
    fail("{}: adapters of {} models are not supported yet; merge it into its base with PEFT",
         directory.string(), model.config.architecture);
  AdapterConfig config = read_adapter_config(config_of(directory), (directory / kConfigFile).string());
  fs::path file = tensor_file(directory);
  MappedFile mapped(file);
  auto parse = file.extension() == ".bin" ? parse_torch_bin : parse_safetensors;
  ParsedTensors parsed = parse(mapped.bytes(), file.string());
  if (!parsed.skipped.empty())
    fail("{}: {} has {}; F32, F16 and BF16 are read", file.string(), excerpt(parsed.skipped.begin()->first),
         parsed.skipped.begin()->second);
  model.adapters.assign(model.weights.layers.size(), {});
  bool tied = model.weights.head.weight.data == model.weights.embedding.data;
  Loader loader{.file = file.string(), .config = config, .model = model};
  for (const NamedTensor& t : parsed.tensors) loader.take(t);
  for (Module& m : loader.modules) loader.apply(m);
  // Earlier versions of longspan wrote an embedding that is the head, too, once.
  std::error_code ignored;
  if (tied) loader.settle_tie(fs::exists(directory / kPositionFile, ignored));
  if (!model.device->is_host()) return {};
  return std::move(loader.whole);
}

std::vector<NamedTensor> merged_weights(const Model& model, Arena& memory) {
  std::vector<NamedTensor> merged;
  const Weights& w = model.weights;
  const Kernels& k = model.kernels();
  for (size_t l = 0; l < model.adapters.size(); ++l)
    for (const Role& role : kRoles) {
      const Adapter& adapter = model.adapters[l].*role.adapter;
      const Tensor& from = (w.layers[l].*role.linear).weight;
      if (!adapter) continue;
      Arena here(*model.device);
      Arena& owner = model.device->is_host() ? memory : here;
      Tensor out = owner.matrix("merged weights", DType::F32, from.rows(), from.cols());
      k.convert(out, from);
      k.merge(out, adapter);
      merged.push_back(
          {fmt::format("model.layers.{}.{}.weight", l, role.path), to_host(*model.device, out, memory)});
    }
  return merged;
}

}  // namespace longspan
