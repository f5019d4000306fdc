// Reading one JSON object of a run's folder. The lines were written by processes that may have been killed,
// and passed through other hands: every field is checked when it is read, and nothing is checked again later.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace longspan {

/// Errors open with `where` ("FILE:LINE") and name the field.
class Fields {
 public:
  /// Error when it is not an object. `object` outlives this.
  Fields(const Json& object, std::string where);

  bool has(const char* key) const { return object_.contains(key); }
  /// Each is an error when the field is of another type; without a fallback also when it is absent.
  std::string text(const char* key) const;
  std::string text(const char* key, const std::string& fallback) const;
  double number(const char* key) const;
  double number(const char* key, double fallback) const;
  int64_t whole(const char* key) const;
  int64_t whole(const char* key, int64_t fallback) const;
  bool flag(const char* key, bool fallback) const;
  /// Lists; empty when absent. Of numbers, null is NaN (as JSON writes it).
  std::vector<std::string> texts(const char* key) const;
  std::vector<double> numbers(const char* key) const;
  const Json& list(const char* key) const;
  const Json& object(const char* key) const;

  [[noreturn]] void refuse(const std::string& what) const;
  const std::string& where() const { return where_; }

 private:
  const Json& need(const char* key, bool (Json::*is)() const noexcept, const char* type) const;

  const Json& object_;
  std::string where_;
};

}  // namespace longspan
