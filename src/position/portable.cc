#include "position/portable.h"

#include <cmath>

namespace longspan {

bool is_table(const PositionSpec& spec) {
  return !spec.depends_on_length && spec.zones == std::vector<Zone>{Zone{}} && spec.decay.empty() &&
         spec.slopes.empty() && spec.log_n == 0;
}

std::optional<double> base_of(const PositionSpec& spec, const HeadShape& shape) {
  if (!is_table(spec) || spec.attention_scale != 1 || spec.inv_freq.size() < 2) return std::nullopt;
  auto r = static_cast<double>(shape.rotary_dim);
  double base = std::pow(spec.inv_freq[1], -r / 2);
  if (double whole = std::round(base); std::abs(base / whole - 1) < 1e-12) base = whole;
  for (size_t i = 0; i < spec.inv_freq.size(); ++i)
    if (!(std::abs(spec.inv_freq[i] * std::pow(base, 2.0 * static_cast<double>(i) / r) - 1) < 1e-12))
      return std::nullopt;
  return base;
}

std::optional<std::vector<double>> factors_of(const PositionSpec& spec, double base, const HeadShape& shape) {
  std::vector<double> factors;
  for (size_t i = 0; i < spec.inv_freq.size(); ++i) {
    if (!(spec.inv_freq[i] > 0)) return std::nullopt;
    double plain = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(shape.rotary_dim));
    factors.push_back(plain / spec.inv_freq[i]);
  }
  return factors;
}

}  // namespace longspan
