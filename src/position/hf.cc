// config.json of Hugging Face <-> PositionConfig. An unknown key could change the model, so it is an Error
// and never skipped.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "position/fields.h"
#include "position/portable.h"
#include "position/validate.h"

namespace longspan {

namespace {

struct MethodName {
  const char* hf;
  const char* method;
};
constexpr MethodName kHfNames[] = {{"default", "rope"}, {"linear", "linear"}, {"dynamic", "dynamic_ntk"},
                                   {"ntk", "ntk"},      {"yarn", "yarn"},     {"longrope", "longrope"},
                                   {"su", "longrope"},  {"llama3", "llama3"}, {"proportional", "p_rope"}};
constexpr double kDefaultBase = 10000;

std::string method_of_hf(const std::string& type) {
  std::string known;
  for (const MethodName& row : kHfNames) {
    if (type == row.hf) return row.method;
    known += (known.empty() ? "" : ", ") + std::string(row.hf);
  }
  fail("config.json: rope_type {} is not supported; supported are: {}", in_quotes(type), known);
}

bool has(const Json& config, const char* key) { return config.contains(key) && !config[key].is_null(); }

/// Top-level keys, rope_scaling (transformers 4) and rope_parameters (5) as one object. The same key with two
/// values is an Error: releases disagree on which one counts. Fields that individual models invented are
/// translated into the common ones.
Json gather_hf(const Json& config) {
  Json all = Json::object();
  auto put = [&](std::string key, Json value) {
    if (value.is_null()) return;
    if (key == "type") key = "rope_type";
    if (key == "rope_type") {
      if (!value.is_string()) fail("config.json: rope_type must be a string, not {}", excerpt_json(value));
      value = method_of_hf(value.get<std::string>());
    }
    if (value.is_object())
      fail("config.json: {}: rotary settings that differ between layers are not supported", in_quotes(key));
    if (all.contains(key) && all[key] != value)
      fail("config.json: {} is {} in one place and {} in another", key, excerpt_json(all[key]),
           excerpt_json(value));
    all[key] = value;
  };
  for (const char* key : {"rope_theta", "partial_rotary_factor", "original_max_position_embeddings"})
    if (config.contains(key)) put(key, config[key]);
  if (has(config, "rope_ratio"))  // Index: a multiple of the plain base
    put("rope_theta", kDefaultBase * json_number("rope_ratio", config["rope_ratio"], "config.json"));
  if (has(config, "abacus_scale")) {  // the first revision of Giraffe
    put("rope_type", "linear");
    put("factor", config["abacus_scale"]);
  }
  for (const char* group : {"rope_scaling", "rope_parameters"}) {
    if (!config.contains(group) || config[group].is_null()) continue;
    if (!config[group].is_object()) fail("config.json: {} must be an object", group);
    for (const auto& [key, value] : config[group].items()) put(key, value);
  }
  if (has(config, "rope_ratio") && all.value("rope_type", "rope") != "rope")
    fail("config.json: rope_ratio and a rope_type other than default contradict each other; remove one");
  return all;
}

/// XVERSE-13B-256K: its config states neither its base nor its method, both are constants in its code; the
/// first revision also had 256K as max_position_embeddings. Its sibling models use the plain base.
void assume_xverse_256k(PositionConfig& config, const Json& json, Json& given) {
  constexpr int64_t kReach = 262144, kTrained = 32768;
  bool stated = given.contains("rope_theta") || given.contains("rope_type");
  if (stated || json.value("model_type", Json()) != "xverse" ||
      json.value("max_tokenizer_truncation", Json()) != kReach)
    return;
  given["rope_theta"] = 500000, given["rope_type"] = "dynamic_ntk", given["factor"] = 2;
  config.trained_context = kTrained, config.declared_context = kReach;
  config.assumed.push_back(
      "config.json is XVERSE-13B-256K's, which states no base and no scaling: base 500000 and dynamic "
      "scaling by "
      "2 over a window of 32768 are assumed, as in its published code, up to 262144 tokens");
}

/// Applies one key of the gathered object to the config.
void apply_hf(PositionConfig& config, const PositionMethod& method, const std::string& key, const Json& value,
              const HeadShape& shape) {
  const std::string where = "config.json";
  if (key == "rope_type" || key == "finetuned") return;
  if (key == "partial_rotary_factor") {
    if (config.method == "p_rope") config.values["fraction"] = json_number(key, value, where);
    return;
  }
  if (key == "factor" && config.method == "p_rope" && value == 1) return;
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
        "config.json: {} is not known for rope_type {}; known: rope_theta, original_max_position_embeddings, "
        "{}{}",
        in_quotes(key), method.name, known_keys(method), lists);
  }
}

void assume_hf(PositionConfig& config, const Json& given) {
  if (!given.contains("rope_theta"))
    config.assumed.push_back(fmt::format("config.json gives no rope_theta: {} is assumed", kDefaultBase));
  bool original = given.contains("original_max_position_embeddings");
  bool stretches = !contains({"rope", "dynamic_ntk", "linear"}, config.method);
  if (stretches && !original)
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
  if (has(json, "max_position_embeddings")) {
    const char* key = "max_position_embeddings";
    config.declared_context = token_count(key, json_number(key, json[key], "config.json"), "config.json");
  } else {
    config.declared_context = 2048;
    config.assumed.push_back("config.json gives no max_position_embeddings: 2048 is assumed");
  }
  config.trained_context = config.declared_context;
  assume_xverse_256k(config, json, given);
  config.method = given.value("rope_type", "rope");
  const PositionMethod& method = position_method(config.method);
  for (const auto& [key, value] : given.items()) apply_hf(config, method, key, value, shape);
  if (has(json, "rope_ratio"))
    config.assumed.push_back(fmt::format("config.json gives rope_ratio {}: the base is {} times that, {}",
                                         dump_json(json["rope_ratio"]), kDefaultBase, config.base));
  assume_hf(config, given);
  validate(config, "config.json");
  if (config.method == "linear" && !given.contains("original_max_position_embeddings"))
    assume_linear_window(config, "config.json: max_position_embeddings");
  apply_private(config, json.value(kPrivatePosition, Json()), json.value(kPrivateContext, Json()),
                "config.json");
  return config;
}

double rotary_fraction_from_hf(const Json& config) {
  Json given = gather_hf(config);
  // "proportional" keeps the whole head in rotary pairs, of which the slowest do not turn.
  if (!given.contains("partial_rotary_factor") || given.value("rope_type", "") == "p_rope") return 1;
  double fraction = json_number("partial_rotary_factor", given["partial_rotary_factor"], "config.json");
  if (!(fraction > 0 && fraction <= 1))
    fail("config.json: partial_rotary_factor must be above 0 and at most 1, not {}", fraction);
  return fraction;
}

// ---- writing ----

namespace {

/// transformers' name for a method with this config; "" when it has none. A fixed length turns a method that
/// transformers knows only as length-dependent into a table.
std::string hf_name(const PositionConfig& position, const HeadShape& shape) {
  auto length = position.values.find("length");
  bool fixed = length != position.values.end() && length->second != kCurrentLength;
  if (fixed && contains({"dynamic_ntk", "longrope"}, position.method)) return "";
  if (position.method == "p_rope" && shape.rotary_dim < shape.head_dim) return "";
  for (const char* method : {"p_rope", "linear", "dynamic_ntk", "yarn", "llama3", "longrope"})
    if (position.method == method)
      for (const MethodName& row : kHfNames)
        if (position.method == row.method) return row.hf;
  return "";
}

/// The parameters of a method that transformers knows, under its names, with the defaults that transformers 5
/// requires.
Json named_parameters(const PositionConfig& position, const std::string& type, const PositionSpec& spec,
                      int64_t reach) {
  Json p = {{"rope_type", type}, {"rope_theta", position.base}};
  for (const auto& [key, value] : position.values)
    if (key == "truncate")
      p[key] = value != 0;
    else if (!contains({"length", "form", "fraction"},
                       key))  // both forms of dynamic_ntk with factor 2 are the same
      p[key] = value;
  for (const auto& [key, list] : position.lists) p[key] = list;
  if (contains({"yarn", "llama3", "longrope"}, position.method))
    p["original_max_position_embeddings"] = position.trained_context;
  if (position.method == "llama3")
    for (auto [key, value] : {std::pair{"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}})
      if (!p.contains(key)) p[key] = value;
  if (position.method == "p_rope") {
    auto turning = std::count_if(spec.inv_freq.begin(), spec.inv_freq.end(), [](double f) { return f > 0; });
    p["partial_rotary_factor"] = static_cast<double>(turning) / static_cast<double>(spec.inv_freq.size());
  }
  if (position.method == "longrope") {
    // Releases disagree on whether factor or the ratio of the windows gives the scale; an explicit scale
    // overrides both.
    if (!p.contains("factor"))
      p["factor"] = std::max(1.0, static_cast<double>(reach) / static_cast<double>(position.trained_context));
    p["attention_factor"] = spec.attention_scale;
  }
  return p;
}

/// A method that transformers has no name for, if its spec is only a table of frequencies; null otherwise.
Json table_parameters(const PositionConfig& position, const PositionSpec& spec, const HeadShape& shape,
                      std::vector<std::string>& remarks) {
  if (!is_table(spec)) return nullptr;
  if (auto base = base_of(spec, shape)) {
    if (!contains({"rope", "abf"}, position.method))
      remarks.push_back(
          fmt::format("{} is written as what it comes down to, rope_theta {}", describe(position), *base));
    return {{"rope_type", "default"}, {"rope_theta", *base}};
  }
  auto factors = factors_of(spec, position.base, shape);
  if (!factors) return nullptr;
  remarks.push_back(fmt::format(
      "{} is written as longrope with the same list for short and long texts, which gives its frequencies",
      describe(position)));
  return {{"rope_type", "longrope"},
          {"rope_theta", position.base},
          {"factor", 1.0},
          {"attention_factor", spec.attention_scale},
          {"original_max_position_embeddings", position.trained_context},
          {"short_factor", *factors},
          {"long_factor", *factors}};
}

/// The max_position_embeddings under which every release of transformers computes the same frequencies.
int64_t max_position_embeddings(const PositionConfig& position, const std::string& type, int64_t reach) {
  if (type == "dynamic") return position.trained_context;
  if (type == "yarn")
    return std::llround(std::min(
        kLargestContext, static_cast<double>(position.trained_context) * position.values.at("factor")));
  return reach;
}

}  // namespace

WrittenPosition position_to_hf(Json config, const PositionConfig& position, const HeadShape& shape,
                               int64_t reach, UnknownMethod unknown) {
  if (reach <= 0) reach = extended_context(position);
  Json given = gather_hf(config);
  PositionSpec spec = position_spec(position, shape, 0);
  WrittenPosition out;
  std::string type = hf_name(position, shape);
  Json parameters = type.empty() ? table_parameters(position, spec, shape, out.remarks)
                                 : named_parameters(position, type, spec, reach);
  for (const char* key : {kPrivatePosition, kPrivateContext}) config.erase(key);
  if (parameters.is_null()) {
    if (unknown == UnknownMethod::Refuse)
      fail(
          "config.json has no word for {}: choose a method that transformers knows, or keep it as {}, which "
          "only longspan reads",
          describe(position), kPrivatePosition);
    config[kPrivatePosition] = describe(position);
    config[kPrivateContext] = reach;
    out.remarks.push_back(
        fmt::format("{} stands in {}, which only longspan reads: transformers loads the model as if it were "
                    "not stretched",
                    describe(position), kPrivatePosition));
    out.config = std::move(config);
    return out;
  }
  for (const char* key : {"rope_theta", "rope_scaling", "rope_parameters", "rope_ratio", "abacus_scale",
                          "original_max_position_embeddings", "partial_rotary_factor"})
    config.erase(key);
  int64_t stated = max_position_embeddings(position, type, reach);
  config["max_position_embeddings"] = stated;
  config["rope_theta"] = parameters["rope_theta"];
  if (shape.rotary_dim < shape.head_dim)
    parameters["partial_rotary_factor"] = config["partial_rotary_factor"] = given["partial_rotary_factor"];
  config["rope_parameters"] = parameters;
  parameters.erase("rope_theta");  // transformers 4 expects it outside, 5 looks there too
  config["rope_scaling"] = parameters["rope_type"] == "default" ? Json() : parameters;
  if (position.trained_context > 0 && position.trained_context != stated)
    config["original_max_position_embeddings"] = position.trained_context;
  if (type == "proportional") out.remarks.push_back("transformers knows \"proportional\" from release 5 on");
  if (type == "dynamic")
    out.remarks.push_back(
        "transformers raises the base again with every token past the trained window and leaves the keys it "
        "keeps as they were: what it generates there is not what one pass over the text gives");
  if (extended_context(position_from_hf(config, shape)) < reach) config[kPrivateContext] = reach;
  out.config = std::move(config);
  return out;
}

}  // namespace longspan
