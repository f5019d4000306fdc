// Text from outside on its way into a prompt: it is data, so no spelling in it may become a special token.
#pragma once

#include <string>

#include "tokenizer/tokenizer.h"

namespace longspan {

/// The text with a blank inside each spelling that the tokenizer would take for a special token.
std::string without_special_tokens(std::string text, const Tokenizer& tokenizer);

}  // namespace longspan
