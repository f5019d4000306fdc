// The fields of a request. null counts as absent, unknown fields are ignored, as OpenAI does; a wrong type or
// a value out of range is an ApiError (400) that names the field.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace longspan::server {

class Fields {
 public:
  /// `object` outlives it; `path` stands before the names of fields in errors ("messages[0].").
  /// Error when it is no object.
  explicit Fields(const Json& object, std::string path = "");

  /// The value, or null when it is absent or null.
  const Json* find(const std::string& key) const;
  const Json& require(const std::string& key) const;

  std::optional<bool> boolean(const std::string& key) const;
  std::optional<int64_t> integer(const std::string& key, int64_t least, int64_t most = INT64_MAX) const;
  std::optional<double> number(const std::string& key, double least = -HUGE_VAL,
                               double most = HUGE_VAL) const;
  std::optional<std::string> text(const std::string& key) const;
  /// A text, or a list of at most `most` of them.
  std::vector<std::string> texts(const std::string& key, size_t most) const;
  /// A list; null when absent.
  const Json* list(const std::string& key) const;
  const Json* object(const std::string& key) const;

  std::string path(const std::string& key) const { return path_ + key; }
  /// 400: the field and what is wrong with it.
  [[noreturn]] void refuse(const std::string& key, const std::string& what) const;

 private:
  [[noreturn]] void wrong(const std::string& key, const char* wanted, const Json& value) const;

  const Json& object_;
  std::string path_;
};

}  // namespace longspan::server
