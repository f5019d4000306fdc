// Checks for every source of position settings. `where` opens each error sentence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "position/position.h"

namespace longspan {

constexpr double kLargestContext = 1e12;  // tokens; no real file states more

bool contains(const std::vector<std::string>& list, std::string_view key);
/// The keys that every method accepts; "none" changes nothing and therefore accepts no base.
std::vector<std::string> common_keys(const PositionMethod& method);
/// The keys that a method accepts, for error sentences.
std::string known_keys(const PositionMethod& method);
/// Error when the value is not a whole number of tokens.
int64_t token_count(const std::string& key, double value, const std::string& where);
/// Error when a value is outside the range of its key.
void check_value(const std::string& key, double value, const std::string& where);
/// Error unless the list has one number per frequency.
void check_list(const std::string& key, const std::vector<double>& list, const HeadShape& shape,
                const std::string& where);
/// The final check of a complete config.
void validate(const PositionConfig& config, const std::string& where);

}  // namespace longspan
