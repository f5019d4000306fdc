// What config.json and GGUF metadata say about positions, made into a PositionConfig. A key that is not
// understood changes the model, so it is an Error here and never skipped.
#include <cmath>

#include "base/error.h"
#include "position/validate.h"

namespace longspan {

// ---- config.json ----

namespace {

struct MethodName {
  const char* hf;
  const char* method;
};
constexpr MethodName kHfNames[] = {{"default", "rope"}, {"linear", "linear"}, {"dynamic", "dynamic_ntk"},
                                   {"ntk", "ntk"},      {"yarn", "yarn"},     {"longrope", "longrope"},
                                   {"su", "longrope"},  {"llama3", "llama3"}};

std::string method_of_hf(const std::string& type) {
  std::string known;
  for (const MethodName& row : kHfNames) {
    if (type == row.hf) return row.method;
    known += (known.empty() ? "" : ", ") + std::string(row.hf);
  }
  fail("config.json: rope_type \"{}\" is not supported; supported are: {}", type, known);
}

/// Top-level keys, rope_scaling (transformers 4) and rope_parameters (5) as one object. The same key with two
/// values is an Error: releases differ on which one counts.
Json gather_hf(const Json& config) {
  Json all = Json::object();
  auto put = [&](std::string key, Json value) {
    if (value.is_null()) return;
    if (key == "type") key = "rope_type";
    if (key == "rope_type") {
      if (!value.is_string()) fail("config.json: rope_type must be a string, not {}", dump_json(value));
      value = method_of_hf(value.get<std::string>());
    }
    if (value.is_object())
      fail("config.json: \"{}\": rotary settings that differ between layers are not supported", key);
    if (all.contains(key) && all[key] != value)
      fail("config.json: {} is {} in one place and {} in another", key, dump_json(all[key]),
           dump_json(value));
    all[key] = value;
  };
  for (const char* key : {"rope_theta", "partial_rotary_factor", "original_max_position_embeddings"})
    if (config.contains(key)) put(key, config[key]);
  for (const char* group : {"rope_scaling", "rope_parameters"}) {
    if (!config.contains(group) || config[group].is_null()) continue;
    if (!config[group].is_object()) fail("config.json: {} must be an object", group);
    for (const auto& [key, value] : config[group].items()) put(key, value);
  }
  return all;
}

double json_number(const std::string& key, const Json& value, const std::string& where) {
  if (key == "truncate" && value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (!value.is_number()) fail("{}: {} must be a number, not {}", where, key, dump_json(value).substr(0, 80));
  return value.get<double>();
}

std::vector<double> json_list(const std::string& key, const Json& value, const HeadShape& shape,
                              const std::string& where) {
  if (!value.is_array()) fail("{}: {} must be a list of numbers", where, key);
  std::vector<double> list;
  for (const Json& x : value) list.push_back(json_number(key, x, where));
  check_list(key, list, shape, where);
  return list;
}

/// One key of the gathered object into the config.
void apply_hf(PositionConfig& config, const PositionMethod& method, const std::string& key, const Json& value,
              const HeadShape& shape) {
  const std::string where = "config.json";
  if (key == "rope_type" || key == "partial_rotary_factor" || key == "finetuned") return;
  if (key == "rope_theta") {
    config.base = json_number(key, value, where);
  } else if (key == "original_max_position_embeddings") {
    int64_t original = token_count(key, json_number(key, value, where), where);
    if (config.method == "dynamic_ntk" && original != config.declared_context)
      fail(
          "config.json: original_max_position_embeddings is {} but dynamic scaling starts at "
          "max_position_embeddings, {}",
          original, config.declared_context);
    config.trained_context = original;
  } else if (contains(method.keys, key)) {
    config.values[key] = json_number(key, value, where);
  } else if (contains(method.lists, key)) {
    config.lists[key] = json_list(key, value, shape, where);
  } else {
    std::string lists;
    for (const std::string& list : method.lists) lists += ", " + list;
    fail(
        "config.json: \"{}\" is not known for rope_type {}; known: rope_theta, "
        "original_max_position_embeddings, {}{}",
        key, method.name, known_keys(method), lists);
  }
}

void assume_hf(PositionConfig& config, const Json& given) {
  if (!given.contains("rope_theta"))
    config.assumed.push_back("config.json gives no rope_theta: 10000 is assumed");
  bool stretches = !contains({"rope", "dynamic_ntk"}, config.method);
  if (stretches && !given.contains("original_max_position_embeddings"))
    config.assumed.push_back(
        fmt::format("config.json gives no original_max_position_embeddings: max_position_embeddings, {}, is "
                    "taken as the trained window",
                    config.trained_context));
  if (config.method == "yarn" && !config.values.contains("factor") &&
      config.trained_context < config.declared_context) {
    config.values["factor"] =
        static_cast<double>(config.declared_context) / static_cast<double>(config.trained_context);
    config.assumed.push_back(fmt::format(
        "config.json gives no yarn factor: max_position_embeddings / original_max_position_embeddings = {}",
        config.values["factor"]));
  }
  if (config.method == "llama3")
    for (auto [key, value] : {std::pair{"low_freq_factor", 1}, {"high_freq_factor", 4}})
      if (!config.values.contains(key)) {
        config.values[key] = value;
        config.assumed.push_back(fmt::format("config.json gives no {}: {} is assumed", key, value));
      }
}

}  // namespace

PositionConfig position_from_hf(const Json& json, const HeadShape& shape) {
  Json given = gather_hf(json);
  PositionConfig config;
  config.method = given.value("rope_type", "rope");
  if (json.contains("max_position_embeddings") && !json["max_position_embeddings"].is_null()) {
    const char* key = "max_position_embeddings";
    config.declared_context = token_count(key, json_number(key, json[key], "config.json"), "config.json");
  } else {
    config.declared_context = 2048;
    config.assumed.push_back("config.json gives no max_position_embeddings: 2048 is assumed");
  }
  config.trained_context = config.declared_context;
  const PositionMethod& method = position_method(config.method);
  for (const auto& [key, value] : given.items()) apply_hf(config, method, key, value, shape);
  assume_hf(config, given);
  validate(config, "config.json");
  return config;
}

double rotary_fraction_from_hf(const Json& config) {
  Json given = gather_hf(config);
  if (!given.contains("partial_rotary_factor")) return 1;
  double fraction = json_number("partial_rotary_factor", given["partial_rotary_factor"], "config.json");
  if (!(fraction > 0 && fraction <= 1))
    fail("config.json: partial_rotary_factor must be above 0 and at most 1, not {}", fraction);
  return fraction;
}

// ---- GGUF ----

namespace {

/// The ARCH.rope.* numbers; anything that this reader does not understand is an Error.
std::map<std::string, double> gguf_numbers(const Json& metadata, const std::string& prefix,
                                           std::string& type) {
  std::map<std::string, double> numbers;
  for (const auto& [key, value] : metadata.items()) {
    if (!key.starts_with(prefix)) continue;
    std::string name = key.substr(prefix.size());
    if (name == "scaling.finetuned") continue;
    if (name == "scaling.type") {
      if (!value.is_string()) fail("GGUF metadata: {} must be a string", key);
      type = value.get<std::string>();
    } else if (contains({"dimension_count", "freq_base", "scale_linear", "scaling.factor",
                         "scaling.original_context_length", "scaling.attn_factor", "scaling.yarn_beta_fast",
                         "scaling.yarn_beta_slow", "scaling.yarn_ext_factor", "scaling.yarn_attn_factor"},
                        name)) {
      numbers[name] = json_number(key, value, "GGUF metadata");
    } else {
      fail("GGUF metadata: {} is not understood, and reading the model without it would be wrong", key);
    }
  }
  if (numbers.contains("scaling.yarn_ext_factor") && numbers["scaling.yarn_ext_factor"] != 1)
    fail("GGUF metadata: {}scaling.yarn_ext_factor is {}; only 1 is supported", prefix,
         numbers["scaling.yarn_ext_factor"]);
  return numbers;
}

/// The row that a file means. A factor without a type is linear, as the writers of old files meant it.
std::string gguf_method(std::string type, bool factor,
                        const std::map<std::string, std::vector<double>>& lists) {
  if (type.empty() && factor) type = "linear";
  if (type.empty()) type = "none";
  bool freqs = lists.contains("rope_freqs"),
       searched = lists.contains("long_factor") || lists.contains("short_factor");
  if (type == "none" && freqs) return "freq_factors";
  if (type == "longrope" || (type == "none" && searched)) return "longrope";
  if (freqs || searched)
    fail("GGUF: rotary factor tensors together with rope.scaling.type \"{}\" are not supported", type);
  if (type == "none") return "rope";
  if (type == "linear" || type == "yarn") return type;
  fail(
      "GGUF metadata: rope.scaling.type \"{}\" is not supported; supported are: none, linear, yarn, longrope",
      type);
}

}  // namespace

PositionConfig position_from_gguf(const Json& metadata, const std::string& arch, const HeadShape& shape,
                                  std::map<std::string, std::vector<double>> lists) {
  const std::string where = "GGUF metadata";
  std::string type;
  std::map<std::string, double> numbers = gguf_numbers(metadata, arch + ".rope.", type);
  auto number = [&](const char* name, double otherwise) {
    auto at = numbers.find(name);
    return at == numbers.end() ? otherwise : at->second;
  };
  double factor = number("scaling.factor", number("scale_linear", 1));
  if (factor == 1 && type == "linear") type = "none";

  PositionConfig config;
  config.method = gguf_method(type, factor != 1, lists);
  config.base = number("freq_base", 10000);
  if (!numbers.contains("freq_base"))
    config.assumed.push_back("the file gives no rope.freq_base: 10000 is assumed");
  std::string context = arch + ".context_length";
  if (!metadata.contains(context)) fail("{}: {} is missing", where, context);
  config.declared_context = token_count(context, json_number(context, metadata[context], where), where);
  const char* original = "scaling.original_context_length";
  config.trained_context =
      token_count(original, number(original, static_cast<double>(config.declared_context)), where);

  if (contains(position_method(config.method).required, "factor")) config.values["factor"] = factor;
  if (config.method == "yarn") {
    for (const char* beta : {"beta_fast", "beta_slow"})
      if (auto at = numbers.find(std::string("scaling.yarn_") + beta); at != numbers.end())
        config.values[beta] = at->second;
    // attn_factor multiplies the scale that yarn computes; yarn_attn_factor is Hugging Face's and replaces
    // it.
    double scale = number("scaling.yarn_attn_factor", factor <= 1 ? 1.0 : 0.1 * std::log(factor) + 1.0);
    config.values["attention_factor"] = scale * number("scaling.attn_factor", 1);
  }
  if (config.method == "longrope" && numbers.contains("scaling.attn_factor"))
    config.values["attention_factor"] = numbers["scaling.attn_factor"];
  for (auto& [key, list] : lists) check_list(key, list, shape, "GGUF tensor " + key);
  config.lists = std::move(lists);
  validate(config, where);
  return config;
}

}  // namespace longspan
