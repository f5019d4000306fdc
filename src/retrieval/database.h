// SQLite as this room uses it: statements with values, transactions, and one sentence for every fault of the
// file. The journal is a write-ahead log: readers go on while one program writes, and what was committed
// survives the death of the writer at any moment.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace longspan::retrieval {

class Database;

/// One statement; parameters are bound in their order.
class Statement {
 public:
  template <typename... Values>
  Statement& bind(const Values&... values) {
    reset();
    int at = 0;
    (bind_one(++at, values), ...);
    return *this;
  }
  /// Whether there is another row. Error as Database says.
  bool next();
  /// Runs to the end.
  void run() {
    while (next()) {
    }
  }
  int64_t whole(int column) const;
  std::string text(int column) const;
  /// Valid until the next row.
  std::span<const std::byte> bytes(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(const Database& database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}
  void reset();
  void bind_one(int at, int64_t value);
  void bind_one(int at, std::string_view text);
  void bind_one(int at, std::span<const std::byte> bytes);

  const Database& database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  enum class Mode { Read, Write };
  /// Mode::Write makes the file where there is none. `way_out`: what to do when it is damaged, the end of a
  /// sentence. Error naming the file when it cannot be opened or is no database.
  Database(const std::filesystem::path& file, Mode mode, std::string way_out);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Statement prepare(std::string_view sql) const;
  /// Statements without values.
  void run(const char* sql) const;
  int64_t last_id() const;
  const std::filesystem::path& file() const { return file_; }
  /// Throws the Error for a result of SQLite's that is no success.
  [[noreturn]] void refuse(int code) const;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::filesystem::path file_;
  std::string way_out_;
  std::unique_ptr<sqlite3, Close> database_;
};

/// Undone unless it is committed.
class Transaction {
 public:
  explicit Transaction(const Database& database) : database_(database) { database.run("BEGIN IMMEDIATE"); }
  ~Transaction();
  void commit();

 private:
  const Database& database_;
  bool open_ = true;
};

}  // namespace longspan::retrieval
