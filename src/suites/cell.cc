#include "suites/cell.h"

#include <algorithm>
#include <cassert>

namespace longspan {

bool operator<(const CellValue& a, const CellValue& b) {
  if (a.is_number() != b.is_number()) return a.is_number();
  if (!a.is_number()) return *a.text() < *b.text();
  return a.whole() && b.whole() ? *a.whole() < *b.whole() : a.number() < b.number();
}

bool operator==(const CellValue& a, const CellValue& b) { return !(a < b) && !(b < a); }

const CellValue* Cell::find(std::string_view name) const {
  auto at = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.first == name; });
  return at == fields.end() ? nullptr : &at->second;
}

const CellValue& Cell::at(std::string_view name) const {
  const CellValue* value = find(name);
  assert(value);
  return *value;
}

Json to_json(const CellValue& value) {
  if (value.whole()) return *value.whole();
  return value.is_number() ? Json(value.number()) : Json(*value.text());
}

Json to_json(const Cell& cell) {
  Json object = Json::object();
  for (const auto& [name, value] : cell.fields) object[name] = to_json(value);
  return object;
}

CellValue cell_value(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  bool whole =
      value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
  return whole ? CellValue(value.get<int64_t>()) : CellValue(value.get<double>());
}

}  // namespace longspan
