// Figures of summaries and differences as words: terminal and page say the same.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace longspan {

/// A number or text of a cell or setting: 8192 -> "8,192", "en" -> "en", null -> "-", others as JSON; on one
/// line.
std::string value_text(const Json& value);
/// A figure of an entry, in its unit's digits: per cent with one, losses with four; "-" when it is not there.
std::string figure(const Json& entry, const char* key);
std::string signed_figure(const Json& entry, const char* key);
/// "52.1 to 60.9" (low and high); "-" where there is nothing to tell an interval from.
std::string range_of(const Json& entry);
std::string change_range(const Json& entry);
/// "120", or "120 of 544" of planned ones.
std::string count_of(const Json& entry);
/// What the score of a task is, with the means of its metrics where there are several.
std::string metric_text(const Json& task);
/// "0.031", "<0.001".
std::string p_text(double p);

/// "smollm2, yarn:factor=2": the model's name, and its positions unless they are plain; "" if unknown.
std::string model_name(const Json& settings);

/// "needle, clean scoring: 63.2 % (60.1 to 66.0), 544 cases"; "incomplete: 120 of 544 cases".
std::string headline(const Json& summary);
std::string diff_headline(const Json& diff);
/// Sentences on cases cut, stopped, empty, tasks left out, cases not yet done.
std::vector<std::string> remarks(const Json& summary);

}  // namespace longspan
