#include "grammar/network.h"

#include <cassert>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

using Kind = GrammarNode::Kind;

std::vector<uint8_t> utf8_bytes(char32_t c) {
  std::string text;
  append_utf8(text, c);
  return {text.begin(), text.end()};
}

/// Ranges of equal length whose bytes at `at` and before agree, or that vary freely after it, become one
/// sequence; others are divided (as in RE2 and Rust's utf8-ranges).
void add_sequences(char32_t first, char32_t last, std::vector<std::vector<ByteRange>>& out) {
  for (char32_t longest : {0x7Fu, 0x7FFu, 0xFFFFu})
    if (first <= longest && longest < last) {
      add_sequences(first, longest, out);
      return add_sequences(longest + 1, last, out);
    }
  for (int shift = 6; last > 0x7F && shift <= 18; shift += 6) {
    char32_t low = (char32_t{1} << shift) - 1;
    if ((first & ~low) == (last & ~low)) break;  // they differ in the last bytes only
    if ((first & low) != 0) {
      add_sequences(first, first | low, out);
      return add_sequences((first | low) + 1, last, out);
    }
    if ((last & low) != low) {
      add_sequences(first, (last & ~low) - 1, out);
      return add_sequences(last & ~low, last, out);
    }
  }
  std::vector<uint8_t> a = utf8_bytes(first), b = utf8_bytes(last);
  std::vector<ByteRange> sequence;
  for (size_t i = 0; i < a.size(); ++i) sequence.push_back({a[i], b[i]});
  out.push_back(std::move(sequence));
}

class Compiler {
 public:
  explicit Compiler(const GrammarText& text) : text_(text) {}

  Grammar compile() {
    add({Kind::Return, 0, 0});
    // Calls hold the number of a rule until all starts are known.
    for (size_t r = 0; r < text_.rules.size(); ++r) define(text_.rules[r].body, r);
    while (!helpers_.empty()) {
      auto [body, rule, of] = helpers_.back();
      helpers_.pop_back();
      starts_[rule] = node_of(*body, Grammar::kReturn, of);
    }
    for (GrammarNode& node : grammar_.nodes)
      if (node.kind == Kind::Call) node.argument = starts_[static_cast<size_t>(node.argument)];
    grammar_.start = starts_[text_.root];
    check_ends();
    check_beginnings();
    make_classes();
    return std::move(grammar_);
  }

 private:
  struct Helper {
    const Expression* body;
    size_t rule, of;
  };

  int32_t add(GrammarNode node) {
    if (std::ssize(grammar_.nodes) >= kMostNodes)
      fail("{}: the grammar has more than {} nodes; use smaller repetitions",
           owners_.empty() ? text_.rules[text_.root].where : text_.rules[owner_].where, grouped(kMostNodes));
    grammar_.nodes.push_back(node);
    owners_.push_back(owner_);
    return static_cast<int32_t>(grammar_.nodes.size() - 1);
  }

  void define(const Expression& body, size_t rule) {
    if (starts_.size() < text_.rules.size()) starts_.resize(text_.rules.size());
    starts_[rule] = node_of(body, Grammar::kReturn, rule);
  }

  /// The node from which `e`, then what follows `next`.
  int32_t node_of(const Expression& e, int32_t next, size_t rule) {
    owner_ = rule;
    using Form = Expression::Kind;
    switch (e.kind) {
      case Form::Literal:
        for (size_t i = e.literal.size(); i-- > 0;)
          next = bytes(ByteSet().set(static_cast<uint8_t>(e.literal[i])), next);
        return next;
      case Form::Class:
        return characters(e.ranges, next);
      case Form::Rule:
        return add({Kind::Call, next, static_cast<int32_t>(e.rule)});
      case Form::Sequence:
        for (size_t i = e.parts.size(); i-- > 0;) next = node_of(e.parts[i], next, rule);
        return next;
      case Form::Choice: {
        std::vector<int32_t> starts;
        for (const Expression& part : e.parts) starts.push_back(node_of(part, next, rule));
        return any_of(starts);
      }
      case Form::Repeat:
        return repetition(e, next, rule);
    }
    return next;
  }

  int32_t bytes(const ByteSet& set, int32_t next) {
    auto [known, added] = set_numbers_.emplace(set.to_string(), static_cast<int32_t>(grammar_.sets.size()));
    if (added) grammar_.sets.push_back(set);
    return add({Kind::Bytes, next, known->second});
  }

  int32_t any_of(const std::vector<int32_t>& starts) {
    int32_t node = starts.back();
    for (size_t i = starts.size() - 1; i-- > 0;) node = add({Kind::Split, starts[i], node});
    return node;
  }

  /// First bytes whose characters go on alike share a node, and so do equal ends.
  int32_t characters(const std::vector<CodePointRange>& ranges, int32_t next) {
    std::map<std::pair<ByteRange, int32_t>, int32_t> ends;
    std::map<int32_t, ByteSet> firsts;
    for (const auto& sequence : utf8_sequences(ranges)) {
      int32_t node = next;
      for (size_t i = sequence.size(); i-- > 1;) {
        auto [known, added] = ends.emplace(std::pair(sequence[i], node), 0);
        if (added) known->second = bytes(set_of(sequence[i]), node);
        node = known->second;
      }
      firsts[node] |= set_of(sequence[0]);
    }
    std::vector<int32_t> starts;
    for (const auto& [node, set] : firsts) starts.push_back(bytes(set, node));
    return any_of(starts);
  }
  static ByteSet set_of(ByteRange range) {
    ByteSet set;
    for (size_t b = range.first; b <= range.last; ++b) set.set(b);
    return set;
  }

  /// What is repeated often and is more than a node becomes a rule of its own, so that a copy is a node.
  int32_t repetition(const Expression& e, int32_t next, size_t rule) {
    const Expression& part = e.parts[0];
    bool simple = part.kind == Expression::Kind::Rule ||
                  (part.kind == Expression::Kind::Class && part.ranges.back().second < 0x80) ||
                  (part.kind == Expression::Kind::Literal && part.literal.size() <= 1);
    int64_t copies = e.most == Expression::kUnbounded ? e.least + 1 : e.most;
    std::optional<int32_t> helper;
    if (!simple && copies > 1) {
      helper = static_cast<int32_t>(starts_.size());
      starts_.push_back(0);
      helpers_.push_back({&part, starts_.size() - 1, rule});
    }
    auto copy = [&](int32_t then) {
      return helper ? add({Kind::Call, then, *helper}) : node_of(part, then, rule);
    };
    if (e.most == Expression::kUnbounded) {
      int32_t loop = add({Kind::Split, 0, next}), again = copy(loop);
      grammar_.nodes[static_cast<size_t>(loop)].next = again;
      next = loop;
    } else {
      for (int32_t i = 0, end = next; i < e.most - e.least; ++i) {
        int32_t once = copy(next);
        next = add({Kind::Split, once, end});
      }
    }
    for (int64_t i = 0; i < e.least; ++i) next = copy(next);
    return next;
  }

  /// The nodes from which a rule can end; with `silently`, without a byte.
  std::vector<bool> ending(bool silently) const {
    const auto& nodes = grammar_.nodes;
    // Who may end once this node does.
    std::vector<std::vector<int32_t>> waiting(nodes.size());
    std::vector<int32_t> work = {Grammar::kReturn};
    std::vector<bool> ends(nodes.size());
    ends[Grammar::kReturn] = true;
    for (int32_t i = 0; i < std::ssize(nodes); ++i) {
      const GrammarNode& n = nodes[static_cast<size_t>(i)];
      if (n.kind == Kind::Return || (n.kind == Kind::Bytes && silently)) continue;
      waiting[static_cast<size_t>(n.next)].push_back(i);
      if (n.kind != Kind::Bytes) waiting[static_cast<size_t>(n.argument)].push_back(i);
    }
    while (!work.empty()) {
      int32_t done = work.back();
      work.pop_back();
      for (int32_t i : waiting[static_cast<size_t>(done)]) {
        const GrammarNode& n = nodes[static_cast<size_t>(i)];
        bool both = n.kind != Kind::Call ||
                    (ends[static_cast<size_t>(n.next)] && ends[static_cast<size_t>(n.argument)]);
        if (!both || ends[static_cast<size_t>(i)]) continue;
        ends[static_cast<size_t>(i)] = true;
        work.push_back(i);
      }
    }
    return ends;
  }

  const GrammarRule& rule_of(int32_t node) const { return text_.rules[owners_[static_cast<size_t>(node)]]; }

  void check_ends() const {
    std::vector<bool> ends = ending(false);
    for (size_t r = 0; r < text_.rules.size(); ++r)
      if (!ends[static_cast<size_t>(starts_[r])])
        fail("{}: the rule {} can never end, since each of its alternatives needs itself",
             text_.rules[r].where, in_quotes(text_.rules[r].name));
  }

  /// No node may come to itself again without a byte, except around a loop.
  void check_beginnings() const {
    const auto& nodes = grammar_.nodes;
    std::vector<bool> silent = ending(true);
    // Steps without a byte: within a rule, and into a rule. A cycle through a step into a rule is left
    // recursion. Rules are looked at as a whole: which others each can begin with.
    std::map<int32_t, std::vector<int32_t>> begins;  // start: starts
    for (int32_t start : starts_) {
      if (begins.contains(start)) continue;
      std::vector<int32_t>& into = begins[start];
      std::vector<int32_t> work = {start};
      std::map<int32_t, bool> seen;
      while (!work.empty()) {
        int32_t i = work.back();
        work.pop_back();
        if (std::exchange(seen[i], true)) continue;
        const GrammarNode& n = nodes[static_cast<size_t>(i)];
        if (n.kind == Kind::Split) work.insert(work.end(), {n.next, n.argument});
        if (n.kind != Kind::Call) continue;
        into.push_back(n.argument);
        if (silent[static_cast<size_t>(n.argument)]) work.push_back(n.next);
      }
    }
    find_cycle(begins);
  }

  void find_cycle(const std::map<int32_t, std::vector<int32_t>>& begins) const {
    enum class Mark { Open, Done };
    std::map<int32_t, Mark> marks;
    for (const auto& [root, unused] : begins) {
      std::vector<std::pair<int32_t, size_t>> path;  // a node and how many of its steps were taken
      if (marks.emplace(root, Mark::Open).second) path.emplace_back(root, 0);
      while (!path.empty()) {
        auto& [node, step] = path.back();
        const std::vector<int32_t>& into = begins.at(node);
        if (step == into.size()) {
          marks[node] = Mark::Done;
          path.pop_back();
          continue;
        }
        int32_t other = into[step++];
        auto [mark, added] = marks.emplace(other, Mark::Open);
        if (added) {
          path.emplace_back(other, 0);
        } else if (mark->second == Mark::Open) {
          const GrammarRule& rule = rule_of(other);
          fail("{}: the rule {} begins with itself (left recursion); write the repetition with * or +",
               rule.where, in_quotes(rule.name));
        }
      }
    }
  }

  void make_classes() {
    std::map<std::string, uint8_t> numbers;  // by the sets that hold a byte
    for (size_t b = 0; b < 256; ++b) {
      std::string held(grammar_.sets.size(), '0');
      for (size_t s = 0; s < grammar_.sets.size(); ++s) held[s] = grammar_.sets[s][b] ? '1' : '0';
      auto [known, added] = numbers.emplace(std::move(held), static_cast<uint8_t>(numbers.size()));
      if (added) grammar_.byte_of_class.push_back(static_cast<uint8_t>(b));
      grammar_.class_of[b] = known->second;
    }
  }

  const GrammarText& text_;
  Grammar grammar_;
  std::vector<int32_t> starts_;  // by rule; helpers follow the text's own
  std::vector<size_t> owners_;   // of nodes: the text's rule
  std::vector<Helper> helpers_;  // yet to be compiled
  std::map<std::string, int32_t> set_numbers_;
  size_t owner_ = 0;
};

}  // namespace

std::vector<std::vector<ByteRange>> utf8_sequences(const std::vector<CodePointRange>& ranges) {
  std::vector<std::vector<ByteRange>> out;
  for (auto [first, last] : ranges) add_sequences(first, last, out);
  return out;
}

Grammar compile_grammar(const GrammarText& grammar) { return Compiler(grammar).compile(); }

}  // namespace longspan
