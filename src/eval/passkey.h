// Pass keys: five-digit numbers hidden in a text at known depths and asked for one by one (Mohtashami and
// Jaggi 2023, arXiv 2305.16300; several in one context as in RULER's multikey needles, arXiv 2404.06654). All
// keys stand in the same context, each the key of a door of its own colour: one reading serves every
// question.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "generate/engine.h"

namespace longspan {

constexpr int64_t kPasskeyAnswer = 24;  // tokens an answer may take
constexpr int64_t kMostPasskeys = 16;   // colours there are

struct Passkey {
  std::string door;    // "red"
  std::string number;  // five digits, nowhere else in the text
  double depth = 0;    // 0: beginning of the text, 1: its end
};

/// `count` keys at depths (k + 1/2) / count. The same seed gives the same keys; none occurs in `text`.
std::vector<Passkey> draw_passkeys(int64_t count, uint64_t seed, std::string_view text);

/// The text with a sentence for each key (depths ascending), put behind the first sentence that ends at or
/// after depth x size.
std::string hide_passkeys(std::string_view text, const std::vector<Passkey>& keys);

struct PasskeyTask {
  std::vector<Passkey> keys;
  std::vector<std::vector<int32_t>> prompts;  // [keys], alike up to the question; each with its answer fits
};

/// Prompts of at most `length` - kPasskeyAnswer tokens, filled with the beginning of the text (`ids`: its
/// tokens), through the model's chat template if it has one. Error when `length` is too short for a question.
PasskeyTask make_passkeys(const Engine& engine, const std::string& text, const std::vector<int32_t>& ids,
                          int64_t length, int64_t count, uint64_t seed);

/// Does the answer hold the number?
bool passkey_found(const Passkey& key, std::string_view answer);

}  // namespace longspan
