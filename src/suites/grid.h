// What the makers of grids of lengths and depths share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "suites/cases.h"

namespace longspan {

/// The key "lengths": tokens, at least one.
std::vector<int64_t> read_lengths(Settings& row);

/// The key "depths": a list of per cents, or a whole number n: n depths from 0 to 100 at even distances.
std::vector<double> read_depths(Settings& row);

/// Keeps `limit` cases (0: all), evenly spaced and in their order.
void keep_limit(std::vector<Case>& cases, int64_t limit);

/// Sorts cases by their keys (stable) and keeps `limit` of them.
template <typename Order>
std::vector<Case> cases_in_order(std::vector<std::pair<Order, Case>> ordered, int64_t limit) {
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Case> cases;
  for (auto& [order, one] : ordered) cases.push_back(std::move(one));
  keep_limit(cases, limit);
  return cases;
}

/// The seed of a case, from the seed of the run and the id of the case (FNV-1a): adding cases to a grid
/// changes none of the others.
uint64_t case_seed(uint64_t seed, std::string_view id);

}  // namespace longspan
