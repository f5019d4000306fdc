#include "eval/passkey.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"

namespace longspan {

namespace {

constexpr const char* kDoors[kMostPasskeys] = {"red",    "blue",   "green",  "yellow", "black", "white",
                                               "brown",  "orange", "purple", "grey",   "pink",  "silver",
                                               "golden", "wooden", "iron",   "glass"};

std::string sentence(const Passkey& key) {
  return fmt::format("The pass key of the {} door is {}. ", key.door, key.number);
}

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

std::string question(const Passkey& key) {
  return fmt::format("What is the pass key of the {} door?", key.door);
}

std::vector<int32_t> prompt(const Engine& engine, const std::string& hidden, const Passkey& key) {
  if (engine.has_chat_template())
    return encode_chat(
        engine, engine.render_chat({{"user", fmt::format("Pass keys of doors are hidden in the text. Find "
                                                         "them and remember them.\n\nText:\n{}\n\n{}",
                                                         hidden, question(key))}},
                                   true));
  return engine.tokenizer().encode(fmt::format("{}\n\nQuestion: {}\nAnswer: The pass key of the {} door is",
                                               hidden, question(key), key.door));
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
    keys.push_back({kDoors[k], number, (static_cast<double>(k) + 0.5) / static_cast<double>(count)});
  }
  return keys;
}

std::string hide_passkeys(std::string_view text, const std::vector<Passkey>& keys) {
  std::string hidden;
  size_t copied = 0;
  for (const Passkey& key : keys) {
    auto at = static_cast<size_t>(key.depth * static_cast<double>(text.size()));
    size_t end = sentence_end(text, std::max(at, copied));
    hidden += text.substr(copied, end - copied);
    hidden += sentence(key);
    copied = end;
  }
  hidden += text.substr(copied);
  return hidden;
}

PasskeyTask make_passkeys(const Engine& engine, const std::string& text, const std::vector<int32_t>& ids,
                          int64_t length, int64_t count, uint64_t seed) {
  PasskeyTask task{draw_passkeys(count, seed, text), {}};
  int64_t room = length - kPasskeyAnswer, keep = static_cast<int64_t>(ids.size());
  auto build = [&](int64_t tokens) {
    std::string hidden = hide_passkeys(
        engine.tokenizer().decode(std::span(ids).first(static_cast<size_t>(tokens))), task.keys);
    int64_t longest = 0;
    task.prompts.clear();
    for (const Passkey& key : task.keys) {
      task.prompts.push_back(prompt(engine, hidden, key));
      longest = std::max(longest, static_cast<int64_t>(task.prompts.back().size()));
    }
    return longest;
  };
  keep = std::min(keep, room - build(0));
  // Seams tokenise otherwise than the text did: a few more tokens may have to go.
  while (keep >= 1) {
    int64_t excess = build(keep) - room;
    if (excess <= 0) return task;
    keep -= excess;
  }
  fail(
      "{} pass keys with question and answer do not fit into {} tokens; ask for fewer with --passkeys N, or "
      "0",
      count, length);
}

bool passkey_found(const Passkey& key, std::string_view answer) {
  return answer.find(key.number) != answer.npos;
}

}  // namespace longspan
