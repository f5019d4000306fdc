#include "model/adapter_config.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

// Read below.
constexpr const char* kHonoured[] = {"peft_type",
                                     "r",
                                     "lora_alpha",
                                     "rank_pattern",
                                     "alpha_pattern",
                                     "use_rslora",
                                     "use_dora",
                                     "bias",
                                     "target_modules",
                                     "exclude_modules",
                                     "layers_to_transform",
                                     "layers_pattern",
                                     "init_lora_weights",
                                     "modules_to_save",
                                     "ensure_weight_tying"};
// Where the adapter comes from, what its training did, and options of keys that are refused. fan_in_fan_out
// is about Conv1D modules, which no model here has: PEFT corrects it to false. modules_to_save and
// ensure_weight_tying say which whole tensors the file holds, and the file says that itself.
constexpr const char* kWithoutEffect[] = {"auto_mapping",      "base_model_name_or_path",
                                          "revision",          "task_type",
                                          "peft_version",      "inference_mode",
                                          "lora_dropout",      "loftq_config",
                                          "eva_config",        "corda_config",
                                          "lora_ga_config",    "megatron_core",
                                          "velora_config",     "runtime_config",
                                          "qalora_group_size", "fan_in_fan_out"};

bool listed(std::span<const char* const> keys, const std::string& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

bool says_nothing(const Json& value) {
  return value.is_null() || value == false || value == 0 || value == "none" || value == "" ||
         (value.is_structured() && value.empty());
}

void refuse_unknown(const Json& json, const std::string& file) {
  for (const auto& [key, value] : json.items())
    if (!listed(kHonoured, key) && !listed(kWithoutEffect, key) && !says_nothing(value))
      fail(
          "{}: {} is {}, and adapters with it are not supported: without it the adapter would mean something "
          "else; merge it into its base with PEFT",
          file, excerpt(key), excerpt_json(value));
}

/// "pissa" and "olora" take a part out of the base's weights that can be computed from them; of the plain
/// ones PEFT leaves the base as it is.
AdapterStart read_start(const Json& json, const std::string& file) {
  auto found = json.find("init_lora_weights");
  if (found == json.end() || found->is_null() || found->is_boolean()) return AdapterStart::Plain;
  std::string init = found->is_string() ? found->get<std::string>() : "";
  std::transform(init.begin(), init.end(), init.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const char* plain : {"gaussian", "eva", "orthogonal", "mica"})
    if (init == plain) return AdapterStart::Plain;
  if (init == "pissa") return AdapterStart::Pissa;
  if (init == "olora") return AdapterStart::Olora;
  fail(
      "{}: init_lora_weights is {}: such an adapter belongs to a base whose weights its initialisation "
      "changed, {}; convert it to plain LoRA with PEFT "
      "(save_pretrained(..., path_initial_model_for_weight_conversion=...)), or merge it there",
      file, excerpt_json(*found),
      init.starts_with("pissa_niter_") ? "by a decomposition that draws random numbers"
                                       : "and the base here is the original one");
}

double positive(const Json& json, const char* key, const std::string& file) {
  if (!json.contains(key) || !json[key].is_number() || !(json[key].get<double>() > 0))
    fail("{}: {} is missing or no positive number", file, key);
  return json[key].get<double>();
}

bool flag(const Json& json, const char* key, const std::string& file) {
  if (!json.contains(key) || json[key].is_null()) return false;
  if (!json[key].is_boolean())
    fail("{}: {} should be true or false, not {}", file, key, excerpt_json(json[key]));
  return json[key].get<bool>();
}

/// Matches the whole of a name, as Python's re.fullmatch.
Regex whole(const std::string& pattern, const char* key, const std::string& file) {
  return Regex("\\A(?:" + pattern + ")\\z", file + ": " + key);
}

bool matches(const Regex& regex, const std::string& name) {
  size_t begin = 0, end = 0;
  return regex.search(name, 0, begin, end);
}

std::vector<AdapterConfig::Pattern> patterns(const Json& json, const char* key, const std::string& file) {
  std::vector<AdapterConfig::Pattern> out;
  if (!json.contains(key) || json[key].is_null()) return out;
  if (!json[key].is_object()) fail("{}: {} should be an object of numbers", file, key);
  for (const auto& [pattern, value] : json[key].items()) {
    if (!value.is_number() || !(value.get<double>() > 0))
      fail("{}: {} gives {} no positive number", file, key, in_quotes(pattern));
    out.push_back({whole("(.*\\.)?(" + pattern + ")", key, file), value.get<double>()});
  }
  return out;
}

/// A string, or a list of strings.
std::vector<std::string> names(const Json& json, const char* key, const std::string& file) {
  if (!json.contains(key) || json[key].is_null()) return {};
  Json list = json[key].is_array() ? json[key] : Json::array({json[key]});
  std::vector<std::string> out;
  for (const Json& name : list) {
    if (!name.is_string()) fail("{}: {} should hold strings, not {}", file, key, excerpt_json(name));
    out.push_back(name.get<std::string>());
  }
  return out;
}

void read_targets(const Json& json, const std::string& file, AdapterConfig& config) {
  config.targets = names(json, "target_modules", file);
  config.excluded = names(json, "exclude_modules", file);
  if (config.targets.empty()) fail("{}: target_modules names no module", file);
  if (json["target_modules"].is_string()) {
    config.all_linear = config.targets[0] == "all-linear";
    if (!config.all_linear) config.target_regex = whole(config.targets[0], "target_modules", file);
  }
  if (json.contains("exclude_modules") && json["exclude_modules"].is_string() && !config.excluded[0].empty())
    config.excluded_regex = whole(config.excluded[0], "exclude_modules", file);
  if (json.contains("layers_to_transform") && !json["layers_to_transform"].is_null()) {
    const Json& given = json["layers_to_transform"];
    for (const Json& layer : given.is_array() ? given : Json::array({given})) {
      if (!layer.is_number_integer())
        fail("{}: layers_to_transform should hold numbers of layers, not {}", file, excerpt_json(layer));
      config.layers.push_back(layer.get<int64_t>());
    }
  }
  for (const std::string& name : names(json, "layers_pattern", file))
    config.layer_names.push_back(whole(".*\\." + name, "layers_pattern", file));
}

bool named(const std::vector<std::string>& names, const std::string& module) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return module == name || module.ends_with("." + name); });
}

/// The layers that a module belongs to by its name: what precedes each number, and the number.
bool in_layers(const AdapterConfig& config, const std::string& module) {
  for (size_t at = module.rfind('.'); at != std::string::npos && at > 0; at = module.rfind('.', at - 1)) {
    size_t begin = module.rfind('.', at - 1);
    if (begin == std::string::npos) return false;
    std::string number = module.substr(begin + 1, at - begin - 1), before = module.substr(0, begin);
    if (number.empty() || number.size() > 9 || number.find_first_not_of("0123456789") != std::string::npos)
      continue;
    bool here =
        config.layer_names.empty() || std::any_of(config.layer_names.begin(), config.layer_names.end(),
                                                  [&](const Regex& name) { return matches(name, before); });
    if (here) return std::count(config.layers.begin(), config.layers.end(), std::stoll(number)) > 0;
  }
  return false;
}

double of(const std::vector<AdapterConfig::Pattern>& patterns, const std::string& module, double otherwise) {
  for (const AdapterConfig::Pattern& pattern : patterns)
    if (matches(pattern.module, module)) return pattern.value;
  return otherwise;
}

}  // namespace

AdapterConfig read_adapter_config(const Json& json, const std::string& file) {
  if (!json.is_object()) fail("{}: an object was expected", file);
  if (!json.contains("peft_type") || json["peft_type"] != "LORA")
    fail("{}: peft_type is not \"LORA\": only LoRA adapters are supported", file);
  refuse_unknown(json, file);
  AdapterConfig config;
  config.start = read_start(json, file);
  config.rank = positive(json, "r", file), config.alpha = positive(json, "lora_alpha", file);
  config.ranks = patterns(json, "rank_pattern", file), config.alphas = patterns(json, "alpha_pattern", file);
  config.rslora = flag(json, "use_rslora", file), config.dora = flag(json, "use_dora", file);
  config.ensure_weight_tying = flag(json, "ensure_weight_tying", file);
  read_targets(json, file, config);
  return config;
}

bool is_target(const AdapterConfig& config, const std::string& module) {
  if (config.excluded_regex ? matches(*config.excluded_regex, module) : named(config.excluded, module))
    return false;
  if (config.target_regex) return matches(*config.target_regex, module);
  if (!config.all_linear && !named(config.targets, module)) return false;
  return config.layers.empty() || in_layers(config, module);
}

double rank_of(const AdapterConfig& config, const std::string& module) {
  return of(config.ranks, module, config.rank);
}

float scale_of(const AdapterConfig& config, const std::string& module) {
  double rank = rank_of(config, module);
  return static_cast<float>(of(config.alphas, module, config.alpha) /
                            (config.rslora ? std::sqrt(rank) : rank));
}

}  // namespace longspan
