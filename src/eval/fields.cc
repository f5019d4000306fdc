#include "eval/fields.h"

#include <cmath>
#include <limits>

#include "base/error.h"

namespace longspan {

Fields::Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object()) refuse("an object was expected");
}

void Fields::refuse(const std::string& what) const {
  fail("{}: {}; remove what is damaged and run the same command again", where_, what);
}

const Json& Fields::need(const char* key, bool (Json::*is)() const noexcept, const char* type) const {
  auto found = object_.find(key);
  if (found == object_.end() || !((*found).*is)())
    refuse(fmt::format("the field \"{}\" should be {}", key, type));
  return *found;
}

std::string Fields::text(const char* key) const { return need(key, &Json::is_string, "a text"); }
std::string Fields::text(const char* key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

double Fields::number(const char* key) const { return need(key, &Json::is_number, "a number"); }
double Fields::number(const char* key, double fallback) const { return has(key) ? number(key) : fallback; }

int64_t Fields::whole(const char* key) const {
  const Json& value = need(key, &Json::is_number, "a number");
  if (value.is_number_integer() && !value.is_number_unsigned()) return value.get<int64_t>();
  auto x = value.get<double>();
  if (!(std::abs(x) < 9e18)) refuse(fmt::format("the field \"{}\" is too large", key));
  return value.is_number_unsigned() ? value.get<int64_t>() : static_cast<int64_t>(x);
}
int64_t Fields::whole(const char* key, int64_t fallback) const { return has(key) ? whole(key) : fallback; }

bool Fields::flag(const char* key, bool fallback) const {
  return has(key) ? need(key, &Json::is_boolean, "true or false").get<bool>() : fallback;
}

std::vector<std::string> Fields::texts(const char* key) const {
  std::vector<std::string> out;
  if (!has(key)) return out;
  for (const Json& item : list(key)) {
    if (!item.is_string()) refuse(fmt::format("\"{}\" should hold texts alone", key));
    out.push_back(item);
  }
  return out;
}

std::vector<double> Fields::numbers(const char* key) const {
  std::vector<double> out;
  if (!has(key)) return out;
  for (const Json& item : list(key)) {
    if (!item.is_number() && !item.is_null()) refuse(fmt::format("\"{}\" should hold numbers alone", key));
    out.push_back(item.is_null() ? std::numeric_limits<double>::quiet_NaN() : item.get<double>());
  }
  return out;
}

const Json& Fields::list(const char* key) const { return need(key, &Json::is_array, "a list"); }
const Json& Fields::object(const char* key) const { return need(key, &Json::is_object, "an object"); }

}  // namespace longspan
