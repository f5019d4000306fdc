// Where an answer looked, as JSON: the parts of the prompt that got most of its attention.
#pragma once

#include <span>

#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace longspan::server {

/// [{"share", "text", "file", "page", "chapter"}], largest share first: at most 32 windows of 32 tokens of
/// the prompt, each with its part of the weight of `mass` (attention_mass.h), one number for each token of
/// `prompt`, and with what the document's marks say of its place (documents/place.h).
Json attended_windows(const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                      std::span<const float> mass);

}  // namespace longspan::server
