#include "retrieval/database.h"

#include <sqlite3.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

namespace longspan::retrieval {

namespace {

constexpr int kBusyMilliseconds = 10000;

/// Readers of a log share a file beside it. Where none can be made, as on a read-only disk, nobody writes
/// either, and SQLite is told so, unless there is a log that is not yet in the file.
std::string reading_uri(const std::filesystem::path& file) {
  std::string path = replaced(replaced(replaced(file.string(), "%", "%25"), "?", "%3f"), "#", "%23");
  std::error_code none;
  auto log = std::filesystem::file_size(file.string() + "-wal", none);
  std::string folder = file.has_parent_path() ? file.parent_path().string() : ".";
  bool fixed = ::access(folder.c_str(), W_OK) != 0 && (none || log == 0);
  return "file:" + path + (fixed ? "?immutable=1" : "");
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

bool Statement::next() {
  int code = sqlite3_step(statement_.get());
  if (code != SQLITE_ROW && code != SQLITE_DONE) database_.refuse(code);
  if (code == SQLITE_DONE) reset();
  return code == SQLITE_ROW;
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

int64_t Statement::whole(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::string Statement::text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  return text ? std::string(reinterpret_cast<const char*>(text),
                            static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column)))
              : std::string();
}

std::span<const std::byte> Statement::bytes(int column) const {
  const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement_.get(), column));
  return {bytes, bytes ? static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column)) : 0};
}

void Statement::bind_one(int at, int64_t value) {
  if (int code = sqlite3_bind_int64(statement_.get(), at, value)) database_.refuse(code);
}

void Statement::bind_one(int at, std::string_view text) {
  // A null pointer would bind NULL.
  const char* data = text.empty() ? "" : text.data();
  if (int code = sqlite3_bind_text64(statement_.get(), at, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8))
    database_.refuse(code);
}

void Statement::bind_one(int at, std::span<const std::byte> bytes) {
  if (int code = sqlite3_bind_blob64(statement_.get(), at, bytes.data(), bytes.size(), SQLITE_TRANSIENT))
    database_.refuse(code);
}

Database::Database(const std::filesystem::path& file, Mode mode, std::string way_out)
    : file_(file), way_out_(std::move(way_out)) {
  sqlite3* opened = nullptr;
  int flags = mode == Mode::Write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                  : SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
  int code = sqlite3_open_v2(mode == Mode::Write ? file.c_str() : reading_uri(file).c_str(), &opened, flags,
                             nullptr);
  database_.reset(opened);
  if (code != SQLITE_OK) refuse(code);
  sqlite3_extended_result_codes(opened, 1);
  sqlite3_busy_timeout(opened, kBusyMilliseconds);
  for (int off : {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_TRIGGER,
                  SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, SQLITE_DBCONFIG_DQS_DML, SQLITE_DBCONFIG_DQS_DDL})
    sqlite3_db_config(opened, off, 0, nullptr);
  run("PRAGMA cell_size_check = ON");
  if (mode == Mode::Write)
    run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
}

Statement Database::prepare(std::string_view sql) const {
  sqlite3_stmt* made = nullptr;
  int code = sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &made, nullptr);
  if (code != SQLITE_OK) refuse(code);
  return {*this, made};
}

void Database::run(const char* sql) const {
  if (int code = sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr)) refuse(code);
}

int64_t Database::last_id() const { return sqlite3_last_insert_rowid(database_.get()); }

void Database::refuse(int code) const {
  std::string what = excerpt(sqlite3_errmsg(database_.get()), 200);
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      fail("{}: another program holds the lock of the database; try again when it has finished",
           file_.string());
    case SQLITE_FULL:
      fail("{}: the disk is full; what was committed before is kept, make room and go on", file_.string());
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_IOERR:
    case SQLITE_PERM:
      fail("{}: cannot be opened, read or written ({}); see to its permissions and to the disk",
           file_.string(), what);
    case SQLITE_NOMEM:
      fail("{}: there is not enough memory for the database; end other programs", file_.string());
    default:
      fail("{}: the database is damaged or another program's ({}); {}", file_.string(), what, way_out_);
  }
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.run("ROLLBACK");
  } catch (const Error&) {  // SQLite has rolled back by itself, or will when it is next opened
  }
}

void Transaction::commit() {
  database_.run("COMMIT");
  open_ = false;
}

}  // namespace longspan::retrieval
