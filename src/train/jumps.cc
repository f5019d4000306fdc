#include "train/jumps.h"

#include <algorithm>
#include <vector>

namespace longspan {

Jumps::Jumps(const Json& history) : history_(Json::object()) {
  if (!history.is_object()) return;
  for (const auto& [series, values] : history.items())
    if (values.is_array() &&
        std::all_of(values.begin(), values.end(), [](const Json& v) { return v.is_number(); }))
      history_[series] = values;
}

bool Jumps::jumped(const char* series, double value, double times) {
  Json& kept = history_[series];
  if (kept.is_null()) kept = Json::array();
  std::vector<double> sorted = kept;
  bool jump = false;
  if (sorted.size() >= kJumpLeast) {
    auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    jump = value >= times * *middle;
  }
  kept.push_back(value);
  if (kept.size() > kJumpWindow) kept.erase(kept.begin());
  return jump;
}

}  // namespace longspan
