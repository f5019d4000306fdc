// The list of methods of `compare`, and what a method becomes at a length.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "eval/compare.h"

namespace longspan {

namespace {

/// "key=value" without a colon before the "=": more of the spec before it.
bool is_setting(std::string_view item) {
  size_t equals = item.find('='), colon = item.find(':');
  return equals != item.npos && (colon == item.npos || colon > equals);
}

bool has_key(const std::string& spec, const std::string& key) {
  return spec.find(":" + key + "=") != spec.npos || spec.find("," + key + "=") != spec.npos;
}

void add_setting(std::string& spec, const std::string& key, double value) {
  spec += fmt::format("{}{}={}", spec.find(':') == spec.npos ? ":" : ",", key, value);
}

/// Every "=auto" and "=N*auto" as a number.
std::string fill_auto(const std::string& spec, const std::function<double()>& stretch) {
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
          fail("--methods {}: {} is neither a number, auto, nor a multiple like 2*auto", excerpt(spec),
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

std::vector<std::string> split_methods(std::string_view list) {
  std::vector<std::string> methods;
  while (!list.empty()) {
    size_t end = std::min(list.find_first_of(",; \t\n"), list.size());
    std::string_view item = list.substr(0, end);
    if (!item.empty() && is_setting(item) && !methods.empty())
      methods.back() += "," + std::string(item);
    else if (!item.empty())
      methods.emplace_back(item);
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  for (size_t i = 0; i < methods.size(); ++i)
    if (std::find(methods.begin(), methods.begin() + static_cast<std::ptrdiff_t>(i), methods[i]) !=
        methods.begin() + static_cast<std::ptrdiff_t>(i))
      fail("--methods names {} twice", excerpt(methods[i]));
  return methods;
}

StretchedMethod stretch_method(const std::string& method, const PositionConfig& model, int64_t length) {
  if (method == "none") return {method, model};
  const PositionMethod& row = position_method(std::string_view(method).substr(0, method.find(':')));
  auto stretch = [&] {
    int64_t trained = model.trained_context;
    if (has_key(method, "original")) {
      size_t at = method.find("original=") + 9;
      std::from_chars(method.data() + at, method.data() + method.size(), trained);
    }
    if (trained <= 0)
      fail(
          "--methods {}: the model does not state its trained window, so that no factor can be found for {} "
          "tokens; give factor=F or original=TOKENS",
          excerpt(method), length);
    return std::max(1.0, static_cast<double>(length) / static_cast<double>(trained));
  };
  std::string spec = fill_auto(method, stretch);
  bool missing = std::find(row.required.begin(), row.required.end(), "factor") != row.required.end() &&
                 !has_key(spec, "factor");
  if (!missing) return {spec, parse_position(spec, model)};
  std::string with_two = spec;
  add_setting(spec, "factor", stretch());
  add_setting(with_two, "factor", 2);
  PositionConfig two = parse_position(with_two, model);
  HeadShape any{64, 64, 1};
  if (two.lists.empty() && position_spec(two, any, length).depends_on_length) return {with_two, two};
  return {spec, parse_position(spec, model)};
}

}  // namespace longspan
