// The factor of a method, from the length of the text: "auto", or left out where the method needs one.
#pragma once

#include <string>
#include <string_view>

#include "position/position.h"

namespace longspan {

/// Whether the method needs a factor that the spec does not give. Error when there is no such method.
bool lacks_factor(std::string_view spec);
std::string with_factor(const std::string& spec, double factor);

/// Whether the text of --position leaves a value to the length: "factor=auto", "factor=2*auto", or no factor
/// where the method needs one. Error when there is no such method.
bool needs_length(std::string_view spec);

/// A method made ready for one length.
struct StretchedMethod {
  std::string spec;  // what --position would be told; "none": the model as it is
  PositionConfig position;
};
/// With s = max(1, length / trained window): a value "auto" becomes s and "2*auto" becomes 2 s; a required
/// factor that is missing becomes s. "none" is the model's own method. Error as parse_position says, or when
/// there is no trained window to divide by; it begins with `option`, which the spec came from.
StretchedMethod stretch_method(const std::string& spec, const PositionConfig& model, int64_t length,
                               const char* option = "--position");

}  // namespace longspan
