// The list of methods of `compare`, and what a method becomes at a length.
#include <algorithm>

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

StretchedMethod compared_method(const std::string& method, const PositionConfig& model, int64_t length) {
  StretchedMethod stretched = stretch_method(method, model, length, "--methods");
  HeadShape any{64, 64, 1};
  if (method == "none" || !lacks_factor(method) || !stretched.position.lists.empty() ||
      !position_spec(stretched.position, any, length).depends_on_length)
    return stretched;
  return stretch_method(with_factor(method, 2), model, length, "--methods");
}

}  // namespace longspan
