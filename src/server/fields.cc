#include "server/fields.h"

#include <fmt/core.h>

#include "server/api_error.h"

namespace longspan::server {

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (object.is_object()) return;
  std::string name = path_;
  if (name.ends_with('.')) name.pop_back();
  throw bad_request(fmt::format("{}: expected an object, got {}", name.empty() ? "the request" : name,
                                excerpt_json(object)),
                    name);
}

const Json* Fields::find(const std::string& key) const {
  auto at = object_.find(key);
  return at == object_.end() || at->is_null() ? nullptr : &*at;
}

const Json& Fields::require(const std::string& key) const {
  const Json* value = find(key);
  if (!value) refuse(key, "is missing");
  return *value;
}

void Fields::refuse(const std::string& key, const std::string& what) const {
  throw bad_request(fmt::format("{}: {}", path(key), what), path(key));
}

void Fields::wrong(const std::string& key, const char* wanted, const Json& value) const {
  refuse(key, fmt::format("expected {}, got {}", wanted, excerpt_json(value)));
}

std::optional<bool> Fields::boolean(const std::string& key) const {
  const Json* value = find(key);
  if (!value) return {};
  if (!value->is_boolean()) wrong(key, "true or false", *value);
  return value->get<bool>();
}

std::optional<int64_t> Fields::integer(const std::string& key, int64_t least, int64_t most) const {
  const Json* value = find(key);
  if (!value) return {};
  int64_t n;
  if (value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    n = INT64_MAX;
  } else if (value->is_number_integer()) {
    n = value->get<int64_t>();
  } else if (value->is_number_float() && std::trunc(value->get<double>()) == value->get<double>() &&
             std::abs(value->get<double>()) < 9e15) {
    n = static_cast<int64_t>(value->get<double>());  // 5.0 is a whole number in JSON
  } else {
    wrong(key, "a whole number", *value);
  }
  if (n < least) refuse(key, fmt::format("{} is less than {}", n, least));
  if (n > most) refuse(key, fmt::format("{} is more than {}", n, most));
  return n;
}

std::optional<double> Fields::number(const std::string& key, double least, double most) const {
  const Json* value = find(key);
  if (!value) return {};
  if (!value->is_number()) wrong(key, "a number", *value);
  auto x = value->get<double>();
  if (!(x >= least)) refuse(key, fmt::format("{} is less than {}", x, least));
  if (!(x <= most)) refuse(key, fmt::format("{} is more than {}", x, most));
  return x;
}

std::optional<std::string> Fields::text(const std::string& key) const {
  const Json* value = find(key);
  if (!value) return {};
  if (!value->is_string()) wrong(key, "a text", *value);
  return value->get<std::string>();
}

std::vector<std::string> Fields::texts(const std::string& key, size_t most) const {
  const Json* value = find(key);
  if (!value) return {};
  if (value->is_string()) return {value->get<std::string>()};
  if (!value->is_array()) wrong(key, "a text or a list of texts", *value);
  if (value->size() > most) refuse(key, fmt::format("has {} entries; {} are allowed", value->size(), most));
  std::vector<std::string> all;
  for (const Json& one : *value) {
    if (!one.is_string()) wrong(fmt::format("{}[{}]", key, all.size()), "a text", one);
    all.push_back(one.get<std::string>());
  }
  return all;
}

const Json* Fields::list(const std::string& key) const {
  const Json* value = find(key);
  if (value && !value->is_array()) wrong(key, "a list", *value);
  return value;
}

const Json* Fields::object(const std::string& key) const {
  const Json* value = find(key);
  if (value && !value->is_object()) wrong(key, "an object", *value);
  return value;
}

}  // namespace longspan::server
