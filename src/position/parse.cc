// The text of --position to PositionConfig, and back.
#include <charconv>

#include "base/error.h"
#include "base/nearest.h"
#include "base/text.h"
#include "base/token_count.h"
#include "position/validate.h"

namespace longspan {

namespace {

/// Values that have names.
struct Word {
  const char* key;
  const char* word;
  double value;
};
constexpr Word kWords[] = {{"length", "current", kCurrentLength},
                           {"form", "hf", 0},
                           {"form", "xverse", 1},
                           {"truncate", "false", 0},
                           {"truncate", "true", 1}};

double parse_value(const std::string& key, std::string_view text, const std::string& where) {
  for (const Word& w : kWords)
    if (key == w.key && text == w.word) return w.value;
  double value = 0;
  if (contains({"length", "original", "window", "size", "local"}, key))  // of tokens
    if (auto count = parse_token_count(text); count && *count > 0) return static_cast<double>(*count);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail("{}: {} must be a number, not {}", where, key, in_quotes(text));
  check_value(key, value, where);
  return value;
}

std::string value_text(const std::string& key, double value) {
  for (const Word& w : kWords)
    if (key == w.key && value == w.value) return w.word;
  return fmt::format("{}", value);
}

/// What the named method inherits from the model's own config: everything if it is the model's own method.
PositionConfig inherited(const PositionMethod& method, const PositionConfig& model) {
  if (std::string_view(method.name) == "none") return model;
  PositionConfig config;
  config.method = method.name;
  config.base = model.base;
  config.trained_context = model.trained_context;
  if (model.method == config.method)
    config.lists = model.lists, config.declared_context = model.declared_context;
  return config;
}

}  // namespace

PositionConfig parse_position(std::string_view text, const PositionConfig& model) {
  std::string where = "--position " + excerpt(text);
  size_t colon = text.find(':');
  const PositionMethod& method = position_method(text.substr(0, colon));
  PositionConfig config = inherited(method, model);

  std::vector<std::string> seen;
  for (std::string_view rest = colon == text.npos ? "" : text.substr(colon + 1); !rest.empty();) {
    size_t comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    rest = comma == rest.npos ? "" : rest.substr(comma + 1);
    size_t equals = item.find('=');
    if (equals == item.npos)
      fail("{}: {} is not key=value; keys of {}: {}", where, in_quotes(item), method.name,
           known_keys(method));
    std::string key(item.substr(0, equals));
    std::vector<std::string> known = common_keys(method);
    known.insert(known.end(), method.keys.begin(), method.keys.end());
    if (!contains(known, key))
      fail("{}: {} does not know {}{}; its keys: {}", where, method.name, in_quotes(key),
           meant_name(key, known), known_keys(method));
    if (contains(seen, key)) fail("{}: {} is given twice", where, key);
    seen.push_back(key);
    double value = parse_value(key, item.substr(equals + 1), where);
    if (key == "base") {
      config.base = value;
    } else if (key == "original") {
      config.trained_context = token_count(key, value, where);
    } else {
      config.values[key] = value;
    }
  }
  if (contains(method.required, "base") && !contains(seen, "base"))
    fail("{}: {} needs base; its keys: {}", where, method.name, known_keys(method));
  if (auto form = config.values.find("form"); form != config.values.end() && form->second != 0)
    config.values.try_emplace("factor", 2);
  // What a file says of its model is taken as it is; a user who asks for less than the model has is mistaken.
  if (auto factor = config.values.find("factor");
      contains(method.required, "factor") && factor != config.values.end() && factor->second < 1)
    fail("{}: factor must be at least 1, not {}: a smaller one would shrink the window", where,
         factor->second);
  validate(config, where);
  return config;
}

std::string describe(const PositionConfig& config) {
  std::map<std::string, std::string> items;
  for (const auto& [key, value] : config.values) items[key] = value_text(key, value);
  items["base"] = fmt::format("{}", config.base);
  if (config.trained_context > 0) items["original"] = fmt::format("{}", config.trained_context);
  std::string text = config.method;
  for (const auto& [key, value] : items) text += (text == config.method ? ":" : ",") + key + "=" + value;
  return text;
}

}  // namespace longspan
