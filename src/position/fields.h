// What the readers of config.json and of GGUF metadata have in common.
#pragma once

#include <string>
#include <vector>

#include "position/position.h"

namespace longspan {

/// Our own keys, for methods and windows that the format cannot express. GGUF spells them with a dot.
constexpr const char* kPrivatePosition = "longspan_position";
constexpr const char* kPrivateContext = "longspan_context";

/// Error when the value is not a number. `truncate` may be true or false.
double json_number(const std::string& key, const Json& value, const std::string& where);

/// One number per frequency; Error otherwise.
std::vector<double> json_list(const std::string& key, const Json& value, const HeadShape& shape,
                              const std::string& where);

/// A linear model that states one window N (`key`) and a factor: was it trained for N and reaches N factor,
/// as AquilaChat2-34B-16K (4096, 4), or does it reach N, as AquilaChat2-7B-16K (16384, 8)? No well-known
/// rotary model was trained for fewer than 2048 tokens: if N / factor is less than that, N is the trained
/// window, otherwise N is what the model reaches. Only the window that we report depends on this, not the
/// frequencies. The assumption is recorded in `assumed`.
void assume_linear_window(PositionConfig& config, const std::string& key);

/// Our private keys (null: absent) override the format's own.
void apply_private(PositionConfig& config, const Json& position, const Json& context,
                   const std::string& where);

}  // namespace longspan
