#include "position/stretch.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "base/token_count.h"
#include "position/validate.h"

namespace longspan {

namespace {

/// The text behind "key=", if that is there.
std::optional<std::string_view> value_of(std::string_view spec, const std::string& key) {
  size_t at = std::min(spec.find(":" + key + "="), spec.find("," + key + "="));
  if (at == spec.npos) return std::nullopt;
  std::string_view rest = spec.substr(at + key.size() + 2);
  return rest.substr(0, rest.find(','));
}

/// Every "=auto" and "=N*auto" as a number.
std::string fill_auto(const std::string& spec, const std::function<double()>& stretch, const char* option) {
  std::string filled;
  for (size_t at = 0; at < spec.size();) {
    size_t equals = spec.find('=', at), end = std::min(spec.find(',', at), spec.size());
    std::string item = spec.substr(at, end - at);
    if (equals < end && item.ends_with("auto")) {
      std::string_view times = std::string_view(item).substr(equals - at + 1);
      times.remove_suffix(4);
      double n = 1;
      if (!times.empty()) {
        auto [stop, error] = std::from_chars(times.data(), times.data() + times.size(), n);
        if (error != std::errc() || std::string_view(stop, times.data() + times.size()) != "*")
          fail("{} {}: {} is neither a number, auto, nor a multiple like 2*auto", option, excerpt(spec),
               in_quotes(item));
      }
      item = item.substr(0, equals - at + 1) + fmt::format("{}", n * stretch());
    }
    filled += item;
    if (end < spec.size()) filled += ',';
    at = end + 1;
  }
  return filled;
}

}  // namespace

bool lacks_factor(std::string_view spec) {
  const PositionMethod& row = position_method(spec.substr(0, spec.find(':')));
  return contains(row.required, "factor") && !value_of(spec, "factor") && value_of(spec, "form") != "xverse";
}

std::string with_factor(const std::string& spec, double factor) {
  return fmt::format("{}{}factor={}", spec, spec.find(':') == spec.npos ? ":" : ",", factor);
}

bool needs_length(std::string_view spec) {
  if (spec.empty() || spec == "none") return false;
  if (lacks_factor(spec)) return true;
  for (size_t at = spec.find("auto"); at != spec.npos; at = spec.find("auto", at + 1))
    if (at + 4 == spec.size() || spec[at + 4] == ',') return true;
  return false;
}

StretchedMethod stretch_method(const std::string& spec, const PositionConfig& model, int64_t length,
                               const char* option) {
  if (spec == "none") return {spec, model};
  auto stretch = [&] {
    int64_t trained = model.trained_context;
    if (auto original = value_of(spec, "original")) trained = parse_token_count(*original).value_or(trained);
    if (trained <= 0)
      fail(
          "{} {}: the model does not state its trained window, so that no factor can be found for {} tokens; "
          "give factor=F or original=TOKENS",
          option, excerpt(spec), length);
    return std::max(1.0, static_cast<double>(length) / static_cast<double>(trained));
  };
  std::string filled = fill_auto(spec, stretch, option);
  if (lacks_factor(spec)) filled = with_factor(filled, stretch());
  return {filled, parse_position(filled, model)};
}

}  // namespace longspan
