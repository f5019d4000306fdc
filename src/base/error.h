// The one exception type of longspan: the user or the outside world is at fault. Its text is one sentence
// that says what was expected, what was found and what to do. Programming errors are asserts.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>

namespace longspan {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Error with the formatted sentence.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace longspan
