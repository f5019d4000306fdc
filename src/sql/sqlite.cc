// SQLite, read-only in five ways at once: the file is opened for reading, its own schema is not trusted
// (functions in views and defaults), the authorizer allows SELECT, reading the tables of the schema and a
// list of functions, prepared statements must be read-only, and what follows the first statement is refused.
#include <sqlite3.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "sql/database.h"
#include "sql/functions.h"

namespace longspan::sql {

namespace {

constexpr int kBusyMilliseconds = 2000, kStepsBetweenLooks = 2000;
constexpr double kSecondsOfTable = 2;  // for reading columns and samples of a table or view
constexpr size_t kShownBytes = 32;
constexpr int64_t kMostMemory = int64_t{1} << 29;

struct Connection {
  std::string file;
  sqlite3* db = nullptr;
  std::set<std::string> readable;  // tables and views by name, in lower case
  std::chrono::steady_clock::time_point end = std::chrono::steady_clock::time_point::max();
  std::function<bool()> go_on = {};
  bool late = false, running = false;

  ~Connection() { sqlite3_close(db); }
};

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

/// The database itself is at fault, whatever was asked.
[[noreturn]] void refuse_file(const Connection& c, int code) {
  switch (code & 0xFF) {
    case SQLITE_NOTADB:
      fail("{}: is not a SQLite database; --db takes the file of one, or postgresql://USER@HOST/NAME",
           c.file);
    case SQLITE_CORRUPT:
      fail("{}: the database is damaged ({}); `sqlite3 FILE .recover` saves what can still be read", c.file,
           excerpt(sqlite3_errmsg(c.db)));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      fail("{}: another program holds the lock of the database; try again when it has finished writing",
           c.file);
    default:
      fail("{}: cannot be read: {}", c.file, excerpt(sqlite3_errmsg(c.db)));
  }
}

bool file_fault(int code) {
  int kind = code & 0xFF;
  return kind == SQLITE_NOTADB || kind == SQLITE_CORRUPT || kind == SQLITE_BUSY || kind == SQLITE_LOCKED ||
         kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN;
}

int authorize(void* of, int action, const char* first, const char* second, const char*, const char*) {
  const auto& c = *static_cast<const Connection*>(of);
  switch (action) {
    case SQLITE_SELECT:
      return SQLITE_OK;
    // Of a table, or of a sub-query, which has no name and was authorized itself.
    case SQLITE_READ:
      return !first || !*first || c.readable.contains(lower(first)) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION:
      return second && sqlite_may_call(second) ? SQLITE_OK : SQLITE_DENY;
    // What FTS5 asks while a checked statement runs; a statement itself is prepared before.
    case SQLITE_PRAGMA:
      return c.running && first && std::string_view(first) == "data_version" && !second ? SQLITE_OK
                                                                                        : SQLITE_DENY;
    default:
      return SQLITE_DENY;
  }
}

int look(void* of) {
  auto& c = *static_cast<Connection*>(of);
  c.late = std::chrono::steady_clock::now() > c.end;
  return c.late || (c.go_on && !c.go_on()) ? 1 : 0;
}

/// The clock, the interrupt and the memory of one statement. SQLite counts memory for the whole process.
class Watch {
 public:
  Watch(Connection& c, double seconds, std::function<bool()> go_on)
      : c_(c), heap_(sqlite3_hard_heap_limit64(kMostMemory)) {
    c.late = false;
    c.running = true;
    c.go_on = std::move(go_on);
    c.end =
        std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                               std::chrono::duration<double>(seconds));
  }
  ~Watch() {
    c_.end = std::chrono::steady_clock::time_point::max();
    c_.go_on = nullptr;
    c_.running = false;
    sqlite3_hard_heap_limit64(heap_);
  }

 private:
  Connection& c_;
  int64_t heap_;  // the limit before, which comes back
};

/// For our own questions to the schema, before the authorizer is there.
Statement own(const Connection& c, const std::string& text) {
  sqlite3_stmt* made = nullptr;
  int code = sqlite3_prepare_v2(c.db, text.data(), static_cast<int>(text.size()), &made, nullptr);
  if (code != SQLITE_OK) refuse_file(c, code);
  return Statement(made);
}

bool next_row(const Connection& c, const Statement& statement) {
  int code = sqlite3_step(statement.get());
  if (code != SQLITE_ROW && code != SQLITE_DONE) refuse_file(c, code);
  return code == SQLITE_ROW;
}

std::string text_at(const Statement& statement, int column) {
  const unsigned char* text = sqlite3_column_text(statement.get(), column);
  return text ? std::string(reinterpret_cast<const char*>(text),
                            static_cast<size_t>(sqlite3_column_bytes(statement.get(), column)))
              : std::string();
}

void bind_text(const Statement& statement, const std::string& text) {
  sqlite3_bind_text(statement.get(), 1, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

/// Whether SQLite takes values of this type for text (its rules of affinity).
bool is_text(const std::string& type) {
  std::string word = lower(type);
  auto holds = [&](const char* part) { return word.find(part) != word.npos; };
  return !holds("int") && (holds("char") || holds("clob") || holds("text"));
}

std::vector<std::string> samples_of(const Connection& c, const std::string& table, const std::string& column,
                                    int64_t count) {
  Statement rows = own(c, fmt::format("SELECT DISTINCT {0} FROM (SELECT {0} FROM {1} LIMIT 1000) WHERE "
                                      "typeof({0}) = 'text' LIMIT {2}",
                                      quoted_name(column), quoted_name(table), count));
  std::vector<std::string> found;
  while (next_row(c, rows))
    if (std::string text = sample_text(text_at(rows, 0)); !text.empty()) found.push_back(text);
  return found;
}

Table read_table(const Connection& c, const std::string& name, int64_t samples, Schema& schema) {
  Table table{.name = name};
  Statement columns = own(c, "SELECT name, type, pk, hidden FROM pragma_table_xinfo(?1)");
  bind_text(columns, name);
  while (next_row(c, columns)) {
    Column column{.name = text_at(columns, 0), .type = text_at(columns, 1)};
    column.primary_key = sqlite3_column_int(columns.get(), 2) > 0;
    if (sqlite3_column_int(columns.get(), 3) == 1) continue;  // of a virtual table, for its module
    if (!usable_name(column.name)) {
      schema.remarks.push_back(
          fmt::format("column {} of table {} is left out: its name is longer than 100 bytes, or not UTF-8",
                      in_quotes(column.name), in_quotes(name)));
      continue;
    }
    if (samples > 0 && is_text(column.type)) column.samples = samples_of(c, name, column.name, samples);
    table.columns.push_back(std::move(column));
  }
  Statement keys =
      own(c, "SELECT \"from\", \"table\", \"to\" FROM pragma_foreign_key_list(?1) ORDER BY id, seq");
  bind_text(keys, name);
  while (next_row(c, keys)) table.relations.push_back({text_at(keys, 0), text_at(keys, 1), text_at(keys, 2)});
  return table;
}

/// A foreign key that names no column refers to the primary key.
void complete_relations(Schema& schema) {
  for (Table& table : schema.tables)
    for (Relation& relation : table.relations)
      if (const Table* other = find_table(schema, relation.other_table);
          other && relation.other_column.empty())
        for (const Column& column : other->columns)
          if (column.primary_key) relation.other_column = column.name;
}

Schema read_schema(Connection& c, int64_t samples) {
  Schema schema{.dialect = Dialect::Sqlite};
  // Where virtual tables (FTS5) keep their data. These read it, and nobody asks about it.
  std::set<std::string> shadows;
  Statement hidden = own(c, "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'");
  while (next_row(c, hidden)) shadows.insert(text_at(hidden, 0));
  Statement names = own(c, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY rowid");
  std::vector<std::string> all;
  while (next_row(c, names)) all.push_back(text_at(names, 0));
  for (const std::string& name : all) {
    c.readable.insert(lower(name));
    if (lower(name).starts_with("sqlite_") || shadows.contains(name)) continue;
    if (!usable_name(name)) {
      schema.remarks.push_back(fmt::format(
          "table {} is left out: its name is longer than 100 bytes, or not UTF-8", in_quotes(name)));
      continue;
    }
    try {
      Watch watch(c, kSecondsOfTable, nullptr);
      Table table = read_table(c, name, samples, schema);
      if (!table.columns.empty()) schema.tables.push_back(std::move(table));
    } catch (const Error&) {  // a view over a table that is gone, a module that this program does not have
      if (file_fault(sqlite3_errcode(c.db))) throw;
      schema.remarks.push_back(
          fmt::format("{} is left out: {}", in_quotes(name),
                      c.late ? fmt::format("reading it took more than {} seconds", kSecondsOfTable)
                             : excerpt(sqlite3_errmsg(c.db))));
    }
  }
  complete_relations(schema);
  return schema;
}

void close_doors(Connection& c) {
  for (int off : {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION,
                  SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, SQLITE_DBCONFIG_ENABLE_TRIGGER,
                  SQLITE_DBCONFIG_DQS_DML, SQLITE_DBCONFIG_DQS_DDL, SQLITE_DBCONFIG_WRITABLE_SCHEMA})
    sqlite3_db_config(c.db, off, 0, nullptr);
  sqlite3_db_config(c.db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  // Sorting and grouping must not fill a disk: they stay in memory, and the command bounds that.
  sqlite3_exec(c.db, "PRAGMA temp_store = MEMORY; PRAGMA query_only = ON; PRAGMA cell_size_check = ON",
               nullptr, nullptr, nullptr);
  struct Limit {
    int what, most;
  };
  for (Limit limit : {Limit{SQLITE_LIMIT_LENGTH, 1 << 26},
                      {SQLITE_LIMIT_SQL_LENGTH, 100000},
                      {SQLITE_LIMIT_EXPR_DEPTH, 200},
                      {SQLITE_LIMIT_COMPOUND_SELECT, 20},
                      {SQLITE_LIMIT_FUNCTION_ARG, 20},
                      {SQLITE_LIMIT_ATTACHED, 0},
                      {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
                      {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
                      {SQLITE_LIMIT_WORKER_THREADS, 0}})
    sqlite3_limit(c.db, limit.what, limit.most);
}

/// The statement, ready to run; or what is wrong with it.
struct Prepared {
  Statement statement;
  std::string fault;
};

Prepared prepare(Connection& c, const std::string& text, const char* before = "") {
  if (text.find('\0') != text.npos) return {nullptr, "it holds a null byte"};
  std::string whole = before + text;
  sqlite3_stmt* made = nullptr;
  const char* rest = nullptr;
  int code = sqlite3_prepare_v2(c.db, whole.c_str(), static_cast<int>(whole.size()) + 1, &made, &rest);
  Statement statement(made);
  if (file_fault(code)) refuse_file(c, code);
  if (code == SQLITE_AUTH)
    return {nullptr, fmt::format("{}; only reading is allowed", excerpt(sqlite3_errmsg(c.db)))};
  if (code != SQLITE_OK) return {nullptr, excerpt(sqlite3_errmsg(c.db), 200)};
  if (!made) return {nullptr, "it is empty"};
  if (std::string_view(rest).find_first_not_of(" \t\r\n;") != std::string_view::npos)
    return {nullptr, "more than one statement was given"};
  if (sqlite3_stmt_readonly(made) == 0 || sqlite3_column_count(made) == 0)
    return {nullptr, "it is not a statement that reads"};
  if (!*before && sqlite3_stmt_isexplain(made) != 0)
    return {nullptr, "it explains another statement; --explain does that"};
  return {std::move(statement), ""};
}

Cell cell_at(const Statement& statement, int column) {
  switch (sqlite3_column_type(statement.get(), column)) {
    case SQLITE_NULL:
      return {};
    case SQLITE_INTEGER:
      return int64_t{sqlite3_column_int64(statement.get(), column)};
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement.get(), column);
    case SQLITE_BLOB:
      break;
    default:
      return valid_utf8(text_at(statement, column));
  }
  const auto* bytes = static_cast<const unsigned char*>(sqlite3_column_blob(statement.get(), column));
  auto count = static_cast<size_t>(sqlite3_column_bytes(statement.get(), column));
  std::string out = "x'";
  for (size_t i = 0; i < std::min(count, kShownBytes); ++i) out += fmt::format("{:02x}", bytes[i]);
  return out + (count > kShownBytes ? "…'" : "'");
}

ResultTable run(Connection& c, const std::string& text, const QueryLimits& limits,
                const std::function<bool()>& go_on) {
  Prepared prepared = prepare(c, text);
  if (!prepared.statement) fail("{}: the statement is refused: {}", c.file, prepared.fault);
  sqlite3_stmt* statement = prepared.statement.get();
  Watch watch(c, limits.seconds, go_on);
  ResultTable table;
  int count = sqlite3_column_count(statement);
  for (int i = 0; i < count; ++i) {
    const char* name = sqlite3_column_name(statement, i);
    table.columns.push_back(valid_utf8(name ? name : ""));
  }
  int64_t bytes = 0;
  for (;;) {
    int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) return table;
    if (code == SQLITE_INTERRUPT && c.late)
      fail("{}: the statement took more than {} seconds and was stopped; --seconds N allows more", c.file,
           limits.seconds);
    if (code == SQLITE_INTERRUPT) fail("{}: the statement was stopped", c.file);
    if (code != SQLITE_ROW && file_fault(code)) refuse_file(c, code);
    if (code != SQLITE_ROW) fail("{}: the statement failed: {}", c.file, excerpt(sqlite3_errmsg(c.db), 200));
    table.cut = std::ssize(table.rows) >= limits.rows || bytes >= limits.bytes;
    if (table.cut) return table;
    std::vector<Cell>& row = table.rows.emplace_back();
    for (int i = 0; i < count; ++i) {
      row.push_back(cell_at(prepared.statement, i));
      bytes += static_cast<int64_t>(sizeof(Cell)) + sqlite3_column_bytes(statement, i);
    }
  }
}

std::vector<std::string> plan(Connection& c, const std::string& text) {
  Prepared whole = prepare(c, text), explained = prepare(c, text, "EXPLAIN QUERY PLAN ");
  if (!whole.statement || !explained.statement)
    fail("{}: the statement is refused: {}", c.file, whole.statement ? explained.fault : whole.fault);
  std::vector<std::string> lines;
  std::vector<int> parents = {0};  // ids, from the root to the last line
  while (next_row(c, explained.statement)) {
    int id = sqlite3_column_int(explained.statement.get(), 0);
    int parent = sqlite3_column_int(explained.statement.get(), 1);
    while (parents.size() > 1 && parents.back() != parent) parents.pop_back();
    lines.push_back(std::string(2 * (parents.size() - 1), ' ') +
                    excerpt(text_at(explained.statement, 3), 200));
    parents.push_back(id);
  }
  return lines;
}

}  // namespace

Database open_sqlite(const std::string& file, const SchemaWish& wish) {
  InputFile(file, InputFile::Pipes::Refused);  // missing, unreadable, no regular file: the usual sentences
  auto c = std::make_shared<Connection>();
  c->file = file;
  // An absolute path: SQLite gives ":memory:" and names that begin with "file:" other meanings.
  std::string path = std::filesystem::absolute(file).string();
  int code = sqlite3_open_v2(path.c_str(), &c->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_PRIVATECACHE, nullptr);
  if (code != SQLITE_OK) refuse_file(*c, code);
  sqlite3_extended_result_codes(c->db, 1);
  sqlite3_busy_timeout(c->db, kBusyMilliseconds);
  close_doors(*c);
  sqlite3_progress_handler(c->db, kStepsBetweenLooks, look, c.get());
  Database database;
  database.name = file;
  database.schema = with_tables(read_schema(*c, wish.samples), wish.tables);
  sqlite3_set_authorizer(c->db, authorize, c.get());
  database.check = [c](const std::string& text) { return prepare(*c, text).fault; };
  database.plan = [c](const std::string& text) { return plan(*c, text); };
  database.run = [c](const std::string& text, const QueryLimits& limits, const std::function<bool()>& go_on) {
    return run(*c, text, limits, go_on);
  };
  return database;
}

}  // namespace longspan::sql
