// What the tests of this room share: a model, a spec from a text, the plain formula of RoPE.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "base/error.h"
#include "position/position.h"

namespace longspan {

/// head_dim, rotary_dim, heads.
inline const HeadShape kShapes[] = {{16, 16, 4},  {64, 64, 9}, {128, 128, 32},
                                    {96, 48, 12}, {80, 32, 6}, {80, 80, 20}};

inline PositionConfig model(double base = 10000, int64_t trained = 4096) {
  PositionConfig config;
  config.base = base, config.trained_context = trained, config.declared_context = trained;
  return config;
}

inline PositionSpec spec_of(std::string_view text, const PositionConfig& base, const HeadShape& shape,
                            int64_t length = 0) {
  return position_spec(parse_position(text, base), shape, length);
}

inline double theta(double base, size_t i, const HeadShape& shape) {
  return 1 / std::pow(base, 2.0 * static_cast<double>(i) / static_cast<double>(shape.rotary_dim));
}

inline std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
#define EXPECT_ERROR(body, part) \
  EXPECT_NE(error_of([&] { body; }).find(part), std::string::npos) << error_of([&] { body; })

}  // namespace longspan
