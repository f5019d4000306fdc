// What the readers of config.json and of GGUF metadata share.
#pragma once

#include <string>
#include <vector>

#include "position/position.h"

namespace longspan {

/// The keys of our own, for methods and windows that the format has no word for. GGUF spells them with a dot.
constexpr const char* kPrivatePosition = "longspan_position";
constexpr const char* kPrivateContext = "longspan_context";

/// Error when the value is no number. `truncate` may be true or false.
double json_number(const std::string& key, const Json& value, const std::string& where);

/// One number a frequency; Error otherwise.
std::vector<double> json_list(const std::string& key, const Json& value, const HeadShape& shape,
                              const std::string& where);

/// A linear model that states one window N (`key`) and a factor: was it trained for N and reaches N factor,
/// as AquilaChat2-34B-16K (4096, 4), or does it reach N, as AquilaChat2-7B-16K (16384, 8)? No rotary model of
/// note was trained for less than 2048 tokens: where N / factor is less, N is the trained window, else N is
/// the reach. Only the promised window hangs on this, no frequency does. Says what it assumed.
void assume_linear_window(PositionConfig& config, const std::string& key);

/// Puts what our private keys say (null: absent) over what the format's own keys said.
void apply_private(PositionConfig& config, const Json& position, const Json& context,
                   const std::string& where);

}  // namespace longspan
