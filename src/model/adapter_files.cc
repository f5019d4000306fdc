#include "model/adapter_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "base/threads.h"
#include "checkpoint/write_safetensors.h"
#include "model/roles.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPrefix = "base_model.model.";
constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kTensorFile = "adapter_model.safetensors";
constexpr const char* kPositionFile = "longspan.json";

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

/// scale = alpha / r (or / sqrt(r)). Error for adapters that would need a different forward pass.
float adapter_scale(const Json& config, const std::string& file) {
  auto flag = [&](const char* key) { return config.contains(key) && config[key] == true; };
  auto something = [&](const char* key) {
    return config.contains(key) && !config[key].is_null() && !config[key].empty();
  };
  if (config.value("peft_type", "") != "LORA")
    fail("{}: peft_type is not \"LORA\": only LoRA adapters are supported", file);
  for (const char* key : {"use_dora", "fan_in_fan_out"})
    if (flag(key)) fail("{}: adapters with {} are not supported", file, key);
  for (const char* key : {"rank_pattern", "alpha_pattern"})
    if (something(key)) fail("{}: adapters with {} are not supported", file, key);
  if (config.value("bias", "none") != "none") fail("{}: adapters that train biases are not supported", file);
  for (const char* key : {"r", "lora_alpha"})
    if (!config.contains(key) || !config[key].is_number() || !(config[key].get<double>() > 0))
      fail("{}: {} is missing or no positive number", file, key);
  double r = config["r"];
  return static_cast<float>(config["lora_alpha"].get<double>() / (flag("use_rslora") ? std::sqrt(r) : r));
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

/// A place in the model that a tensor of the file may take: its name without prefix, and what is there.
struct Place {
  std::string name;
  Tensor* tensor = nullptr;    // a whole one, replaced
  Linear* product = nullptr;   // of `tensor`, whose packed copies become invalid
  Adapter* adapter = nullptr;  // or A (first) or B of this one
  bool first = false;
  int64_t outputs = 0, inputs = 0;  // of the projection
  float offset = 0;                 // the file holds the value minus this
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
      for (bool first : {true, false})
        places.push_back({fmt::format("{}{}.lora_{}.weight", layer, role.path, first ? 'A' : 'B'), nullptr,
                          nullptr, &(model.adapters[l].*role.adapter), first, linear.weight.rows(),
                          linear.weight.cols()});
    }
  }
  return places;
}

bool fits(const Place& place, const Tensor& t) {
  if (place.tensor)
    return *place.tensor && t.rows() == place.tensor->rows() && t.cols() == place.tensor->cols();
  return place.first ? t.dims == 2 && t.cols() == place.inputs : t.dims == 2 && t.rows() == place.outputs;
}

/// Returns the file's own values, in memory owned by the model.
Tensor put(const Place& place, const Tensor& t, float scale, Model& model) {
  Tensor value = to_f32(t, model.weights.copies);
  if (!place.tensor) {
    (place.first ? place.adapter->a : place.adapter->b).weight = value;
    place.adapter->scale = scale;
    return value;
  }
  Weights& w = model.weights;
  bool tied = place.tensor == &w.embedding && w.head.weight.data == w.embedding.data;
  Tensor filed = value;
  if (place.offset != 0) {
    value = to_f32(t, model.weights.copies);
    for (int64_t i = 0; i < value.cols(); ++i) value.row(0)[i] += place.offset;
  }
  *place.tensor = value;
  if (place.product) place.product->packed.clear();
  if (tied) w.head.weight = value, w.head.packed.clear();
  return filed;
}

}  // namespace

void write_adapter(const fs::path& directory, const TrainingModel& model, const Trained& trained,
                   const std::string& base_model, const std::string& position) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) fail("{}: cannot be made: {}", directory.string(), error.message());
  std::vector<TensorSource> tensors;
  std::set<std::string> whole;
  Arena memory;
  for (const Parameter& p : model.parameters) {
    std::string name = of_adapter(p.name) ? p.name : kPrefix + p.name;
    tensors.push_back(as_it_lies({name, as_filed(model, p, memory)}));
    if (!of_adapter(p.name)) whole.insert(module_of(p.name));
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

std::vector<NamedTensor> load_adapter(const fs::path& directory, Model& model) {
  fs::path config_file = directory / kConfigFile, file = directory / kTensorFile;
  Json config = parse_json_file(config_file);
  if (!config.is_object()) fail("{}: an object was expected", config_file.string());
  float scale = adapter_scale(config, config_file.string());
  MappedFile mapped(file);
  ParsedTensors parsed = parse_safetensors(mapped.bytes(), file.string());
  model.adapters.assign(model.weights.layers.size(), {});
  std::vector<Place> places = places_of(model);
  std::vector<NamedTensor> whole;
  for (const NamedTensor& named : parsed.tensors) {
    std::string name = without_prefix(named.name);
    auto place = std::find_if(places.begin(), places.end(), [&](const Place& p) { return p.name == name; });
    if (place == places.end()) fail("{}: the model has no place for {}", file.string(), excerpt(named.name));
    if (!fits(*place, named.tensor))
      fail("{}: {} of {} x {} does not fit the model: the adapter was made for a different model",
           file.string(), excerpt(named.name), named.tensor.rows(), named.tensor.cols());
    check_finite(named, file.string());
    Tensor filed = put(*place, named.tensor, scale, model);
    if (place->tensor) whole.push_back({name, filed});
  }
  for (LayerAdapters& layer : model.adapters)
    for (const Role& role : kRoles) {
      const Adapter& adapter = layer.*role.adapter;
      bool a = static_cast<bool>(adapter.a), b = static_cast<bool>(adapter.b);
      if (a != b || (a && adapter.a.weight.rows() != adapter.b.weight.cols()))
        fail("{}: A and B beside {} are not of one rank", file.string(), role.name);
    }
  return whole;
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
