// States against a naive recogniser on all short texts, masks against a plain look at every token, and
// grammars that were made to cost much.
#include "grammar/matcher.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "../tokenizer/golden.h"
#include "base/random.h"
#include "checkpoint/checkpoint.h"
#include "grammar/json_schema.h"
#include "grammars.h"

namespace longspan {
namespace {

/// Where a derivation of `e` from text[at] may end: the definition, without any network.
std::set<size_t> ends_of(const GrammarText& g, const Expression& e, const std::string& text, size_t at) {
  using Kind = Expression::Kind;
  switch (e.kind) {
    case Kind::Literal:
      if (text.compare(at, e.literal.size(), e.literal) == 0) return {at + e.literal.size()};
      return {};
    case Kind::Class: {
      if (at >= text.size()) return {};
      char32_t c = next_code_point(text, at);
      bool in = std::any_of(e.ranges.begin(), e.ranges.end(),
                            [&](auto r) { return r.first <= c && c <= r.second; });
      return in ? std::set<size_t>{at} : std::set<size_t>{};
    }
    case Kind::Rule:
      return ends_of(g, g.rules[e.rule].body, text, at);
    case Kind::Choice: {
      std::set<size_t> all;
      for (const Expression& part : e.parts) all.merge(ends_of(g, part, text, at));
      return all;
    }
    case Kind::Sequence: {
      std::set<size_t> now = {at};
      for (const Expression& part : e.parts) {
        std::set<size_t> next;
        for (size_t place : now) next.merge(ends_of(g, part, text, place));
        now = next;
      }
      return now;
    }
    case Kind::Repeat:
      break;
  }
  std::set<size_t> now = {at}, all;
  if (e.least == 0) all = now;
  auto most = e.most == Expression::kUnbounded ? e.least + std::ssize(text) + 1 : e.most;
  for (int64_t n = 1; n <= most; ++n) {
    std::set<size_t> next;
    for (size_t place : now) next.merge(ends_of(g, e.parts[0], text, place));
    now = next;
    if (n >= e.least) all.insert(now.begin(), now.end());
  }
  return all;
}

const char* const kSmall[] = {
    "root ::= \"a\"* \"b\"",
    "root ::= (\"a\" | \"ab\")* (\"c\" | \"bc\")?",
    "root ::= \"a\" root \"b\" | \"c\"?",
    "root ::= x{2,4} y?\nx ::= [ab]\ny ::= x \"c\" | \"c\"{2}",
    "root ::= (\"ab\"){1,3} | ([^a] \"a\"?){2}",
    "root ::= s (\",\" s)*\ns ::= \"a\" (\"b\" s)? | \"c\"",
    "root ::= \"\" | (\"a\"? \"b\"?)* \"c\"+",
    "root ::= a a a\na ::= \"a\"? | \"b\" a \"c\"",
    "root ::= [a-b]{3,} | . \"c\"{0,2} .",
    "root ::= (\"a\"*)* b\nb ::= c \"b\"\nc ::= \"c\" c | \"\"",
};

TEST(GrammarStates, AgreeWithANaiveRecogniserOnAllShortTexts) {
  const std::string letters = "abc,";
  int64_t whole = 0, texts = 0;
  for (const char* source : kSmall) {
    GrammarText text = parse_grammar(source, "g");
    GrammarStates states(std::make_shared<const Grammar>(compile_grammar(text)));
    // All texts of up to 7 letters; those that derive something with a given beginning show which are alive.
    std::set<std::string> beginnings;
    std::vector<std::string> all = {""};
    for (size_t i = 0; i < all.size(); ++i)
      if (all[i].size() < 7)
        for (char c : letters) all.push_back(all[i] + c);
    std::vector<bool> derived;
    for (const std::string& t : all) {
      derived.push_back(ends_of(text, text.rules[text.root].body, t, 0).contains(t.size()));
      if (derived.back())
        for (size_t n = 0; n <= t.size(); ++n) beginnings.insert(t.substr(0, n));
    }
    for (size_t i = 0; i < all.size(); ++i) {
      Reading r = reading(states, all[i]);
      ASSERT_EQ(r == Reading::Whole, derived[i]) << source << ": " << all[i];
      if (beginnings.contains(all[i])) {
        ASSERT_NE(r, Reading::Dead) << source << ": " << all[i];
      }
      whole += derived[i], ++texts;
    }
  }
  EXPECT_GT(whole, 900);
  EXPECT_EQ(texts, 10 * 21845);
}

TEST(GrammarStates, CharactersOfSeveralBytes) {
  GrammarStates states(compiled("root ::= [é-日]{2} | \"😀\" [^\\x00-\\uFFFF]"));
  EXPECT_EQ(reading(states, "é日"), Reading::Whole);
  EXPECT_EQ(reading(states, "語é"), Reading::Dead);  // U+8A9E is behind U+65E5
  EXPECT_EQ(reading(states, "\xC3"), Reading::Beginning);
  EXPECT_EQ(reading(states, "\xC3\xC3"), Reading::Dead);
  EXPECT_EQ(reading(states, "😀\xF0\x9F"), Reading::Beginning);
  EXPECT_EQ(reading(states, "😀😀"), Reading::Whole);
  EXPECT_EQ(reading(states, "😀é"), Reading::Dead);
}

/// Each token on its own, from the beginning of the text: what the walk over the trie leaves out or adds
/// shows.
std::vector<bool> plain_mask(const Tokenizer& tokenizer, const std::shared_ptr<const Grammar>& grammar,
                             const std::string& text) {
  GrammarStates states(grammar);
  std::vector<bool> mask;
  std::vector<int32_t> ends = tokenizer.stop_ids();
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    std::string bytes = tokenizer.token_bytes(id);
    bool end = std::find(ends.begin(), ends.end(), id) != ends.end();
    if (end)
      mask.push_back(reading(states, text) == Reading::Whole);
    else
      mask.push_back(!bytes.empty() && reading(states, text + bytes) != Reading::Dead);
  }
  return mask;
}

/// Writes random allowed tokens and compares every mask; returns the texts.
std::vector<std::string> random_texts(const Tokenizer& tokenizer,
                                      const std::shared_ptr<const Grammar>& grammar, int texts, int most,
                                      int64_t compared_every, const MatcherLimits& limits = {}) {
  auto trie = std::make_shared<const TokenTrie>(token_trie(tokenizer));
  Random random(3);
  std::vector<std::string> out;
  int64_t step = 0;
  for (int n = 0; n < texts; ++n) {
    GrammarMatcher matcher(grammar, trie, {}, limits);
    std::string text;
    for (int i = 0; i < most && !matcher.finished(); ++i, ++step) {
      std::span<const uint64_t> words = matcher.allowed();
      auto allowed = [&](int32_t id) { return (words[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0; };
      std::vector<int32_t> ids;
      for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
        if (allowed(id)) ids.push_back(id);
      if (step % compared_every == 0) {
        std::vector<bool> plain = plain_mask(tokenizer, grammar, text);
        for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
          EXPECT_EQ(allowed(id), plain[static_cast<size_t>(id)]) << in_quotes(text) << " and token " << id;
      }
      int32_t id = ids[random.below(ids.size())];
      if (trie->bytes_of(id).empty()) break;  // an end
      matcher.accept(id);
      text += tokenizer.token_bytes(id);
    }
    GrammarStates states(grammar);
    EXPECT_EQ(matcher.complete(), reading(states, text) == Reading::Whole) << text;
    out.push_back(text);
  }
  return out;
}

const char* const kPerson = R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 12},
  "age": {"type": "integer", "minimum": 0, "maximum": 150}, "tags": {"type": "array", "items": {"enum": ["x", "é", 3]}, "maxItems": 3}},
  "required": ["name", "age"]})";

std::shared_ptr<const Grammar> schema(const char* text) {
  return std::make_shared<const Grammar>(compile_grammar(schema_grammar(parse_json(text, "test"), "test")));
}

TEST(GrammarMatcher, MasksOfSmallVocabularies) {
  const std::vector<std::shared_ptr<const Grammar>> grammars = {
      schema(kPerson), schema("{\"type\": \"object\"}"),
      compiled("root ::= [^\\n]{3,5} (\"\\n- \" [a-zé日]+){2} \"\\n\"?")};
  for (const char* name : {"byte_level.json", "byte_fallback.json"}) {
    auto tokenizer = tokenizer_from_json(parse_json_file(golden::folder() + name), {}, name);
    for (const auto& grammar : grammars) random_texts(tokenizer, grammar, 6, 40, 5);
  }
  for (const char* name : {"sentencepiece_bpe.model", "sentencepiece_unigram.model"}) {
    auto tokenizer = tokenizer_from_sentencepiece(read_file(golden::folder() + name), {}, name);
    random_texts(tokenizer, compiled("root ::= (\" \"? [a-z]+ [^a-z] .){9,}"), 6, 40, 5);
  }
}

/// A vocabulary without a token for each byte cannot write everything.
TEST(GrammarMatcher, TextsThatAVocabularyCannotWrite) {
  const char* name = "sentencepiece_unigram.model";
  auto tokenizer = tokenizer_from_sentencepiece(read_file(golden::folder() + name), {}, name);
  GrammarMatcher matcher(compiled("root ::= \"\\U0001F600\""),
                         std::make_shared<const TokenTrie>(token_trie(tokenizer)));
  EXPECT_EQ(message([&] { matcher.allowed(); }),
            "the grammar cannot go on here: no token of this vocabulary begins what it asks for");
}

TEST(GrammarMatcher, SmolLM2WritesWhatTheSchemaAsksFor) {
  auto path = cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << path << " is missing; `longspan fetch smollm2` brings it";
  auto tokenizer = tokenizer_from_gguf(open_checkpoint(path).metadata, path.string());
  int whole = 0;
  for (const std::string& text : random_texts(tokenizer, schema(kPerson), 40, 200, 97)) {
    if (!text.ends_with('}')) continue;
    Json value = parse_json(text, "text");
    ++whole;
    EXPECT_TRUE(value["name"].is_string());
    EXPECT_GE(value["age"].get<int>(), 0);
    EXPECT_LE(value["age"].get<int>(), 150);
  }
  EXPECT_GT(whole, 20);
}

TEST(GrammarMatcher, ForgettingChangesNothing) {
  auto tokenizer = tokenizer_from_json(parse_json_file(golden::folder() + "byte_level.json"), {}, "t");
  MatcherLimits small;
  small.kept_bytes = 1 << 12;
  small.mask_bytes = 1 << 10;
  auto grammar = schema(kPerson);
  EXPECT_EQ(random_texts(tokenizer, grammar, 10, 60, 10, small),
            random_texts(tokenizer, grammar, 10, 60, 1000));
}

TEST(GrammarMatcher, EndsOnlyWhereTheTextIsWhole) {
  auto tokenizer = tokenizer_from_json(parse_json_file(golden::folder() + "byte_level.json"), {}, "t");
  tokenizer.add_end(5, "test");
  auto trie = std::make_shared<const TokenTrie>(token_trie(tokenizer));
  GrammarMatcher matcher(compiled("root ::= \"a\"{1,2}"), trie);
  const int32_t a = tokenizer.token_id("a");
  ASSERT_GE(a, 0);
  std::vector<float> logits(static_cast<size_t>(tokenizer.vocab_size()) + 7, 1.0f);
  matcher.mask(logits);
  EXPECT_EQ(logits[static_cast<size_t>(a)], 1.0f);
  EXPECT_EQ(logits[5], -INFINITY);
  EXPECT_EQ(logits.back(), -INFINITY);
  EXPECT_EQ(matcher.nearest_allowed(a), a);
  EXPECT_NE(matcher.nearest_allowed(5), 5);
  EXPECT_FALSE(matcher.complete());
  matcher.accept(a);
  EXPECT_TRUE(matcher.complete());
  EXPECT_FALSE(matcher.finished());
  logits.assign(logits.size(), 1.0f);
  matcher.mask(logits);
  EXPECT_EQ(logits[5], 1.0f);
  matcher.accept(a);
  EXPECT_TRUE(matcher.finished());
  matcher.accept(5);
  EXPECT_TRUE(matcher.finished());
}

TEST(GrammarMatcher, HostileGrammarsEndInAnError) {
  auto tokenizer = tokenizer_from_json(parse_json_file(golden::folder() + "byte_level.json"), {}, "t");
  auto trie = std::make_shared<const TokenTrie>(token_trie(tokenizer));
  // Twice as many stacks with each rule.
  std::string doubling = "root ::= r0\n";
  for (int i = 0; i < 40; ++i) doubling += fmt::format("r{} ::= r{} \"a\" | r{} \"b\"\n", i, i + 1, i + 1);
  doubling += "r40 ::= \"x\"\n";
  EXPECT_EQ(message([&] { GrammarMatcher(compiled(doubling), trie).allowed(); }),
            "the grammar is too ambiguous: there are more than 20,000 ways to read the text so far");
  // A deterministic automaton of this has 2^24 states.
  std::string sets = "root ::= [a-z ]* \"a\" [a-z ]{24} \"!\"";
  GrammarMatcher matcher(compiled(sets), trie, {}, {.kept_bytes = 1 << 16});
  for (int i = 0; i < 200; ++i) {
    matcher.allowed();
    matcher.accept(tokenizer.token_id(i % 3 == 0 ? "a" : "b"));
  }
  EXPECT_FALSE(matcher.complete());
}

}  // namespace
}  // namespace longspan
