// Reading SQLite files, and that nothing but reading is possible, whatever statement is handed in.
#include <fstream>
#include <thread>

#include "base/file.h"
#include "databases.h"
#include "sql/database.h"

namespace longspan::sql {
namespace {

using Sqlite = DatabaseTest;
const auto kAlways = [] { return true; };

TEST_F(Sqlite, SchemaSaysTablesKeysAndSamples) {
  Database db = open_database(make(kLibrary), {.samples = 2});
  ASSERT_EQ(db.schema.tables.size(), 3u);
  const Table& books = db.schema.tables[1];
  EXPECT_EQ(books.name, "books");
  ASSERT_EQ(books.columns.size(), 6u);
  EXPECT_EQ(books.columns[0].name, "id");
  EXPECT_TRUE(books.columns[0].primary_key);
  EXPECT_EQ(books.columns[4].type, "REAL");
  EXPECT_EQ(books.columns[1].samples, (std::vector<std::string>{"Tide", "Orchard"}));
  EXPECT_TRUE(books.columns[3].samples.empty());
  ASSERT_EQ(books.relations.size(), 1u);
  EXPECT_EQ(books.relations[0].column, "author_id");
  EXPECT_EQ(books.relations[0].other_table, "authors");
  EXPECT_EQ(books.relations[0].other_column, "id");
}

TEST_F(Sqlite, TablesCanBeChosen) {
  std::string file = make(kLibrary);
  EXPECT_EQ(open_database(file, {.tables = {"LOANS", "authors"}}).schema.tables.size(), 2u);
  EXPECT_EQ(error_of([&] { open_database(file, {.tables = {"author"}}); }),
            "--tables: the database has no table \"author\" (did you mean authors?)");
}

TEST_F(Sqlite, RowsComeWithTheirTypes) {
  Database db = open_database(make(kLibrary), {});
  ResultTable t = db.run("SELECT title, pages, price, cover FROM books ORDER BY id", {}, kAlways);
  EXPECT_EQ(t.columns, (std::vector<std::string>{"title", "pages", "price", "cover"}));
  ASSERT_EQ(t.rows.size(), 3u);
  EXPECT_EQ(std::get<std::string>(t.rows[0][0]), "Tide");
  EXPECT_EQ(std::get<int64_t>(t.rows[0][1]), 300);
  EXPECT_EQ(std::get<double>(t.rows[1][2]), 8.25);
  EXPECT_EQ(std::get<std::string>(t.rows[0][3]), "x'00ff'");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(t.rows[2][2]));
  EXPECT_FALSE(t.cut);
}

TEST_F(Sqlite, NothingButReadingIsPossible) {
  std::string file = make(std::string(kLibrary) +
                          "CREATE VIEW evil AS SELECT load_extension('x') AS y FROM books;"
                          "CREATE TRIGGER boom AFTER INSERT ON loans BEGIN DELETE FROM books; END;");
  std::string before = read_file(file);
  Database db = open_database(file, {});
  std::string other = (dir_ / "other.db").string();
  for (const std::string& text :
       {std::string("DROP TABLE books"),
        std::string("DELETE FROM books"),
        std::string("UPDATE books SET price = 0"),
        std::string("INSERT INTO loans VALUES (2, 'x')"),
        std::string("CREATE TABLE t (x)"),
        std::string("CREATE TEMP TABLE t AS SELECT 1"),
        std::string("ALTER TABLE books RENAME TO b"),
        std::string("PRAGMA writable_schema = ON"),
        std::string("PRAGMA table_info(books)"),
        std::string("PRAGMA query_only = OFF"),
        "ATTACH '" + other + "' AS o",
        "VACUUM INTO '" + other + "'",
        std::string("DETACH main"),
        std::string("BEGIN IMMEDIATE"),
        std::string("COMMIT"),
        std::string("REINDEX"),
        std::string("ANALYZE"),
        std::string("SELECT 1; DROP TABLE books"),
        std::string("SELECT title FROM books; SELECT 1"),
        std::string("SELECT load_extension('x')"),
        std::string("SELECT randomblob(100)"),
        std::string("SELECT y FROM evil"),
        std::string("SELECT zeroblob(100000000)"),
        std::string("SELECT sql FROM sqlite_schema"),
        std::string("SELECT * FROM pragma_database_list"),
        std::string("SELECT * FROM json_each('[1]')"),
        std::string("SELECT fts3_tokenizer('simple')"),
        std::string("SELECT sqlite_version()"),
        std::string("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"),
        std::string("EXPLAIN SELECT title FROM books"),
        std::string("EXPLAIN QUERY PLAN SELECT title FROM books"),
        std::string(""),
        std::string(";"),
        std::string("-- nothing"),
        std::string("SELECT 'a\0b'", 12),
        std::string("SELECT nothing FROM books"),
        std::string("SELECT \"no string\" FROM books")}) {
    EXPECT_NE(db.check(text), "") << text;
    EXPECT_NE(error_of([&] { db.run(text, {}, kAlways); }), "") << text;
    EXPECT_NE(error_of([&] { db.plan(text); }), "") << text;
  }
  EXPECT_EQ(db.check("DROP TABLE books"), "not authorized; only reading is allowed");
  EXPECT_EQ(db.check("SELECT 1; DROP TABLE books"), "more than one statement was given");
  EXPECT_FALSE(std::filesystem::exists(other));
  EXPECT_EQ(read_file(file), before);
  // What reads goes on as before.
  EXPECT_EQ(db.check("SELECT title FROM books;"), "");
  EXPECT_EQ(std::get<int64_t>(db.run("SELECT COUNT(*) FROM books", {}, kAlways).rows[0][0]), 3);
}

TEST_F(Sqlite, LimitsEndAStatement) {
  Database db = open_database(make(kLibrary), {});
  QueryLimits few{.rows = 2};
  ResultTable t = db.run("SELECT title FROM books", few, kAlways);
  EXPECT_EQ(t.rows.size(), 2u);
  EXPECT_TRUE(t.cut);
  few.rows = 3;
  EXPECT_FALSE(db.run("SELECT title FROM books", few, kAlways).cut);
  std::string many = "SELECT COUNT(*) FROM books a";
  for (char c = 'b'; c < 'y'; ++c) many += std::string(", books ") + c;
  auto start = std::chrono::steady_clock::now();
  EXPECT_NE(error_of([&] {
              db.run(many, {.seconds = 0.2}, kAlways);
            }).find("took more than 0.2 seconds and was stopped"),
            std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_NE(error_of([&] { db.run(many, {}, [] { return false; }); }).find("was stopped"), std::string::npos);
  // The next statement has its own time.
  EXPECT_EQ(db.run("SELECT 1", {}, kAlways).rows.size(), 1u);
}

TEST_F(Sqlite, ThePlanIsShownAsATree) {
  Database db = open_database(make(kLibrary), {});
  std::vector<std::string> plan = db.plan("SELECT title FROM books WHERE id IN (SELECT book_id FROM loans)");
  ASSERT_EQ(plan.size(), 3u);
  EXPECT_EQ(plan[0], "SEARCH books USING INTEGER PRIMARY KEY (rowid=?)");
  EXPECT_EQ(plan[1], "LIST SUBQUERY 1");
  EXPECT_EQ(plan[2], "  SCAN loans");
}

TEST_F(Sqlite, HostileNamesAreReadWhole) {
  std::string name = "a\"b]]>\n'; DROP TABLE x; --";
  std::string file = make("CREATE TABLE \"t\"\"1\" (\"" + std::string("a\"\"b]]>\n'; DROP TABLE x; --") +
                          "\" TEXT, \"<|im_end|>\" TEXT); INSERT INTO \"t\"\"1\" VALUES ('x"
                          "\x1b[31m"
                          "', 'y');"
                          "CREATE TABLE long (\"" +
                          std::string(300, 'n') + "\");");
  Database db = open_database(file, {.samples = 1});
  ASSERT_EQ(db.schema.tables.size(), 1u);
  EXPECT_EQ(db.schema.tables[0].columns[0].name, name);
  EXPECT_EQ(db.schema.tables[0].columns[0].samples, (std::vector<std::string>{"x [31m"}));
  ASSERT_EQ(db.schema.remarks.size(), 1u);
  EXPECT_NE(db.schema.remarks[0].find("longer than 100 bytes"), std::string::npos);
  EXPECT_EQ(db.run("SELECT " + quoted_name(name) + " FROM " + quoted_name("t\"1"), {}, kAlways).rows.size(),
            1u);
}

TEST_F(Sqlite, TablesOfFullTextSearchAreReadWithoutTheirShadows) {
  Database db = open_database(make("CREATE VIRTUAL TABLE notes USING fts5(title, body);"
                                   "INSERT INTO notes VALUES ('a', 'the quick fox'), ('b', 'a slow snail');"),
                              {});
  ASSERT_EQ(db.schema.tables.size(), 1u);
  EXPECT_EQ(db.schema.tables[0].columns.size(), 2u);
  ResultTable t = db.run("SELECT title FROM notes WHERE body LIKE '%fox%'", {}, kAlways);
  ASSERT_EQ(t.rows.size(), 1u);
  EXPECT_EQ(std::get<std::string>(t.rows[0][0]), "a");
  EXPECT_NE(db.check("PRAGMA data_version"), "");
  EXPECT_NE(db.check("SELECT * FROM pragma_data_version"), "");
  // FTS5 writes when it is told so in a statement that only looks like text.
  EXPECT_NE(db.check("INSERT INTO notes(notes) VALUES ('rebuild')"), "");
}

TEST_F(Sqlite, AViewWithoutEndIsLeftOut) {
  Database db = open_database(
      make(std::string(kLibrary) +
           "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
           "SELECT authors.name AS name FROM n, authors WHERE i < 0;"),
      {.samples = 1});
  EXPECT_EQ(db.schema.tables.size(), 3u);
  EXPECT_EQ(db.schema.remarks,
            (std::vector<std::string>{"\"endless\" is left out: reading it took more than 2 seconds"}));
}

TEST_F(Sqlite, FaultsAreOneSentence) {
  auto fails = [&](const std::string& file, const std::string& part) {
    std::string what = error_of([&] { open_database(file, {}); });
    EXPECT_NE(what.find(part), std::string::npos) << what;
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
  };
  fails((dir_ / "missing.db").string(), "cannot be opened: No such file or directory");
  fails(dir_.string(), "is not a regular file but a directory");
  std::ofstream(dir_ / "text.db") << std::string(5000, 'x');
  fails((dir_ / "text.db").string(), "is not a SQLite database");
  fails(make("", "empty.db"), "has no tables");
  std::string damaged = make(std::string(kLibrary) +
                                 "CREATE TABLE big (x); WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                                 "FROM n WHERE i < 2000) INSERT INTO big SELECT 'abcdefgh' || i FROM n;",
                             "damaged.db");
  std::string bytes = read_file(damaged);
  for (size_t i = 4096; i < bytes.size(); ++i) bytes[i] = '\x5a';
  std::ofstream(damaged, std::ios::binary) << bytes;
  Database db = open_database(damaged, {});
  EXPECT_NE(
      error_of([&] { db.run("SELECT COUNT(x) FROM big", {}, kAlways); }).find("the database is damaged"),
      std::string::npos);
  bytes.assign(bytes.size(), '\x5a');
  std::ofstream(damaged, std::ios::binary) << "SQLite format 3" << '\0' << bytes;
  fails(damaged, "database");
}

TEST_F(Sqlite, ALockedDatabaseIsSaidToBeLocked) {
  std::string file = make(kLibrary);
  sqlite3* writer = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &writer), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(writer, "BEGIN EXCLUSIVE", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_NE(error_of([&] { open_database(file, {}); }).find("another program holds the lock"),
            std::string::npos);
  sqlite3_close(writer);
  EXPECT_EQ(open_database(file, {}).schema.tables.size(), 3u);
}

}  // namespace
}  // namespace longspan::sql
