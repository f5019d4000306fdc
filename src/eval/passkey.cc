#include "eval/passkey.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"
#include "tokenizer/fit.h"

namespace longspan {

namespace {

/// Where the first sentence at or after `at` ends, blanks behind it included; a blank, or at last the next
/// character, where a text has no sentences.
size_t sentence_end(std::string_view text, size_t at) {
  constexpr size_t kReach = 2000;  // bytes: longer than sentences are
  std::string_view near = text.substr(at, kReach);
  for (size_t i = 0; i + 1 < near.size(); ++i)
    if (near[i] == '\n' || (std::string_view(".!?").find(near[i]) != near.npos && near[i + 1] == ' '))
      return at + i + (near[i] == '\n' ? 1 : 2);
  if (size_t blank = near.find(' '); blank != near.npos) return at + blank + 1;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  return at;
}

std::vector<int32_t> prompt(const PromptMaker& prompts, const std::string& hidden) {
  if (prompts.chat.chat_template)
    return prompts.encode({{"user", fmt::format("A pass key is hidden in the text. Find it and remember "
                                                "it.\n\nText:\n{}\n\nWhat is the pass key?",
                                                hidden)}});
  return prompts.tokenizer.encode(hidden + "\n\nWhat is the pass key? The pass key is");
}

}  // namespace

std::vector<Passkey> draw_passkeys(int64_t count, uint64_t seed, std::string_view text) {
  Random random(seed);
  std::vector<Passkey> keys;
  auto taken = [&](const std::string& number) {
    return text.find(number) != text.npos ||
           std::any_of(keys.begin(), keys.end(), [&](const Passkey& k) { return k.number == number; });
  };
  constexpr int kDraws = 1000;  // a text that holds nearly every number is no text
  for (int64_t k = 0; k < count; ++k) {
    std::string number;
    for (int draw = 0; number.empty() || taken(number); ++draw) {
      if (draw == kDraws) fail("no five-digit pass key was found that the text does not hold already");
      number = std::to_string(10000 + random.below(90000));
    }
    keys.push_back({number, (static_cast<double>(k) + 0.5) / static_cast<double>(count)});
  }
  return keys;
}

std::string hide_passkey(std::string_view text, const Passkey& key) {
  size_t end = sentence_end(text, static_cast<size_t>(key.depth * static_cast<double>(text.size())));
  return fmt::format("{}The pass key is {}. Remember it. {}", text.substr(0, end), key.number,
                     text.substr(end));
}

PasskeyTask make_passkeys(const PromptMaker& prompts, const std::string& text,
                          const std::vector<int32_t>& ids, int64_t length, int64_t count, uint64_t seed) {
  PasskeyTask task{draw_passkeys(count, seed, text), {}};
  int64_t room = length - kPasskeyAnswer;
  auto excess = [&](int64_t tokens) {
    std::string filler = prompts.tokenizer.decode(std::span(ids).first(static_cast<size_t>(tokens)));
    int64_t longest = 0;
    task.prompts.clear();
    for (const Passkey& key : task.keys) {
      task.prompts.push_back(prompt(prompts, hide_passkey(filler, key)));
      longest = std::max(longest, static_cast<int64_t>(task.prompts.back().size()));
    }
    return longest - room;
  };
  if (kept_tokens(std::min(std::ssize(ids), -excess(0)), excess) > 0) return task;
  fail(
      "a pass key with question and answer does not fit into {} tokens; ask for longer --lengths, or give "
      "--passkeys 0",
      length);
}

int64_t unshared_tokens(const PasskeyTask& task, size_t k) {
  const std::vector<int32_t>& prompt = task.prompts[k];
  if (k + 1 == task.prompts.size()) return std::ssize(prompt);
  const std::vector<int32_t>& deeper = task.prompts[k + 1];
  return prompt.end() - std::mismatch(prompt.begin(), prompt.end(), deeper.begin(), deeper.end()).first;
}

bool passkey_found(const Passkey& key, std::string_view answer) {
  return answer.find(key.number) != answer.npos;
}

}  // namespace longspan
