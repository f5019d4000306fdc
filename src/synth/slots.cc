#include "synth/slots.h"

#include <fmt/core.h>

#include <cassert>

#include "synth/templates.h"

namespace longspan {

namespace {

uint64_t between(Random& random, uint64_t least, uint64_t most) {
  return least + random.below(most - least + 1);
}

std::string letters_and_digits(Random& random) {
  auto letter = [&] { return static_cast<char>('A' + random.below(26)); };
  char a = letter(), b = letter();
  return fmt::format("{}{}-{}", a, b, between(random, 100, 9999));
}

const std::string& any(const std::vector<std::string>& words, Random& random) {
  return words[random.below(words.size())];
}

}  // namespace

std::string draw_value(std::string_view pool, std::string_view language, Random& random) {
  bool chinese = language == "zh";
  if (pool == "number") return std::to_string(between(random, 12, 4999));
  if (pool == "year") return std::to_string(between(random, 1580, 1979));
  if (pool == "code") return letters_and_digits(random);
  if (pool == "time") {
    uint64_t hour = between(random, 6, 11), minute = between(random, 1, 59);
    return chinese ? fmt::format("晚上{}点{}分", hour, minute)
                   : fmt::format("{}:{:02} in the evening", hour, minute);
  }
  if (pool == "date") {
    uint64_t day = between(random, 1, 28);
    return chinese ? fmt::format("{}月{}日", between(random, 1, 12), day)
                   : fmt::format("{} {}", draw_value("month", "en", random), day);
  }
  for (const Pool& row : pools()) {
    if (row.name != pool || row.language != language) continue;
    std::string value = any(row.first, random);
    return row.second.empty() ? value : value + row.between + any(row.second, random);
  }
  assert(false);
  return "";
}

namespace {

/// Calls body(text before the slot, slot) for each slot, and body(rest, "") at the end.
template <typename Body>
void for_each_slot(std::string_view text, const Body& body) {
  for (size_t open; (open = text.find('{')) != std::string_view::npos;) {
    size_t close = text.find('}', open);
    assert(close != std::string_view::npos);
    body(text.substr(0, open), text.substr(open + 1, close - open - 1));
    text.remove_prefix(close + 1);
  }
  body(text, std::string_view());
}

std::string_view pool_of(std::string_view slot) {
  if (slot.ends_with('2')) slot.remove_suffix(1);
  return slot;
}

}  // namespace

void draw_slots(std::string_view text, std::string_view language, Random& random, Slots& slots) {
  for_each_slot(text, [&](std::string_view, std::string_view slot) {
    if (slot.empty() || slots.contains(std::string(slot))) return;
    auto taken = [&](const std::string& value) {
      for (const auto& [name, other] : slots)
        if (pool_of(name) == pool_of(slot) && other == value) return true;
      return false;
    };
    std::string value = draw_value(pool_of(slot), language, random);
    while (taken(value)) value = draw_value(pool_of(slot), language, random);
    slots[std::string(slot)] = value;
  });
}

std::string fill(std::string_view text, const Slots& slots) {
  std::string out;
  for_each_slot(text, [&](std::string_view before, std::string_view slot) {
    out += before;
    if (!slot.empty()) out += slots.at(std::string(slot));
  });
  return out;
}

}  // namespace longspan
