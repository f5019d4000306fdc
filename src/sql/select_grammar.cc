#include "sql/select_grammar.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <set>

#include "base/error.h"
#include "base/resource.h"
#include "base/text.h"
#include "sql/functions.h"

namespace longspan::sql {

namespace {

/// What keeps a grammar below the nodes that are allowed: bytes of the names of all columns; of those that
/// names of results are made of, too; and of those of all scopes of joined tables.
constexpr int64_t kMostNameBytes = 24000, kMostLabelBytes = 8000, kMostJoinedBytes = 12000;

/// Words of names that results are given.
constexpr const char* kLabelWords[] = {
    "total",   "count", "number",  "num",        "average", "avg",    "mean",       "sum",
    "minimum", "min",   "maximum", "max",        "highest", "lowest", "most",       "least",
    "first",   "last",  "of",      "per",        "by",      "n",      "amount",     "value",
    "result",  "share", "percent", "percentage", "ratio",   "rate",   "difference", "year",
    "month",   "day",   "date",    "name",       "cnt",     "all",    "different",  "distinct"};

enum class Kind { Single, Correlated, Joined, Loose };
struct Scope {
  Kind kind;
  std::vector<size_t> tables;
};

/// A word as code points.
using Symbols = std::u32string;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

Symbols symbols(std::string_view word) {
  Symbols out;
  for (size_t i = 0; i < word.size();) out += next_code_point(word, i);
  return out;
}

/// One of the words (sorted, each once) from their symbol `at` on: common beginnings are shared, so that a
/// text is read in one way and not in as many as there are words.
Expression tree(std::span<const Symbols> words, size_t at) {
  bool may_end = words.front().size() == at;
  if (may_end) words = words.subspan(1);
  std::vector<Expression> branches;
  while (!words.empty()) {
    char32_t first = words.front()[at];
    size_t same = 1;
    while (same < words.size() && words[same][at] == first) ++same;
    branches.push_back(sequence({character_class({{first, first}}), tree(words.first(same), at + 1)}));
    words = words.subspan(same);
  }
  if (branches.empty()) return sequence({});
  Expression all = choice(std::move(branches));
  return may_end ? repeat(std::move(all), 0, 1) : all;
}

Expression any_of(const std::set<Symbols>& words) {
  assert(!words.empty());
  std::vector<Symbols> sorted(words.begin(), words.end());
  return tree(sorted, 0);
}

/// Adds a word as it is and in the ways in which people write names. Were every letter free, a model that is
/// lost would write wOrD.
void add_cases(const std::string& word, std::set<Symbols>& all) {
  for (const std::string& way : {word, lower(word), upper(word)}) all.insert(symbols(way));
}

/// Words of the language: word, WORD, Word.
Expression any_of(const std::vector<std::string>& words) {
  std::set<Symbols> all;
  for (const std::string& word : words) {
    add_cases(word, all);
    all.insert(symbols(upper(word.substr(0, 1)) + lower(word.substr(1))));
  }
  return any_of(all);
}

/// Words of literals match in all their cases.
void ignore_case(Expression& e) {
  for (Expression& part : e.parts) ignore_case(part);
  bool word =
      e.kind == Expression::Kind::Literal && std::any_of(e.literal.begin(), e.literal.end(), is_letter);
  if (word) e = any_of(std::vector<std::string>{e.literal});
}

/// Of the names of the columns.
int64_t name_bytes(const Table& table) {
  int64_t bytes = 0;
  for (const Column& column : table.columns) bytes += std::ssize(column.name);
  return bytes;
}
int64_t name_bytes(const Schema& schema) {
  int64_t bytes = 0;
  for (const Table& table : schema.tables) bytes += name_bytes(table);
  return bytes;
}

class Maker {
 public:
  explicit Maker(const Schema& schema) : schema_(schema) {}

  GrammarText make() {
    choose_scopes();
    grammar_ = parse_grammar(notation(), "select.gbnf");
    for (size_t r = 0; r < grammar_.rules.size(); ++r) {
      numbers_[grammar_.rules[r].name] = r;
      ignore_case(grammar_.rules[r].body);
    }
    std::vector<const Table*> all;
    for (const Table& table : schema_.tables) {
      columns_.push_back(add(any_of(column_names({&table}))));
      all.push_back(&table);
    }
    every_column_ = add(any_of(column_names(all)));
    set("function", any_of(functions_of(schema_.dialect)));
    bool sqlite = schema_.dialect == Dialect::Sqlite;
    set("type", any_of(sqlite ? std::vector<std::string>{"integer", "real", "text", "numeric"}
                              : std::vector<std::string>{"integer", "int", "numeric", "double precision",
                                                         "real", "text", "date", "varchar"}));
    set("like", any_of(sqlite ? std::vector<std::string>{"like", "glob"}
                              : std::vector<std::string>{"like", "ilike"}));
    set("alias", aliases());
    set("label", labels());
    for (size_t s = 0; s < scopes_.size(); ++s) define(s);
    set("query", of_scopes("statement", [](Kind kind) { return kind != Kind::Correlated; }));
    set("core", of_scopes("core", [](Kind kind) { return kind != Kind::Correlated; }));
    bool correlated = std::any_of(scopes_.begin(), scopes_.end(),
                                  [](const Scope& s) { return s.kind == Kind::Correlated; });
    set("inner", of_scopes("statement", [&](Kind kind) { return kind != Kind::Single || !correlated; }));
    return std::move(grammar_);
  }

 private:
  const Table& table(size_t t) const { return schema_.tables[t]; }

  /// The shared rules, and those of a scope for each.
  std::string notation() const {
    std::string shared, scoped, rule;
    auto keep = [&] {
      (rule.find('@') != rule.npos && rule.find('@') < rule.find(' ') ? scoped : shared) += rule;
    };
    std::string_view text = resource("sql/select.gbnf");
    for (size_t at = 0; at < text.size();) {
      size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      std::string_view line = text.substr(at, end - at);
      at = end;
      if (line.starts_with('#')) continue;
      if (!line.starts_with(' ')) keep(), rule.clear();
      rule += line;
    }
    keep();
    for (size_t s = 0; s < scopes_.size(); ++s) shared += replaced(scoped, "@", fmt::format("-{}", s));
    return shared;
  }

  void choose_scopes() {
    size_t count = schema_.tables.size();
    if (std::ssize(schema_.tables) <= kMostScopedTables) {
      for (size_t t = 0; t < count; ++t) scopes_.push_back({Kind::Single, {t}});
      for (size_t t = 0; t < count && count > 1; ++t) scopes_.push_back({Kind::Correlated, {t}});
      std::set<std::vector<size_t>> pairs, triples;
      for (size_t a = 0; a < count; ++a)
        for (size_t b = a + 1; b < count; ++b)
          if (related(a, b)) pairs.insert({a, b});
      for (const auto& pair : pairs)
        for (size_t c = 0; c < count; ++c)
          if (c != pair[0] && c != pair[1] && (related(pair[0], c) || related(pair[1], c))) {
            std::vector<size_t> three = {pair[0], pair[1], c};
            std::sort(three.begin(), three.end());
            triples.insert(three);
          }
      int64_t joined = 0;
      for (const auto* sets : {&pairs, &triples})
        for (const auto& set : *sets)
          if (joined += bytes_of(set); std::ssize(scopes_) < kMostScopes && joined <= kMostJoinedBytes)
            scopes_.push_back({Kind::Joined, set});
    }
    Scope loose{Kind::Loose, {}};
    for (size_t t = 0; t < count; ++t) loose.tables.push_back(t);
    scopes_.push_back(std::move(loose));
  }

  int64_t bytes_of(const std::vector<size_t>& tables) const {
    int64_t bytes = 0;
    for (size_t t : tables) bytes += name_bytes(table(t));
    return bytes;
  }

  /// Pairs of columns, of a and of b, by which the two tables are joined.
  std::vector<std::pair<std::string, std::string>> joints(size_t a, size_t b) const {
    std::vector<std::pair<std::string, std::string>> found;
    for (const Relation& r : relations_of(schema_, table(a)))
      if (find_table(schema_, r.other_table) == &table(b)) found.emplace_back(r.column, r.other_column);
    for (const Relation& r : relations_of(schema_, table(b)))
      if (find_table(schema_, r.other_table) == &table(a)) found.emplace_back(r.other_column, r.column);
    return found;
  }
  bool related(size_t a, size_t b) const { return !joints(a, b).empty(); }

  /// The ways to write a name.
  std::set<Symbols> written(const std::string& name) const {
    std::set<Symbols> ways = {symbols(quoted_name(name))};
    if (bare(name, schema_.dialect)) add_cases(name, ways);
    return ways;
  }
  Expression name(const std::string& one) const { return any_of(written(one)); }
  std::set<Symbols> column_names(const std::vector<const Table*>& tables) const {
    std::set<Symbols> names;
    for (const Table* t : tables)
      for (const Column& column : t->columns) names.merge(written(column.name));
    return names;
  }

  size_t add(Expression body) {
    grammar_.rules.push_back(
        {fmt::format("names-{}", grammar_.rules.size()), std::move(body), "select.gbnf"});
    return grammar_.rules.size() - 1;
  }
  void set(const std::string& rule, Expression body) {
    grammar_.rules[numbers_.at(rule)].body = std::move(body);
  }
  Expression rule(const std::string& of) const { return rule_reference(numbers_.at(of)); }
  Expression word(const std::string& text) const { return any_of(std::vector<std::string>{text}); }

  template <typename Filter>
  Expression of_scopes(const std::string& of, const Filter& wanted) const {
    std::vector<Expression> all;
    for (size_t s = 0; s < scopes_.size(); ++s)
      if (wanted(scopes_[s].kind)) all.push_back(rule(fmt::format("{}-{}", of, s)));
    return choice(std::move(all));
  }

  /// A letter, with or without a digit, and the initials of names of several words: oi for order_items.
  Expression aliases() const {
    std::vector<Expression> all = {
        sequence({character_class({{'a', 'z'}, {'A', 'Z'}}), repeat(character_class({{'1', '9'}}), 0, 1)})};
    for (const Table& table : schema_.tables) {
      std::string initials;
      for (size_t i = 0; i < table.name.size(); ++i)
        if (is_letter(table.name[i]) && (i == 0 || table.name[i - 1] == '_')) initials += table.name[i];
      if (initials.size() > 1 && initials.size() < 5 && bare(initials, Dialect::Sqlite))
        all.push_back(word(initials));
    }
    return choice(std::move(all));
  }

  Expression labels() const {
    std::set<Symbols> words;
    for (const char* word : kLabelWords) add_cases(word, words);
    auto add_parts = [&](const std::string& name) {
      if (!bare(name, Dialect::Sqlite)) return;
      add_cases(name, words);
      for (size_t at = 0; at <= name.size();) {
        size_t end = std::min(name.find('_', at), name.size());
        if (end > at) add_cases(name.substr(at, end - at), words);
        at = end + 1;
      }
    };
    bool few = name_bytes(schema_) <= kMostLabelBytes;
    for (const Table& table : schema_.tables) {
      if (few) add_parts(table.name);
      for (const Column& column : table.columns)
        if (few) add_parts(column.name);
    }
    Expression one = any_of(words);
    Expression more = repeat(sequence({literal("_"), one}), 0, 3);
    return sequence({std::move(one), std::move(more)});
  }

  void define(size_t s) {
    const Scope& scope = scopes_[s];
    std::string end = fmt::format("-{}", s);
    set("name" + end, names_of(scope));
    set("from" + end, scope.kind == Kind::Loose ? loose_sources(end) : sources(scope.tables, {}));
    set("star" + end, stars_of(scope));
    // EXTRACT(YEAR FROM x) is PostgreSQL's.
    if (schema_.dialect == Dialect::Sqlite)
      std::erase_if(grammar_.rules[numbers_.at("call" + end)].body.parts, [&](const Expression& e) {
        return e.kind == Expression::Kind::Rule && e.rule == numbers_.at("extract" + end);
      });
  }

  Expression names_of(const Scope& scope) const {
    std::vector<Expression> all;
    if (scope.kind == Kind::Loose) {
      all.push_back(rule_reference(every_column_));
      all.push_back(sequence({rule("alias"), literal("."), rule_reference(every_column_)}));
    } else if (scope.tables.size() == 1) {
      all.push_back(rule_reference(columns_[scope.tables[0]]));
    } else {
      std::map<Symbols, int> counts;
      for (size_t t : scope.tables)
        for (const Symbols& way : column_names({&table(t)})) ++counts[way];
      std::set<Symbols> plain;  // those that one table of the scope has, and no other
      for (const auto& [way, count] : counts)
        if (count == 1) plain.insert(way);
      if (!plain.empty()) all.push_back(any_of(plain));
    }
    for (size_t t = 0; t < schema_.tables.size(); ++t)
      if (scope.kind == Kind::Correlated || std::count(scope.tables.begin(), scope.tables.end(), t) > 0)
        all.push_back(sequence({name(table(t).name), literal("."), rule_reference(columns_[t])}));
    return choice(std::move(all));
  }

  Expression stars_of(const Scope& scope) const {
    std::vector<Expression> all;
    for (size_t t : scope.tables) all.push_back(sequence({name(table(t).name), literal(".*")}));
    if (scope.kind == Kind::Loose) all.push_back(sequence({rule("alias"), literal(".*")}));
    return choice(std::move(all));
  }

  /// What follows FROM, in every order in which each table is related to one before it.
  Expression sources(const std::vector<size_t>& tables, const std::vector<size_t>& placed) const {
    std::vector<Expression> ways;
    for (size_t t : tables) {
      if (std::count(placed.begin(), placed.end(), t) > 0) continue;
      std::vector<Expression> parts;
      if (!placed.empty()) {
        std::vector<Expression> equal = equalities(t, placed);
        if (equal.empty()) continue;
        Expression one = choice(std::move(equal));
        Expression more = repeat(sequence({rule("gap"), word("and"), rule("gap"), one}), 0, 2);
        parts = {rule("join"), name(table(t).name), rule("gap"),    word("on"),
                 rule("gap"),  std::move(one),      std::move(more)};
      } else {
        parts = {name(table(t).name)};
      }
      std::vector<size_t> next = placed;
      next.push_back(t);
      if (next.size() < tables.size()) parts.push_back(sources(tables, next));
      ways.push_back(sequence(std::move(parts)));
    }
    assert(!ways.empty());
    return choice(std::move(ways));
  }

  std::vector<Expression> equalities(size_t t, const std::vector<size_t>& placed) const {
    std::vector<Expression> all;
    for (size_t other : placed)
      for (const auto& [here, there] : joints(t, other)) {
        Expression a = sequence({name(table(t).name), literal("."), name(here)});
        Expression b = sequence({name(table(other).name), literal("."), name(there)});
        Expression equal = sequence({rule("o"), literal("="), rule("o")});
        all.push_back(sequence({a, equal, b}));
        all.push_back(sequence({std::move(b), std::move(equal), std::move(a)}));
      }
    return all;
  }

  /// Any tables with aliases and any joins; where there are other scopes, not one table alone.
  Expression loose_sources(const std::string& end) const {
    std::set<Symbols> names;
    for (const Table& table : schema_.tables) names.merge(written(table.name));
    Expression gap = rule("gap"), table = any_of(names);
    Expression renamed = sequence({gap, repeat(sequence({word("as"), gap}), 0, 1), rule("alias")});
    Expression source = sequence({table, repeat(renamed, 0, 1)});
    Expression step = choice({sequence({rule("join"), source, gap, word("on"), gap, rule("condition" + end)}),
                              sequence({gap, word("cross"), gap, word("join"), gap, source}),
                              sequence({rule("o"), literal(","), rule("o"), source})});
    constexpr int64_t kMostJoins = 5;
    if (scopes_.size() == 1) return sequence({source, repeat(step, 0, kMostJoins)});
    return choice({sequence({table, renamed, repeat(step, 0, kMostJoins)}),
                   sequence({table, repeat(step, 1, kMostJoins)})});
  }

  const Schema& schema_;
  std::vector<Scope> scopes_;
  GrammarText grammar_;
  std::map<std::string, size_t> numbers_;
  std::vector<size_t> columns_;  // rules: the names of a table's columns
  size_t every_column_ = 0;      // the rule of the names of all columns
};

}  // namespace

GrammarText select_grammar_text(const Schema& schema) {
  if (int64_t bytes = name_bytes(schema); bytes > kMostNameBytes)
    fail(
        "the names of the schema's columns have {} letters together, more than {}; name the tables that "
        "matter: "
        "--tables NAME,NAME",
        grouped(bytes), grouped(kMostNameBytes));
  return Maker(schema).make();
}

std::shared_ptr<const Grammar> select_grammar(const Schema& schema) {
  return std::make_shared<const Grammar>(compile_grammar(select_grammar_text(schema)));
}

bool grammar_accepts(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  GrammarStates states(grammar);
  int32_t state = states.start();
  for (char c : text) {
    state = states.step(states.within_limits(state), static_cast<uint8_t>(c));
    if (state == GrammarStates::kDead) return false;
  }
  return states.complete(state);
}

}  // namespace longspan::sql
