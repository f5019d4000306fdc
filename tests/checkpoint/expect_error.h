// The text of the Error that f() throws, or "no error": so that a test can look for the file, the tensor and
// the number in it.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <source_location>
#include <span>
#include <string>

#include "base/error.h"

namespace longspan {

template <typename F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

/// Fails at the caller's line when `error` does not contain `part`.
inline void expect_says(const std::string& error, const std::string& part,
                        std::source_location from = std::source_location::current()) {
  if (error.find(part) == std::string::npos)
    ADD_FAILURE_AT(from.file_name(), static_cast<int>(from.line()))
        << "said: " << error << "\nnot:  " << part;
}

/// Calls f with a copy that has exactly the bytes (so that address sanitizer sees the first byte too many),
/// aligned as a mapping would be.
template <typename F>
auto with_exact_bytes(const std::string& text, F&& f) {
  auto* p = static_cast<std::byte*>(::operator new(text.size()));
  std::unique_ptr<std::byte, void (*)(std::byte*)> owner(p, [](std::byte* q) { ::operator delete(q); });
  if (!text.empty()) std::memcpy(p, text.data(), text.size());
  return f(std::span<const std::byte>(p, text.size()));
}

}  // namespace longspan
