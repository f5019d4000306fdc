// GGUF metadata <-> PositionConfig. An unknown key could change the model, so it is an Error and never
// skipped.
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "position/fields.h"
#include "position/portable.h"
#include "position/validate.h"

namespace longspan {

namespace {

constexpr const char *kGgufPosition = "longspan.position", *kGgufContext = "longspan.context";

/// The ARCH.rope.* numbers; Error for any key that this reader does not know.
std::map<std::string, double> gguf_numbers(const Json& metadata, const std::string& prefix,
                                           std::string& type) {
  std::map<std::string, double> numbers;
  for (const auto& [key, value] : metadata.items()) {
    if (!key.starts_with(prefix)) continue;
    std::string name = key.substr(prefix.size());
    if (name == "scaling.finetuned") continue;
    if (name == "scaling.type") {
      if (!value.is_string()) fail("GGUF metadata: {} must be a string", excerpt(key));
      type = value.get<std::string>();
    } else if (contains({"dimension_count", "freq_base", "scale_linear", "scaling.factor",
                         "scaling.original_context_length", "scaling.attn_factor", "scaling.yarn_beta_fast",
                         "scaling.yarn_beta_slow", "scaling.yarn_ext_factor", "scaling.yarn_attn_factor"},
                        name)) {
      numbers[name] = json_number(key, value, "GGUF metadata");
    } else {
      fail("GGUF metadata: {} is not understood, and reading the model without it would be wrong",
           excerpt(key));
    }
  }
  if (numbers.contains("scaling.yarn_ext_factor") && numbers["scaling.yarn_ext_factor"] != 1)
    fail("GGUF metadata: {}scaling.yarn_ext_factor is {}; only 1 is supported", prefix,
         numbers["scaling.yarn_ext_factor"]);
  return numbers;
}

/// The method that a file names. A factor without a type means linear, as in old files.
std::string gguf_method(std::string type, bool factor,
                        const std::map<std::string, std::vector<double>>& lists) {
  if (type.empty() && factor) type = "linear";
  if (type.empty()) type = "none";
  bool freqs = lists.contains("rope_freqs"),
       searched = lists.contains("long_factor") || lists.contains("short_factor");
  if (type == "none" && freqs) return "freq_factors";
  if (type == "longrope" || (type == "none" && searched)) return "longrope";
  if (freqs || searched)
    fail("GGUF: rotary factor tensors together with rope.scaling.type {} are not supported", in_quotes(type));
  if (type == "none") return "rope";
  if (type == "linear" || type == "yarn") return type;
  fail("GGUF metadata: rope.scaling.type {} is not supported; supported are: none, linear, yarn, longrope",
       in_quotes(type));
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
  if (config.method == "linear" && !numbers.contains(original))
    assume_linear_window(config, "GGUF metadata: " + context);
  apply_private(config, metadata.value(kGgufPosition, Json()), metadata.value(kGgufContext, Json()), where);
  return config;
}

// ---- writing ----

namespace {

/// rope.scaling.* of a method that the format can express; false when it cannot. Every reader knows yarn's
/// ramp, but none has an option to leave its ends unrounded.
bool put_named(WrittenPosition& out, const std::string& rope, const PositionConfig& position,
               const PositionSpec& spec) {
  auto has = [&](const char* key) { return position.values.contains(key); };
  Json& m = out.config;
  if (position.method == "linear") {
    m[rope + "scaling.type"] = "linear";
    m[rope + "scaling.factor"] = position.values.at("factor");
    return true;
  }
  if (position.method == "yarn" && !(has("truncate") && position.values.at("truncate") == 0)) {
    double factor = position.values.at("factor");
    m[rope + "scaling.type"] = "yarn";
    m[rope + "scaling.factor"] = factor;
    for (const char* beta : {"beta_fast", "beta_slow"})
      if (has(beta)) m[rope + "scaling.yarn_" + beta] = position.values.at(beta);
    double usual = factor <= 1 ? 1.0 : 0.1 * std::log(factor) + 1.0;
    if (spec.attention_scale != usual) m[rope + "scaling.attn_factor"] = spec.attention_scale / usual;
    return true;
  }
  if (position.method == "longrope" && !has("length")) {
    m[rope + "scaling.type"] = "longrope";
    m[rope + "scaling.attn_factor"] = spec.attention_scale;
    out.lists = position.lists;
    return true;
  }
  return false;
}

/// Writes a base or factor tensors; false when the spec is more than a table of frequencies.
bool put_table(WrittenPosition& out, const std::string& rope, const PositionConfig& position,
               const PositionSpec& spec, const HeadShape& shape) {
  if (!is_table(spec)) return false;
  if (auto base = base_of(spec, shape)) {
    out.config[rope + "freq_base"] = *base;
    return true;
  }
  auto factors = factors_of(spec, position.base, shape);
  if (!factors) return false;
  if (spec.attention_scale == 1) {
    out.lists["rope_freqs"] = *factors;
  } else {
    out.config[rope + "scaling.type"] = "longrope";
    out.config[rope + "scaling.attn_factor"] = spec.attention_scale;
    out.lists["short_factor"] = out.lists["long_factor"] = *factors;
  }
  return true;
}

}  // namespace

WrittenPosition position_to_gguf(Json metadata, const std::string& arch, const PositionConfig& position,
                                 const HeadShape& shape, int64_t reach, UnknownMethod unknown) {
  if (reach <= 0) reach = extended_context(position);
  const std::string rope = arch + ".rope.", context = arch + ".context_length";
  PositionSpec spec = position_spec(position, shape, 0);
  WrittenPosition out;
  for (const auto& [key, value] : metadata.items())
    if (!key.starts_with(rope) && key != kGgufPosition && key != kGgufContext) out.config[key] = value;
  out.config[rope + "dimension_count"] = shape.rotary_dim;
  out.config[rope + "freq_base"] = position.base;
  out.config[context] = reach;
  if (put_named(out, rope, position, spec) || put_table(out, rope, position, spec, shape)) {
    if (position.trained_context > 0 && position.trained_context != reach)
      out.config[rope + "scaling.original_context_length"] = position.trained_context;
    return out;
  }
  if (unknown == UnknownMethod::Refuse)
    fail("GGUF has no word for {}: choose another method, or keep it as {}, which only longspan reads",
         describe(position), kGgufPosition);
  out.config = std::move(metadata);
  out.config[kGgufPosition] = describe(position);
  out.config[kGgufContext] = reach;
  out.remarks.push_back(
      fmt::format("{} stands in {}, which only longspan reads: other programs load the model as if it were "
                  "not stretched",
                  describe(position), kGgufPosition));
  return out;
}

}  // namespace longspan
