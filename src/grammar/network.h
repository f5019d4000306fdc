// A grammar as a network over bytes: each rule is a graph of nodes that ends in the one Return, and a call of
// a rule is a node, so that a place in a text is a node and the stack of the calls around it. Characters
// become the bytes of their UTF-8 forms: a token that ends in the middle of a character needs no special
// case.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <vector>

#include "grammar/notation.h"

namespace longspan {

using ByteSet = std::bitset<256>;

struct GrammarNode {
  enum class Kind : uint8_t {
    Return,  // the end of a rule
    Bytes,   // a byte of sets[argument], then `next`
    Split,   // `next` or `argument`
    Call,    // the rule that starts at `argument`, then `next`
  };
  Kind kind = Kind::Return;
  int32_t next = 0, argument = 0;
};

/// Only from compile_grammar; immutable afterwards, so that many texts can share one.
struct Grammar {
  static constexpr int32_t kReturn = 0;  // the place of the one node of that kind

  std::vector<GrammarNode> nodes;
  std::vector<ByteSet> sets;
  int32_t start = 0;  // of the root rule
  // Bytes that every set treats alike have one class; the classes are numbered from 0.
  std::array<uint8_t, 256> class_of{};
  std::vector<uint8_t> byte_of_class;  // one of each
};

/// Error with the place of the rule: a rule that begins with itself (directly or through others: left
/// recursion), a rule that can never end, and a grammar of more than kMostNodes nodes.
Grammar compile_grammar(const GrammarText& grammar);
constexpr int64_t kMostNodes = 1 << 18;

/// The bytes of the characters of sorted ranges, as sequences of ranges of bytes: UTF-8 forms of every length
/// apart, first byte first.
struct ByteRange {
  uint8_t first, last;
  auto operator<=>(const ByteRange&) const = default;
};
std::vector<std::vector<ByteRange>> utf8_sequences(const std::vector<CodePointRange>& ranges);

}  // namespace longspan
