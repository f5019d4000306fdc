// --position TEXT made into a PositionConfig, and back.
#include <charconv>

#include "base/error.h"
#include "position/validate.h"

namespace longspan {

namespace {

double parse_number(const std::string& key, std::string_view text, const std::string& where) {
  if (key == "truncate" && (text == "true" || text == "false")) return text == "true" ? 1 : 0;
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail("{}: {} must be a number, not \"{}\"", where, key, text);
  return value;
}

}  // namespace

PositionConfig parse_position(std::string_view text, const PositionConfig& model) {
  std::string where = "--position " + std::string(text);
  size_t colon = text.find(':');
  const PositionMethod& method = position_method(text.substr(0, colon));
  PositionConfig config;
  config.method = method.name;
  config.base = model.base;
  config.trained_context = model.trained_context;
  if (model.method == config.method)
    config.lists = model.lists, config.declared_context = model.declared_context;

  std::vector<std::string> seen;
  for (std::string_view rest = colon == text.npos ? "" : text.substr(colon + 1); !rest.empty();) {
    size_t comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    rest = comma == rest.npos ? "" : rest.substr(comma + 1);
    size_t equals = item.find('=');
    if (equals == item.npos)
      fail("{}: \"{}\" is not key=value; keys of {}: {}", where, item, method.name, known_keys(method));
    std::string key(item.substr(0, equals));
    bool common = key == "base" || key == "original" || key == "length";
    if (!common && !contains(method.keys, key))
      fail("{}: {} does not know \"{}\"; its keys: {}", where, method.name, key, known_keys(method));
    if (contains(seen, key)) fail("{}: {} is given twice", where, key);
    seen.push_back(key);
    double value = parse_number(key, item.substr(equals + 1), where);
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
  validate(config, where);
  return config;
}

std::string describe(const PositionConfig& config) {
  std::map<std::string, std::string> items;
  for (const auto& [key, value] : config.values) items[key] = fmt::format("{}", value);
  items["base"] = fmt::format("{}", config.base);
  if (config.trained_context > 0) items["original"] = fmt::format("{}", config.trained_context);
  std::string text = config.method;
  for (const auto& [key, value] : items) text += (text == config.method ? ":" : ",") + key + "=" + value;
  return text;
}

}  // namespace longspan
