// What every reader of position settings checks, whoever wrote them. `where` opens each sentence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "position/position.h"

namespace longspan {

constexpr double kLargestContext = 1e12;  // tokens; beyond it a file is lying

bool contains(const std::vector<std::string>& list, std::string_view key);
/// The keys that every method takes; "none" changes nothing, so it takes no base.
std::vector<std::string> common_keys(const PositionMethod& method);
/// The keys that a method takes, for error sentences.
std::string known_keys(const PositionMethod& method);
/// A whole number of tokens; Error when it is none.
int64_t token_count(const std::string& key, double value, const std::string& where);
/// Error when a value is outside what its key allows.
void check_value(const std::string& key, double value, const std::string& where);
/// Error when a list has not one number a frequency.
void check_list(const std::string& key, const std::vector<double>& list, const HeadShape& shape,
                const std::string& where);
/// The last word on a whole config.
void validate(const PositionConfig& config, const std::string& where);

}  // namespace longspan
