// Databases for tests: SQLite files made from statements, and the sentence of an Error.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/error_text.h"

namespace longspan::sql {

inline const char* const kLibrary =
    "CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT, country TEXT);"
    "CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, author_id INTEGER REFERENCES authors(id), pages "
    "INTEGER,"
    " price REAL, cover BLOB);"
    "CREATE TABLE loans (book_id INTEGER REFERENCES books(id), lent DATE);"
    "INSERT INTO authors VALUES (1, 'Maeve Tallis', 'Ireland'), (2, 'Piotr Wand', 'Poland');"
    "INSERT INTO books VALUES (1, 'Tide', 1, 300, 12.5, x'00ff'), (2, 'Orchard', 1, 120, 8.25, NULL),"
    " (3, 'Winter', 2, 450, NULL, NULL);"
    "INSERT INTO loans VALUES (1, '2024-01-02'), (1, '2024-03-04');";

/// A folder of the test's own.
class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = std::filesystem::temp_directory_path() /
           ("longspan-sql-" + std::to_string(::getpid()) + "-" + info->name());
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string make(const std::string& statements, const std::string& name = "test.db") {
    std::string path = (dir_ / name).string();
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
    char* fault = nullptr;
    EXPECT_EQ(sqlite3_exec(db, statements.c_str(), nullptr, nullptr, &fault), SQLITE_OK) << fault;
    sqlite3_free(fault);
    sqlite3_close(db);
    return path;
  }

  std::filesystem::path dir_;
};

}  // namespace longspan::sql
