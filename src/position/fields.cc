#include "position/fields.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "position/validate.h"

namespace longspan {

double json_number(const std::string& key, const Json& value, const std::string& where) {
  if (key == "truncate" && value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (!value.is_number()) fail("{}: {} must be a number, not {}", where, key, excerpt_json(value));
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

void assume_linear_window(PositionConfig& config, const std::string& key) {
  constexpr double kSmallestWindow = 2048;
  double factor = config.values.at("factor"), stated = static_cast<double>(config.declared_context);
  if (factor > 1 && stated / factor >= kSmallestWindow) {
    config.trained_context = static_cast<int64_t>(stated / factor);
    config.assumed.push_back(
        fmt::format("{} {} is taken as the window that linear scaling by {} reaches, from {} in training; an "
                    "original window "
                    "beside it would say so",
                    key, config.declared_context, factor, config.trained_context));
  } else {
    config.assumed.push_back(
        fmt::format("{} {} is taken as the trained window, which linear scaling by {} stretches to {}", key,
                    config.declared_context, factor, extended_context(config)));
  }
}

void apply_private(PositionConfig& config, const Json& position, const Json& context,
                   const std::string& where) {
  if (!position.is_null()) {
    if (!position.is_string())
      fail("{}: {} must be a text as --position takes it, not {}", where, kPrivatePosition,
           excerpt_json(position));
    PositionConfig chosen;
    try {
      chosen = parse_position(position.get<std::string>(), config);
    } catch (const Error& e) {
      fail("{}: {}: {}", where, kPrivatePosition, e.what());
    }
    chosen.declared_context = config.declared_context;
    chosen.assumed = std::move(config.assumed);
    config = std::move(chosen);
  }
  if (!context.is_null())
    config.declared_context =
        token_count(kPrivateContext, json_number(kPrivateContext, context, where), where);
}

}  // namespace longspan
