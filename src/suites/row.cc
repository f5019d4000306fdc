#include "suites/row.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"

namespace longspan {

namespace {

/// The value as a list: one that is none counts as a list of one.
std::vector<Json> elements(const Json& value) {
  if (value.is_array()) return {value.begin(), value.end()};
  return {value};
}

}  // namespace

const Json* Row::find(const char* key) {
  known_.push_back(key);
  auto at = row_.find(key);
  return at == row_.end() ? nullptr : &*at;
}

void Row::refuse(std::string_view key, const std::string& what) const {
  fail("{}: {}: {}", where_, key, what);
}

bool Row::read(const char* key, std::string& out) {
  const Json* value = find(key);
  if (!value) return false;
  if (!value->is_string()) refuse(key, fmt::format("a text was expected, not {}", dump_json(*value)));
  out = value->get<std::string>();
  return true;
}

bool Row::read(const char* key, bool& out) {
  const Json* value = find(key);
  if (!value) return false;
  if (!value->is_boolean()) refuse(key, fmt::format("true or false was expected, not {}", dump_json(*value)));
  out = value->get<bool>();
  return true;
}

bool Row::read(const char* key, int64_t& out, int64_t least, int64_t most) {
  std::vector<int64_t> one;
  if (!read(key, one, least)) return false;
  if (one.size() != 1) refuse(key, "one whole number was expected");
  if (one[0] > most) refuse(key, fmt::format("{} is too large: at most {}", one[0], most));
  out = one[0];
  return true;
}

bool Row::read(const char* key, double& out, double least, double most) {
  std::vector<double> one;
  if (!read(key, one, least, most)) return false;
  if (one.size() != 1) refuse(key, "one number was expected");
  out = one[0];
  return true;
}

bool Row::read(const char* key, std::vector<std::string>& out) {
  const Json* value = find(key);
  if (!value) return false;
  out.clear();
  for (const Json& element : elements(*value)) {
    if (!element.is_string()) refuse(key, fmt::format("a text was expected, not {}", dump_json(element)));
    out.push_back(element.get<std::string>());
  }
  return true;
}

bool Row::read(const char* key, std::vector<int64_t>& out, int64_t least) {
  const Json* value = find(key);
  if (!value) return false;
  out.clear();
  for (const Json& element : elements(*value)) {
    if (!element.is_number_integer())
      refuse(key, fmt::format("a whole number was expected, not {}", dump_json(element)));
    out.push_back(element.get<int64_t>());
    if (out.back() < least) refuse(key, fmt::format("{} is too small: at least {}", out.back(), least));
  }
  return true;
}

bool Row::read(const char* key, std::vector<double>& out, double least, double most) {
  const Json* value = find(key);
  if (!value) return false;
  out.clear();
  for (const Json& element : elements(*value)) {
    if (!element.is_number()) refuse(key, fmt::format("a number was expected, not {}", dump_json(element)));
    out.push_back(element.get<double>());
    if (!(out.back() >= least && out.back() <= most))
      refuse(key, fmt::format("{} is not between {} and {}", out.back(), least, most));
  }
  return true;
}

bool Row::read(const char* key, std::string& out, std::initializer_list<const char*> names) {
  if (!read(key, out)) return false;
  if (std::find(names.begin(), names.end(), out) == names.end())
    refuse(key, fmt::format("\"{}\" is unknown; there are \"{}\"", out, fmt::join(names, "\", \"")));
  return true;
}

Json Row::any(const char* key) {
  const Json* value = find(key);
  return value ? *value : Json();
}

void Row::done() const {
  for (const auto& [key, value] : row_.items())
    if (std::find(known_.begin(), known_.end(), key) == known_.end())
      refuse(key, fmt::format("is unknown; here there are {}", fmt::join(known_, ", ")));
}

}  // namespace longspan
