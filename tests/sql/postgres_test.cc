// PostgreSQL, against a server that the test starts in a folder of its own, where Debian's postgresql is
// installed.
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "databases.h"
#include "sql/database.h"

namespace longspan::sql {
namespace {

namespace fs = std::filesystem;
const auto kAlways = [] { return true; };

/// The folder of initdb and pg_ctl; "" when there is none.
std::string programs() {
  std::error_code ignored;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", ignored))
    if (fs::exists(version.path() / "bin" / "initdb")) return (version.path() / "bin").string();
  return "";
}

class Postgres : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    bin_ = programs();
    if (bin_.empty()) return void(why_ = "there is no /usr/lib/postgresql/VERSION/bin/initdb");
    dir_ = fs::temp_directory_path() / ("longspan-pg-" + std::to_string(::getpid()));
    fs::create_directories(dir_);
    // initdb refuses to run as root: then the server is the user postgres'.
    if (::geteuid() == 0) {
      as_ = "setpriv --reuid=postgres --regid=postgres --clear-groups ";
      if (!shell("chown postgres: " + dir_.string()))
        return void(why_ = "root, and there is no user postgres");
    }
    if (!shell(as_ + bin_ + "/initdb -D " + data() + " -A trust -U longspan --no-sync -E UTF8 --locale=C"))
      return void(why_ = "initdb failed");
    started_ = shell(as_ + bin_ + "/pg_ctl -D " + data() + " -w -o \"-F -k " + dir_.string() +
                     " -c listen_addresses=''\" -l " + dir_.string() + "/log start");
    if (!started_) return void(why_ = "pg_ctl could not start the server");
    std::string statements(kLibrary);
    statements = std::string(statements).replace(statements.find("cover BLOB"), 10, "cover BYTEA");
    for (const char* blob : {"x'00ff'"}) statements.replace(statements.find(blob), 7, "'\\x00ff'");
    for (size_t at; (at = statements.find("REAL")) != statements.npos;)
      statements.replace(at, 4, "DOUBLE PRECISION");
    statements +=
        "CREATE TABLE \"Odd Names\" (\"select\" BOOLEAN, \"a\"\"b\" NUMERIC(8, 2));"
        "INSERT INTO \"Odd Names\" VALUES (true, 1.5), (NULL, NULL);"
        "CREATE SEQUENCE counter;"
        "CREATE TABLE \"x\"\"; DROP TABLE books; --\" (\"'; COMMIT; --\" TEXT, \"/*\n\" TEXT);"
        "INSERT INTO \"x\"\"; DROP TABLE books; --\" VALUES ('a', 'b');"
        "CREATE FUNCTION wipe() RETURNS INTEGER LANGUAGE SQL AS 'DELETE FROM loans RETURNING 1';"
        "CREATE VIEW wiping AS SELECT wipe() AS gone;"
        "CREATE FUNCTION public.upper(TEXT) RETURNS TEXT LANGUAGE SQL AS 'SELECT ''ours''::text';";
    std::ofstream(dir_ / "made.sql") << statements;
    if (!shell(bin_ + "/psql -q -v ON_ERROR_STOP=1 -f " + dir_.string() + "/made.sql '" + address() + "'"))
      why_ = "psql could not make the tables";
  }
  static void TearDownTestSuite() {
    if (started_) shell(as_ + bin_ + "/pg_ctl -D " + data() + " -m immediate stop");
    std::error_code ignored;
    if (!dir_.empty()) fs::remove_all(dir_, ignored);
  }
  void SetUp() override {
    if (!why_.empty()) GTEST_SKIP() << "no PostgreSQL server: " << why_;
  }

  static bool shell(const std::string& command) {
    return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
  }
  static std::string data() { return (dir_ / "data").string(); }
  static std::string address() { return "postgresql:///postgres?user=longspan&host=" + dir_.string(); }

  static inline std::string bin_, as_, why_;
  static inline fs::path dir_;
  static inline bool started_ = false;
};

TEST_F(Postgres, SchemaSaysTablesKeysAndSamples) {
  Database db = open_database(address(), {.samples = 2});
  EXPECT_EQ(db.schema.dialect, Dialect::Postgres);
  ASSERT_EQ(db.schema.tables.size(), 6u);
  const Table* books = find_table(db.schema, "books");
  ASSERT_NE(books, nullptr);
  EXPECT_TRUE(books->columns[0].primary_key);
  EXPECT_EQ(books->columns[4].type, "double precision");
  EXPECT_EQ(books->columns[1].samples, (std::vector<std::string>{"Orchard", "Tide"}));
  ASSERT_EQ(books->relations.size(), 1u);
  EXPECT_EQ(books->relations[0].other_table, "authors");
  EXPECT_EQ(db.schema.tables[3].columns[1].name, "a\"b");
}

TEST_F(Postgres, RowsComeWithTheirTypes) {
  Database db = open_database(address(), {});
  ResultTable t = db.run("SELECT title, pages, price FROM books ORDER BY id", {}, kAlways);
  ASSERT_EQ(t.rows.size(), 3u);
  EXPECT_EQ(std::get<std::string>(t.rows[0][0]), "Tide");
  EXPECT_EQ(std::get<int64_t>(t.rows[0][1]), 300);
  EXPECT_EQ(std::get<double>(t.rows[1][2]), 8.25);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(t.rows[2][2]));
  t = db.run("SELECT \"select\", \"a\"\"b\" FROM \"Odd Names\"", {}, kAlways);
  EXPECT_EQ(std::get<std::string>(t.rows[0][0]), "t");
  EXPECT_EQ(std::get<double>(t.rows[0][1]), 1.5);
  EXPECT_FALSE(db.plan("SELECT title FROM books WHERE id = 1").empty());
}

TEST_F(Postgres, NothingButReadingIsPossible) {
  Database db = open_database(address(), {});
  std::string file = (dir_ / "written").string();
  for (const std::string& text : {std::string("DROP TABLE books"),
                                  std::string("DELETE FROM books"),
                                  std::string("SELECT title FROM books; DROP TABLE loans"),
                                  std::string("INSERT INTO loans VALUES (2, '2024-01-01')"),
                                  std::string("SELECT nextval('counter')"),
                                  std::string("SELECT title FROM books; COMMIT"),
                                  std::string("COMMIT"),
                                  std::string("SET TRANSACTION READ WRITE"),
                                  "COPY books TO '" + file + "'",
                                  "COPY books TO PROGRAM 'touch " + file + "'",
                                  "SELECT lo_export(1, '" + file + "')",
                                  std::string("SELECT pg_read_file('PG_VERSION')"),
                                  std::string("SELECT pg_terminate_backend(pg_backend_pid())"),
                                  std::string("SELECT set_config('x.y', 'z', false)"),
                                  std::string("SELECT title FROM books FOR UPDATE"),
                                  std::string("SELECT * FROM pg_shadow"),
                                  std::string("DO $$ BEGIN DELETE FROM books; END $$"),
                                  std::string("SELECT pg_sleep(60)"),
                                  std::string("EXPLAIN ANALYZE DELETE FROM books"),
                                  std::string("")}) {
    EXPECT_NE(db.check(text), "") << text;
    EXPECT_NE(error_of([&] { db.run(text, {}, kAlways); }), "") << text;
    EXPECT_NE(error_of([&] { db.plan(text); }), "") << text;
  }
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(std::get<int64_t>(db.run("SELECT COUNT(*) FROM books", {}, kAlways).rows[0][0]), 3);
  EXPECT_EQ(std::get<int64_t>(db.run("SELECT COUNT(*) FROM loans", {}, kAlways).rows[0][0]), 2);
}

TEST_F(Postgres, HostileSchemasOnlyRead) {
  Database db = open_database(address(), {.samples = 1});
  std::string table = "x\"; DROP TABLE books; --", column = "'; COMMIT; --";
  ResultTable t =
      db.run("SELECT " + quoted_name(column) + ", \"/*\n\" FROM " + quoted_name(table), {}, kAlways);
  ASSERT_EQ(t.rows.size(), 1u);
  EXPECT_EQ(std::get<std::string>(t.rows[0][1]), "b");
  EXPECT_NE(db.check("SELECT \"" + column + "\" FROM \"" + table + "\""), "");
  // A view that writes fails, and the built-in function comes before one that the schema adds.
  EXPECT_NE(error_of([&] { db.run("SELECT gone FROM wiping", {}, kAlways); }).find("read-only transaction"),
            std::string::npos);
  EXPECT_EQ(std::get<int64_t>(db.run("SELECT COUNT(*) FROM loans", {}, kAlways).rows[0][0]), 2);
  EXPECT_EQ(
      std::get<std::string>(db.run("SELECT UPPER(title) FROM books WHERE id = 1", {}, kAlways).rows[0][0]),
      "TIDE");
}

TEST_F(Postgres, TheServerRefusesWhatTheGrammarCannotSee) {
  Database db = open_database(address(), {});
  // A bare column of another table, under an alias.
  EXPECT_NE(db.check("SELECT b.country FROM books AS b").find("country"), std::string::npos);
  EXPECT_EQ(db.check("SELECT b.title FROM books AS b"), "");
}

TEST_F(Postgres, LimitsEndAStatement) {
  Database db = open_database(address(), {});
  ResultTable t = db.run("SELECT title FROM books", {.rows = 2}, kAlways);
  EXPECT_EQ(t.rows.size(), 2u);
  EXPECT_TRUE(t.cut);
  std::string many = "SELECT COUNT(*) FROM books a";
  for (char c = 'b'; c < 'g'; ++c) many += std::string(", books ") + c;
  EXPECT_EQ(std::get<int64_t>(db.run(many, {}, kAlways).rows[0][0]), 729);
  std::string slow =
      "SELECT COUNT(*) FROM books a WHERE a.id IN (SELECT b.id + c.id + d.id + e.id + f.id + g.id FROM books "
      "b, "
      "books c, books d, books e, books f, books g WHERE a.id < b.id + c.id)";
  EXPECT_NE(error_of([&] { db.run(slow, {.seconds = 0.0001}, kAlways); }).find("and was stopped"),
            std::string::npos);
  EXPECT_EQ(db.run("SELECT title FROM books", {}, kAlways).rows.size(), 3u);
}

TEST_F(Postgres, FaultsAreOneSentenceWithoutThePassword) {
  std::string what = error_of([&] { open_database("postgresql://longspan:secret@localhost:1/none", {}); });
  EXPECT_NE(what.find("no connection"), std::string::npos) << what;
  EXPECT_EQ(what.find("secret"), std::string::npos) << what;
  EXPECT_EQ(what.find('\n'), std::string::npos) << what;
}

}  // namespace
}  // namespace longspan::sql
