#include "sql/functions.h"

#include <algorithm>

namespace longspan::sql {

namespace {

enum In { kBoth, kSqlite, kPostgres };
struct Function {
  const char* name;
  In in;
};

constexpr Function kFunctions[] = {{"count", kBoth},
                                   {"sum", kBoth},
                                   {"avg", kBoth},
                                   {"min", kBoth},
                                   {"max", kBoth},
                                   {"abs", kBoth},
                                   {"round", kBoth},
                                   {"length", kBoth},
                                   {"upper", kBoth},
                                   {"lower", kBoth},
                                   {"trim", kBoth},
                                   {"ltrim", kBoth},
                                   {"rtrim", kBoth},
                                   {"replace", kBoth},
                                   {"substr", kBoth},
                                   {"coalesce", kBoth},
                                   {"nullif", kBoth},
                                   {"total", kSqlite},
                                   {"group_concat", kSqlite},
                                   {"ifnull", kSqlite},
                                   {"iif", kSqlite},
                                   {"instr", kSqlite},
                                   {"substring", kBoth},
                                   {"sign", kBoth},
                                   {"date", kSqlite},
                                   {"time", kSqlite},
                                   {"datetime", kSqlite},
                                   {"julianday", kSqlite},
                                   {"strftime", kSqlite},
                                   {"unixepoch", kSqlite},
                                   {"typeof", kSqlite},
                                   {"hex", kSqlite},
                                   {"string_agg", kPostgres},
                                   {"date_part", kPostgres},
                                   {"date_trunc", kPostgres},
                                   {"to_char", kPostgres},
                                   {"age", kPostgres},
                                   {"greatest", kPostgres},
                                   {"least", kPostgres},
                                   {"char_length", kPostgres},
                                   {"floor", kBoth},
                                   {"ceil", kBoth},
                                   {"power", kBoth},
                                   {"sqrt", kBoth}};

/// What SQLite calls for LIKE, GLOB, current_date and the like.
constexpr const char* kOperators[] = {"like", "glob", "current_date", "current_time", "current_timestamp"};

}  // namespace

std::vector<std::string> functions_of(Dialect dialect) {
  std::vector<std::string> names;
  for (const Function& f : kFunctions)
    if (f.in == kBoth || (f.in == kSqlite) == (dialect == Dialect::Sqlite)) names.emplace_back(f.name);
  return names;
}

bool sqlite_may_call(std::string_view name) {
  std::string word = lower(name);
  for (const Function& f : kFunctions)
    if (f.in != kPostgres && word == f.name) return true;
  return std::find(std::begin(kOperators), std::end(kOperators), word) != std::end(kOperators);
}

}  // namespace longspan::sql
