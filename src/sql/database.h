// A database that can only be read. Whatever statement comes in: one statement, a SELECT, calling only the
// functions of functions.h, for a bounded time, giving a bounded number of rows. A database is a table of
// functions, one set for each system (sqlite.cc, postgres.cc).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "sql/schema.h"

namespace longspan::sql {

struct QueryLimits {
  double seconds = 5;
  int64_t rows = 100;
  int64_t bytes = int64_t{1} << 24;  // of all cells together
};

/// Null, a whole number, a number, or a text; bytes are written as x'00ff', cut after 32 of them.
using Cell = std::variant<std::monostate, int64_t, double, std::string>;

struct ResultTable {
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
  bool cut = false;  // a limit ended it; there is more
};

struct Database {
  std::string name;  // for messages; without a password
  Schema schema;
  /// What the database has against the statement; "" when it would run. Nothing is run.
  std::function<std::string(const std::string& statement)> check;
  /// How the statement would be run, a line a step. Error when it would not.
  std::function<std::vector<std::string>(const std::string& statement)> plan;
  /// Error when the statement is not one that reads, when the database refuses it, or when its time is up.
  /// `go_on` is asked now and then; false stops the statement with an Error.
  std::function<ResultTable(const std::string& statement, const QueryLimits& limits,
                            const std::function<bool()>& go_on)>
      run;
};

/// What to read of the schema.
struct SchemaWish {
  int64_t samples = 0;                   // values of each text column
  std::vector<std::string> tables = {};  // these only; empty: all
};

/// `name`: the file of a SQLite database, or postgresql://USER@HOST/NAME. Error when it cannot be opened or
/// read, or has no tables, or not those that are wished for.
Database open_database(const std::string& name, const SchemaWish& wish);

// One for each system; open_database chooses.
Database open_sqlite(const std::string& file, const SchemaWish& wish);
Database open_postgres(const std::string& address, const SchemaWish& wish);

/// A value as a prompt shows it: controls and repeated blanks become one blank, 40 characters stay.
std::string sample_text(const std::string& value);

}  // namespace longspan::sql
