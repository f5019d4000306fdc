// The sentence of an Error, and what it must say.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace longspan {

/// "" when nothing is thrown.
template <typename Function>
std::string error_of(const Function& function) {
  try {
    function();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

inline void expect_says(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

}  // namespace longspan
