#include "position/validate.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace longspan {

bool contains(const std::vector<std::string>& list, std::string_view key) {
  return std::find(list.begin(), list.end(), key) != list.end();
}

std::vector<std::string> common_keys(const PositionMethod& method) {
  if (std::string_view(method.name) == "none") return {"original", "length"};
  return {"base", "original", "length"};
}

std::string known_keys(const PositionMethod& method) {
  std::string text;
  for (const auto& keys : {method.keys, common_keys(method)})
    for (const std::string& key : keys) text += (text.empty() ? "" : ", ") + key;
  return text;
}

int64_t token_count(const std::string& key, double value, const std::string& where) {
  if (!(value >= 1 && value <= kLargestContext && value == std::floor(value)))
    fail("{}: {} must be a whole number of tokens, not {}", where, key, value);
  return static_cast<int64_t>(value);
}

void check_value(const std::string& key, double value, const std::string& where) {
  bool may_be_zero = contains({"truncate", "mscale", "mscale_all_dim", "form", "log_n"}, key);
  if (!std::isfinite(value) || value < 0 || (value == 0 && !may_be_zero))
    fail("{}: {} must be a number above 0, not {}", where, key, value);
}

namespace {

/// Constraints between the keys of a method, beyond check_value.
void validate_values(const PositionConfig& config, const std::string& where) {
  auto get = [&](const std::string& key, double otherwise) {
    auto at = config.values.find(key);
    return at == config.values.end() ? otherwise : at->second;
  };
  auto ordered = [&](const char* small, double small_default, const char* large, double large_default) {
    double a = get(small, small_default), b = get(large, large_default);
    if (a >= b) fail("{}: {} ({}) must be below {} ({})", where, small, a, large, b);
  };
  if (config.method == "yarn") ordered("beta_slow", 1, "beta_fast", 32);
  if (config.method == "llama3") ordered("low_freq_factor", 1, "high_freq_factor", 4);
  if (get("fraction", 1) > 1) fail("{}: fraction must be at most 1, not {}", where, get("fraction", 1));
  if (get("form", 0) != 0 && get("factor", 2) != 2)
    fail("{}: form=xverse is factor 2, not {}", where, get("factor", 2));
}

}  // namespace

/// The final check of every config, whatever its source. `where` opens the sentence.
void validate(const PositionConfig& config, const std::string& where) {
  const PositionMethod& method = position_method(config.method);
  if (!(std::isfinite(config.base) && config.base > 1))
    fail("{}: the base must be above 1, not {}", where, config.base);
  for (const std::string& key : method.required)
    if (key != "base" && !config.values.contains(key))
      fail("{}: {} needs {}; its keys: {}", where, method.name, key, known_keys(method));
  for (const auto& [key, value] : config.values) {
    if (key == "length" && value == kCurrentLength) {
      if (!method.follows_length)
        fail("{}: {} does not depend on the length, so length=current has no effect", where, method.name);
      continue;
    }
    check_value(key, value, where);
    if (contains({"length", "window", "group", "size", "local", "shift"}, key))
      token_count(key, value, where);
  }
  validate_values(config, where);
  for (const std::string& list : method.lists)
    if (!config.lists.contains(list))
      fail("{}: {} needs the list {}, which only a model's own config can bring", where, method.name, list);
}

void check_list(const std::string& key, const std::vector<double>& list, const HeadShape& shape,
                const std::string& where) {
  if (static_cast<int64_t>(list.size()) != shape.rotary_dim / 2)
    fail("{}: {} holds {} numbers; this head size needs {}", where, key, list.size(), shape.rotary_dim / 2);
  for (double x : list) check_value(key, x, where);
}

}  // namespace longspan
