// Pass keys: a five-digit number hidden in a text at a known depth and asked for at its end (Mohtashami and
// Jaggi 2023, arXiv 2305.16300). One key stands in a context: of several, small models confuse which is
// which, and that would be measured instead of their reach.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_format.h"

namespace longspan {

constexpr int64_t kPasskeyAnswer = 24;  // tokens an answer may take

struct Passkey {
  std::string number;  // five digits, nowhere else in the text
  double depth = 0;    // 0: beginning of the text, 1: its end
};

/// `count` keys at depths (k + 1/2) / count. The same seed gives the same keys; none occurs in `text`.
std::vector<Passkey> draw_passkeys(int64_t count, uint64_t seed, std::string_view text);

/// The text with a sentence for the key, put behind the first sentence that ends at or after depth x size.
std::string hide_passkey(std::string_view text, const Passkey& key);

struct PasskeyTask {
  std::vector<Passkey> keys;
  std::vector<std::vector<int32_t>> prompts;  // [keys]
};

/// Prompts of at most `length` - kPasskeyAnswer tokens, filled with the beginning of the text (`ids`: its
/// tokens), through the model's chat template if it has one. Error when `length` is too short for a question.
PasskeyTask make_passkeys(const PromptMaker& prompts, const std::string& text,
                          const std::vector<int32_t>& ids, int64_t length, int64_t count, uint64_t seed);

/// Tokens of prompt k that prompt k + 1 does not begin with, too: what is left to read when the deepest key
/// was asked for first.
int64_t unshared_tokens(const PasskeyTask& task, size_t k);

/// Does the answer hold the number?
bool passkey_found(const Passkey& key, std::string_view answer);

}  // namespace longspan
