// What a database holds, as far as a question needs it: tables, columns, keys, a few values. Names come from
// outside and may be anything; this file says how each is written in a statement.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longspan::sql {

enum class Dialect { Sqlite, Postgres };

struct Column {
  std::string name;
  std::string type = {};  // as the database declares it; "": none
  bool primary_key = false;
  std::vector<std::string> samples = {};  // values that occur, of text columns
};

/// `column` of the table that holds it refers to `other_column` of `other_table`.
struct Relation {
  std::string column, other_table, other_column;
};

struct Table {
  std::string name;
  std::vector<Column> columns = {};
  std::vector<Relation> relations = {};  // foreign keys, a row for each column of one
};

struct Schema {
  Dialect dialect = Dialect::Sqlite;
  std::vector<Table> tables = {};
  std::vector<std::string> remarks = {};  // sentences about what was left out
};

/// ASCII letters in lower case: names of tables, columns and functions are the same in either case.
std::string lower(std::string_view text);

/// Null when there is none of that name.
const Table* find_table(const Schema& schema, std::string_view name);

/// The tables with these names, in the order of the schema; all where none is named. Error naming one that
/// does not exist.
Schema with_tables(Schema schema, const std::vector<std::string>& names);

/// The relations of the table, and where it declares none those that names suggest: a column that is called
/// like another table's only primary key (unless that is "id"), or TABLE_id beside a table TABLE or TABLEs
/// with the primary key "id".
std::vector<Relation> relations_of(const Schema& schema, const Table& table);

/// Whether a statement can be asked to use the name: UTF-8 without null bytes, at most 100 bytes.
bool usable_name(std::string_view name);

/// Whether the name means the same with and without quotes: letters, digits and _, no keyword, for PostgreSQL
/// no capitals.
bool bare(std::string_view name, Dialect dialect);
/// In double quotes, those inside doubled.
std::string quoted_name(std::string_view name);
/// As a statement writes it: bare where that is enough.
std::string written_name(std::string_view name, Dialect dialect);

}  // namespace longspan::sql
