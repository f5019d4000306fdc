// How much a text reads like writing: tells the right encoding from others that decode the same bytes. Made
// for short texts, in which the statistics of a detector see little.
#pragma once

#include <string>
#include <string_view>

namespace longspan::documents {

/// Mean over the characters beyond ASCII, from 0 to 1: 1 for characters that are usual in the script of this
/// encoding and fit their neighbours (common Chinese characters, kana, letters within words), less for rare
/// ones, 0 for controls, private and unassigned ones. 1 for a text of ASCII.
double plausibility(std::string_view utf8, const std::string& encoding);

}  // namespace longspan::documents
