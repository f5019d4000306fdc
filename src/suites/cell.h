// Where a case stands in tables and pictures: its length in tokens, the depth of its needle in per cent, its
// language, ... Fields keep the order in which their maker named them.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"

namespace longspan {

/// A whole number, another number, or a text.
class CellValue {
 public:
  CellValue(std::integral auto x) : value_(static_cast<int64_t>(x)) {}
  CellValue(double x) : value_(x) {}
  CellValue(std::string text) : value_(std::move(text)) {}
  CellValue(const char* text) : value_(std::string(text)) {}

  /// Null when it is not a whole number, or not a text.
  const int64_t* whole() const { return std::get_if<int64_t>(&value_); }
  const std::string* text() const { return std::get_if<std::string>(&value_); }
  bool is_number() const { return !text(); }
  /// Of numbers only.
  double number() const { return whole() ? static_cast<double>(*whole()) : std::get<double>(value_); }

 private:
  std::variant<int64_t, double, std::string> value_;
};

/// Numbers by value, whole or not, before texts.
bool operator<(const CellValue& a, const CellValue& b);
bool operator==(const CellValue& a, const CellValue& b);

struct Cell {
  std::vector<std::pair<std::string, CellValue>> fields = {};

  /// Null when there is no such field.
  const CellValue* find(std::string_view name) const;
  /// Error (assert) when there is no such field.
  const CellValue& at(std::string_view name) const;
  void add(std::string name, CellValue value) { fields.emplace_back(std::move(name), std::move(value)); }
  friend bool operator==(const Cell&, const Cell&) = default;
};

Json to_json(const CellValue& value);
Json to_json(const Cell& cell);
/// Of a JSON number or string.
CellValue cell_value(const Json& value);

}  // namespace longspan
