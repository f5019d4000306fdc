#include "sql/schema.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/nearest.h"
#include "base/text.h"

namespace longspan::sql {

namespace {

/// Reserved in PostgreSQL 15 and no keyword of SQLite.
constexpr std::array kPostgresReserved = {
    "any",           "array",     "asymmetric",     "authorization", "binary",       "both",
    "collation",     "column",    "concurrently",   "current_role",  "current_user", "end",
    "false",         "fetch",     "freeze",         "grant",         "ilike",        "lateral",
    "leading",       "localtime", "localtimestamp", "only",          "overlaps",     "placing",
    "session_user",  "similar",   "some",           "symmetric",     "tablesample",  "trailing",
    "true",          "user",      "variadic",       "verbose",       "analyse",      "current_catalog",
    "current_schema"};

bool same_name(std::string_view a, std::string_view b) { return lower(a) == lower(b); }

/// "book" of "books", "category" of "categories".
std::string singular(std::string_view plural) {
  if (plural.ends_with("ies")) return std::string(plural.substr(0, plural.size() - 3)) + "y";
  return std::string(plural.ends_with('s') ? plural.substr(0, plural.size() - 1) : plural);
}

/// The one column that is the primary key; null when there is none or several are.
const Column* only_key(const Table& table) {
  const Column* key = nullptr;
  for (const Column& column : table.columns)
    if (column.primary_key) {
      if (key) return nullptr;
      key = &column;
    }
  return key;
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

const Table* find_table(const Schema& schema, std::string_view name) {
  for (const Table& table : schema.tables)
    if (same_name(table.name, name)) return &table;
  return nullptr;
}

Schema with_tables(Schema schema, const std::vector<std::string>& names) {
  if (names.empty()) return schema;
  std::vector<std::string> known;
  for (const Table& table : schema.tables) known.push_back(table.name);
  for (const std::string& name : names)
    if (!find_table(schema, name))
      fail("--tables: the database has no table {}{}", in_quotes(name), meant_name(name, known));
  std::erase_if(schema.tables, [&](const Table& table) {
    return std::none_of(names.begin(), names.end(), [&](const auto& n) { return same_name(n, table.name); });
  });
  return schema;
}

std::vector<Relation> relations_of(const Schema& schema, const Table& table) {
  std::vector<Relation> found;
  for (const Relation& relation : table.relations)
    if (find_table(schema, relation.other_table)) found.push_back(relation);
  if (!table.relations.empty()) return found;
  for (const Column& column : table.columns)
    for (const Table& other : schema.tables) {
      const Column* key = only_key(other);
      if (!key || &other == &table) continue;
      bool id = same_name(key->name, "id");
      bool named = !id && same_name(column.name, key->name) && !column.primary_key;
      bool composed = id && (same_name(column.name, other.name + "_id") ||
                             same_name(column.name, singular(other.name) + "_id"));
      if (named || composed) found.push_back({column.name, other.name, key->name});
    }
  return found;
}

bool usable_name(std::string_view name) {
  constexpr size_t kMostBytes = 100;
  return !name.empty() && name.size() <= kMostBytes && valid_utf8(name) == name &&
         name.find('\0') == name.npos;
}

bool bare(std::string_view name, Dialect dialect) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  for (char c : name) {
    bool capital = c >= 'A' && c <= 'Z';
    if (capital && dialect == Dialect::Postgres) return false;
    if (!capital && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') return false;
  }
  std::string word = lower(name);
  return sqlite3_keyword_check(word.data(), static_cast<int>(word.size())) == 0 &&
         std::find(kPostgresReserved.begin(), kPostgresReserved.end(), word) == kPostgresReserved.end();
}

std::string quoted_name(std::string_view name) {
  return "\"" + replaced(std::string(name), "\"", "\"\"") + "\"";
}

std::string written_name(std::string_view name, Dialect dialect) {
  return bare(name, dialect) ? std::string(name) : quoted_name(name);
}

}  // namespace longspan::sql
