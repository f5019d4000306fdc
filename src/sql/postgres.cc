// PostgreSQL, read-only in four ways at once: the session's transactions are READ ONLY and end with ROLLBACK,
// the extended protocol takes one statement, the server stops it when its time is up, and since the server
// has no list of allowed functions, only texts of the grammar of SELECT over its schema are sent at all. A
// role that may only read is still the best fence (docs/sql.md).
#include <libpq-fe.h>

#include <cmath>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "grammar/matcher.h"
#include "sql/database.h"
#include "sql/select_grammar.h"

namespace longspan::sql {

namespace {

constexpr const char* kTooLate = "57014";  // SQLSTATE query_canceled

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, Clear>;

struct Server {
  std::string name;
  std::unique_ptr<PGconn, Finish> connection;
  std::shared_ptr<const Grammar> grammar;
};

bool good(const Result& result) {
  ExecStatusType status = PQresultStatus(result.get());
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_SINGLE_TUPLE;
}

/// The server's sentence about a result.
std::string sentence(const Server& server, const Result& result) {
  const char* primary = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY);
  return excerpt(primary ? primary : PQerrorMessage(server.connection.get()), 200);
}

/// Error when the command fails.
Result own(const Server& server, const std::string& text, const std::vector<const char*>& values = {}) {
  Result result(PQexecParams(server.connection.get(), text.c_str(), static_cast<int>(values.size()), nullptr,
                             values.data(), nullptr, nullptr, 0));
  if (!good(result)) fail("{}: cannot be read: {}", server.name, sentence(server, result));
  return result;
}

std::string text_at(const Result& result, int row, int column) {
  return {PQgetvalue(result.get(), row, column), static_cast<size_t>(PQgetlength(result.get(), row, column))};
}

/// A transaction that cannot write; it ends with the scope.
class ReadOnly {
 public:
  ReadOnly(const Server& server, double seconds) : server_(server) {
    own(server, "BEGIN TRANSACTION READ ONLY");
    auto milliseconds = static_cast<int64_t>(seconds * 1000) + 1;
    own(server, fmt::format("SET LOCAL statement_timeout = {}", milliseconds));
    own(server, fmt::format("SET LOCAL lock_timeout = {}", milliseconds));
  }
  ~ReadOnly() { Result(PQexec(server_.connection.get(), "ROLLBACK")); }

 private:
  const Server& server_;
};

void read_columns(const Server& server, Schema& schema, const std::vector<std::string>& ids) {
  for (size_t t = 0; t < ids.size(); ++t) {
    Table& table = schema.tables[t];
    Result columns =
        own(server,
            "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), EXISTS (SELECT 1 "
            "FROM pg_catalog.pg_constraint c WHERE c.conrelid = a.attrelid AND c.contype = 'p' AND "
            "a.attnum = ANY (c.conkey)) FROM pg_catalog.pg_attribute a WHERE a.attrelid = "
            "$1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            {ids[t].c_str()});
    for (int i = 0; i < PQntuples(columns.get()); ++i)
      table.columns.push_back({.name = text_at(columns, i, 0),
                               .type = text_at(columns, i, 1),
                               .primary_key = text_at(columns, i, 2) == "t"});
    Result keys =
        own(server,
            "SELECT a.attname, o.relname, b.attname FROM pg_catalog.pg_constraint c CROSS JOIN LATERAL "
            "unnest(c.conkey, c.confkey) AS k(here, there) JOIN pg_catalog.pg_class o ON o.oid = "
            "c.confrelid JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.here "
            "JOIN pg_catalog.pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = k.there WHERE "
            "c.contype = 'f' AND c.conrelid = $1::pg_catalog.oid ORDER BY c.oid, k.here",
            {ids[t].c_str()});
    for (int i = 0; i < PQntuples(keys.get()); ++i)
      table.relations.push_back({text_at(keys, i, 0), text_at(keys, i, 1), text_at(keys, i, 2)});
  }
}

void read_samples(const Server& server, Table& table, int64_t samples) {
  for (Column& column : table.columns) {
    if (!column.type.starts_with("text") && !column.type.starts_with("character")) continue;
    Result rows =
        own(server, fmt::format("SELECT DISTINCT {0} FROM (SELECT {0} FROM {1} LIMIT 1000) AS part WHERE "
                                "{0} IS NOT NULL ORDER BY {0} LIMIT {2}",
                                quoted_name(column.name), quoted_name(table.name), samples));
    for (int i = 0; i < PQntuples(rows.get()); ++i)
      if (std::string text = sample_text(text_at(rows, i, 0)); !text.empty()) column.samples.push_back(text);
  }
}

Schema read_schema(const Server& server, int64_t samples) {
  constexpr double kSeconds = 30;
  ReadOnly transaction(server, kSeconds);
  Schema schema{.dialect = Dialect::Postgres};
  // Tables that a bare name finds.
  Result tables =
      own(server,
          "SELECT c.oid, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
          "c.relnamespace WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname NOT IN "
          "('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' AND "
          "pg_catalog.pg_table_is_visible(c.oid) AND pg_catalog.has_table_privilege(c.oid, 'SELECT') "
          "ORDER BY c.oid");
  std::vector<std::string> ids;
  for (int i = 0; i < PQntuples(tables.get()); ++i) {
    ids.push_back(text_at(tables, i, 0));
    schema.tables.push_back({.name = text_at(tables, i, 1)});
  }
  read_columns(server, schema, ids);
  for (Table& table : schema.tables)
    std::erase_if(table.columns, [](const Column& column) { return !usable_name(column.name); });
  std::erase_if(schema.tables,
                [](const Table& table) { return table.columns.empty() || !usable_name(table.name); });
  if (samples > 0)
    for (Table& table : schema.tables) read_samples(server, table, samples);
  return schema;
}

/// "" when the statement may be sent.
std::string fault_of(const Server& server, const std::string& text) {
  if (text.find('\0') != text.npos) return "it holds a null byte";
  if (!grammar_accepts(server.grammar, text))
    return "it is not one of the SELECT statements that this program allows (docs/sql.md)";
  return "";
}

std::string check(const Server& server, const std::string& text) {
  if (std::string fault = fault_of(server, text); !fault.empty()) return fault;
  ReadOnly transaction(server, QueryLimits{}.seconds);
  Result prepared(PQprepare(server.connection.get(), "", text.c_str(), 0, nullptr));
  return good(prepared) ? "" : sentence(server, prepared);
}

std::vector<std::string> plan(const Server& server, const std::string& text) {
  if (std::string fault = fault_of(server, text); !fault.empty())
    fail("{}: the statement is refused: {}", server.name, fault);
  ReadOnly transaction(server, QueryLimits{}.seconds);
  Result lines(PQexecParams(server.connection.get(), ("EXPLAIN " + text).c_str(), 0, nullptr, nullptr,
                            nullptr, nullptr, 0));
  if (!good(lines)) fail("{}: the statement is refused: {}", server.name, sentence(server, lines));
  std::vector<std::string> out;
  for (int i = 0; i < PQntuples(lines.get()); ++i) out.push_back(excerpt(text_at(lines, i, 0), 200));
  return out;
}

Cell cell_at(const Result& result, int row, int column) {
  if (PQgetisnull(result.get(), row, column)) return {};
  std::string text = text_at(result, row, column);
  switch (PQftype(result.get(), column)) {  // of pg_type.h, which are fixed
    case 20:
    case 21:
    case 23:
      return int64_t{std::strtoll(text.c_str(), nullptr, 10)};
    case 700:
    case 701:
    case 1700:
      if (double value = std::strtod(text.c_str(), nullptr); std::isfinite(value)) return value;
      return text;
    default:
      return valid_utf8(text);
  }
}

/// Stops what the server is doing and takes what it still sends.
void stop(const Server& server) {
  if (PGcancel* cancel = PQgetCancel(server.connection.get())) {
    char reason[256];
    PQcancel(cancel, reason, sizeof reason);
    PQfreeCancel(cancel);
  }
  while (PGresult* more = PQgetResult(server.connection.get())) PQclear(more);
}

ResultTable run(const Server& server, const std::string& text, const QueryLimits& limits,
                const std::function<bool()>& go_on) {
  if (std::string fault = fault_of(server, text); !fault.empty())
    fail("{}: the statement is refused: {}", server.name, fault);
  ReadOnly transaction(server, limits.seconds);
  PGconn* connection = server.connection.get();
  if (PQsendQueryParams(connection, text.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 0)
    fail("{}: the statement could not be sent: {}", server.name, excerpt(PQerrorMessage(connection), 200));
  PQsetSingleRowMode(connection);  // a row at a time: a large result is never held
  ResultTable table;
  int64_t bytes = 0;
  for (Result part(PQgetResult(connection)); part; part.reset(PQgetResult(connection))) {
    if (!good(part)) {
      const char* state = PQresultErrorField(part.get(), PG_DIAG_SQLSTATE);
      bool late = state && std::string_view(state) == kTooLate;
      std::string why = sentence(server, part);
      while (PGresult* more = PQgetResult(connection)) PQclear(more);
      if (late)
        fail("{}: the statement took more than {} seconds and was stopped; --seconds N allows more",
             server.name, limits.seconds);
      fail("{}: the statement failed: {}", server.name, why);
    }
    int count = PQnfields(part.get());
    if (table.columns.empty())
      for (int i = 0; i < count; ++i) table.columns.push_back(valid_utf8(PQfname(part.get(), i)));
    for (int r = 0; r < PQntuples(part.get()) && !table.cut; ++r) {
      table.cut = std::ssize(table.rows) >= limits.rows || bytes >= limits.bytes;
      if (table.cut) break;
      std::vector<Cell>& row = table.rows.emplace_back();
      for (int i = 0; i < count; ++i) {
        row.push_back(cell_at(part, r, i));
        bytes += static_cast<int64_t>(sizeof(Cell)) + PQgetlength(part.get(), r, i);
      }
    }
    bool stopped = go_on && !go_on();
    if (table.cut || stopped) stop(server);
    if (stopped) fail("{}: the statement was stopped", server.name);
    if (table.cut) break;
  }
  return table;
}

}  // namespace

Database open_postgres(const std::string& address, const SchemaWish& wish) {
  // Whatever the address asks for, the session reads only, and strings are standard ones, as the grammar
  // says.
  std::vector<const char*> keys = {"dbname", "connect_timeout", "client_encoding", "application_name",
                                   nullptr};
  std::vector<const char*> values = {address.c_str(), "10", "UTF8", "longspan", nullptr};
  auto server = std::make_shared<Server>();
  server->connection.reset(PQconnectdbParams(keys.data(), values.data(), 1));
  PGconn* connection = server->connection.get();
  auto part = [](const char* text) { return std::string(text ? text : ""); };
  server->name =
      excerpt(fmt::format("PostgreSQL database {} of {}", part(PQdb(connection)), part(PQhost(connection))));
  if (PQstatus(connection) != CONNECTION_OK) {
    std::string why = part(PQerrorMessage(connection));  // lines; the first says what is wrong
    fail("{}: no connection: {}; the address is postgresql://USER@HOST:PORT/NAME", server->name,
         excerpt(why.substr(0, why.find('\n')), 200));
  }
  own(*server, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY");
  own(*server, "SET standard_conforming_strings = on");
  // Built-in functions and operators come before those that the owner of the database gave the same types.
  own(*server,
      "SELECT pg_catalog.set_config('search_path', 'pg_catalog, ' || "
      "pg_catalog.current_setting('search_path'), false)");
  PQsetNoticeProcessor(
      connection, [](void*, const char*) {}, nullptr);
  Database database;
  database.name = server->name;
  database.schema = with_tables(read_schema(*server, wish.samples), wish.tables);
  if (database.schema.tables.empty()) return database;
  server->grammar = select_grammar(database.schema);
  database.check = [server](const std::string& text) { return check(*server, text); };
  database.plan = [server](const std::string& text) { return plan(*server, text); };
  database.run = [server](const std::string& text, const QueryLimits& limits,
                          const std::function<bool()>& go_on) { return run(*server, text, limits, go_on); };
  return database;
}

}  // namespace longspan::sql
