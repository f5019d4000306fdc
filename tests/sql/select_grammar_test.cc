// What the grammar of SELECT lets through, byte by byte.
#include "sql/select_grammar.h"

#include "base/resource.h"
#include "databases.h"
#include "sql/functions.h"

namespace longspan::sql {
namespace {

Schema library() {
  Schema s;
  s.tables.push_back({"authors", {{"id", "integer", true}, {"name"}, {"country"}}, {}});
  s.tables.push_back({"books",
                      {{"id", "integer", true}, {"title"}, {"author_id"}, {"pages"}, {"price"}},
                      {{"author_id", "authors", "id"}}});
  s.tables.push_back({"loans", {{"book_id"}, {"lent"}}, {{"book_id", "books", "id"}}});
  return s;
}

bool accepts(const Schema& schema, const std::string& text) {
  return grammar_accepts(select_grammar(schema), text);
}

const char* const kReal[] = {
    "SELECT COUNT(*) FROM books",
    "select title from books;",
    "SELECT * FROM authors",
    "SELECT DISTINCT country FROM authors ORDER BY country",
    "SELECT title, price FROM books WHERE price > 10.5 AND (pages < 300 OR pages IS NULL)",
    "SELECT title FROM books WHERE title LIKE '%tide%' AND price BETWEEN 5 AND 20",
    "SELECT title FROM books WHERE title = 'L''Orchard; DROP TABLE books'",
    "SELECT name FROM authors WHERE country IN ('Ireland', 'Poland') AND NOT name = 'x'",
    "SELECT country, COUNT(*) AS n FROM authors GROUP BY country HAVING COUNT(*) > 1 ORDER BY n DESC LIMIT 3",
    "SELECT AVG(price), MAX(pages), SUM(price * pages) FROM books",
    "SELECT title FROM books ORDER BY price DESC, title ASC LIMIT 5 OFFSET 10",
    "SELECT title FROM books WHERE price > (SELECT AVG(price) FROM books)",
    "SELECT name FROM authors WHERE id NOT IN (SELECT author_id FROM books)",
    "SELECT name FROM authors WHERE EXISTS (SELECT 1 FROM books WHERE books.author_id = authors.id)",
    "SELECT books.title, authors.name FROM books JOIN authors ON books.author_id = authors.id",
    "SELECT title, name FROM authors JOIN books ON authors.id = books.author_id WHERE country <> 'Poland'",
    "SELECT b.title, a.name FROM books AS b INNER JOIN authors a ON b.author_id = a.id ORDER BY a.name",
    "SELECT T1.name, COUNT(*) FROM authors AS T1 JOIN books AS T2 ON T1.id = T2.author_id GROUP BY T1.name",
    "SELECT authors.name, COUNT(*) FROM loans JOIN books ON loans.book_id = books.id JOIN authors ON "
    "books.author_id = "
    "authors.id GROUP BY authors.name ORDER BY COUNT(*) DESC LIMIT 1",
    "SELECT authors.name FROM authors LEFT JOIN books ON authors.id = books.author_id WHERE books.id IS NULL",
    "SELECT name FROM authors UNION SELECT title FROM books ORDER BY name",
    "SELECT CASE WHEN price > 10 THEN 'dear' ELSE 'cheap' END AS result, COUNT(*) FROM books GROUP BY result",
    "SELECT strftime('%Y', lent), COUNT(*) FROM loans GROUP BY strftime('%Y', lent)",
    "SELECT CAST(price AS INTEGER) FROM books WHERE price IS NOT NULL",
    "SELECT a.name FROM authors a, books b WHERE a.id = b.author_id AND b.pages >= 100",
    "SELECT\n  title\nFROM books\nWHERE pages - 10 > -5",
    "SELECT \"title\" FROM \"books\"",
    "SELECT COUNT(DISTINCT author_id) AS number_of_authors FROM books",
    "SELECT title || ' by ' || name FROM books JOIN authors ON author_id = authors.id"};

TEST(SelectGrammar, AcceptsRealStatements) {
  auto grammar = select_grammar(library());
  for (const char* text : kReal) EXPECT_TRUE(grammar_accepts(grammar, text)) << text;
}

const char* const kForbidden[] = {"DROP TABLE books",
                                  "INSERT INTO books VALUES (1)",
                                  "UPDATE books SET price = 0",
                                  "DELETE FROM books",
                                  "PRAGMA table_info(books)",
                                  "ATTACH 'x.db' AS x",
                                  "SELECT title FROM books; DROP TABLE books",
                                  "SELECT title FROM books;;",
                                  "SELECT title FROM books -- and more",
                                  "SELECT title FROM books /* x */",
                                  "SELECT load_extension('x') FROM books",
                                  "SELECT readfile('/etc/passwd') FROM books",
                                  "SELECT randomblob(1000000) FROM books",
                                  "SELECT title FROM sqlite_schema",
                                  "SELECT name FROM pragma_table_info('books')",
                                  "SELECT title INTO other FROM books",
                                  "SELECT title FROM books FOR UPDATE",
                                  "WITH x AS (SELECT 1) SELECT title FROM books",
                                  "SELECT titel FROM books",
                                  "SELECT title FROM book",
                                  "SELECT title FROM authors",  // the column of another table
                                  "SELECT price FROM loans JOIN authors",
                                  "SELECT title FROM",
                                  "EXPLAIN SELECT title FROM books",
                                  "VACUUM",
                                  ""};

TEST(SelectGrammar, RefusesEverythingElse) {
  auto grammar = select_grammar(library());
  for (const char* text : kForbidden) EXPECT_FALSE(grammar_accepts(grammar, text)) << text;
}

TEST(SelectGrammar, ATableAloneHasItsColumnsAndNoOthers) {
  auto grammar = select_grammar(library());
  EXPECT_FALSE(grammar_accepts(grammar, "SELECT title FROM loans WHERE lent > '2024-01-01'"));
  EXPECT_FALSE(grammar_accepts(grammar, "SELECT lent FROM loans WHERE price > 1"));
  // Where a sub-query belongs to the query around it, it may name that one's tables.
  EXPECT_TRUE(grammar_accepts(
      grammar,
      "SELECT title FROM books WHERE id IN (SELECT book_id FROM loans WHERE loans.book_id = books.id)"));
  EXPECT_FALSE(grammar_accepts(grammar, "SELECT title FROM books WHERE id IN (SELECT price FROM loans)"));
}

TEST(SelectGrammar, NamesOfEveryKindAreWrittenAsTheyMustBe) {
  std::string hostile = "a\"b]]>\n'; DROP TABLE x; --";
  Schema s;
  s.tables.push_back({"order", {{"group"}, {"Größe"}, {hostile}, {"<|im_end|>"}, {"x"}}, {}});
  auto grammar = select_grammar(s);
  EXPECT_TRUE(grammar_accepts(grammar, "SELECT \"group\" FROM \"order\""));
  EXPECT_FALSE(grammar_accepts(grammar, "SELECT group FROM order"));
  EXPECT_TRUE(grammar_accepts(grammar, "SELECT \"Größe\", \"<|im_end|>\" FROM \"order\" WHERE x = 1"));
  EXPECT_TRUE(grammar_accepts(grammar, "SELECT " + quoted_name(hostile) + " FROM \"order\""));
  EXPECT_FALSE(grammar_accepts(grammar, "SELECT \"" + hostile + "\" FROM \"order\""));
}

TEST(SelectGrammar, WordsHaveTheCasesThatPeopleWrite) {
  Schema s;
  s.tables.push_back({"Album", {{"AlbumId"}, {"title"}}, {}});
  auto grammar = select_grammar(s);
  for (const char* text : {"SELECT AlbumId FROM Album", "select albumid from album",
                           "SELECT ALBUMID FROM ALBUM", "Select title From Album Order By title"})
    EXPECT_TRUE(grammar_accepts(grammar, text)) << text;
  for (const char* text : {"SELECT albumID FROM Album", "sELECT title FROM Album", "SELECT title FROM aLBUM",
                           "SELECT MaX(title) FROM Album"})
    EXPECT_FALSE(grammar_accepts(grammar, text)) << text;
}

TEST(SelectGrammar, PostgresFoldsBareNamesAndHasItsOwnWords) {
  Schema s = library();
  s.dialect = Dialect::Postgres;
  s.tables.push_back({"Guests", {{"Name"}, {"arrived", "date"}}, {}});
  auto grammar = select_grammar(s);
  EXPECT_TRUE(grammar_accepts(grammar, "SELECT \"Name\" FROM \"Guests\" WHERE \"Name\" ILIKE '%x%'"));
  EXPECT_FALSE(grammar_accepts(grammar, "SELECT Name FROM Guests"));
  EXPECT_TRUE(
      grammar_accepts(grammar, "SELECT EXTRACT(YEAR FROM arrived), COUNT(*) FROM \"Guests\" GROUP BY 1"));
  EXPECT_FALSE(accepts(library(), "SELECT EXTRACT(YEAR FROM lent) FROM loans"));
  for (const char* text : {"SELECT pg_read_file('/etc/passwd') FROM books", "SELECT pg_sleep(10) FROM books",
                           "SELECT nextval('s') FROM books", "SELECT title FROM pg_shadow",
                           "COPY books TO PROGRAM 'id'", "SELECT title::regclass FROM books"})
    EXPECT_FALSE(grammar_accepts(grammar, text)) << text;
}

TEST(SelectGrammar, ManyTablesShareTheLooseScope) {
  Schema s;
  for (int i = 0; i < 60; ++i)
    s.tables.push_back({"table" + std::to_string(i), {{"a" + std::to_string(i)}, {"b"}}, {}});
  auto grammar = select_grammar(s);
  EXPECT_TRUE(grammar_accepts(grammar, "SELECT a59, b FROM table59"));
  EXPECT_TRUE(grammar_accepts(grammar, "SELECT x.b FROM table1 AS x JOIN table2 AS y ON x.a1 = y.a2"));
  EXPECT_FALSE(grammar_accepts(grammar, "SELECT a60 FROM table59"));
  Schema most;
  for (int i = 0; i < 40; ++i) {
    Table table{"a_table_with_name_" + std::to_string(i)};
    for (int j = 0; j < 40; ++j) table.columns.push_back({"Column" + std::to_string(i * 40 + j) + "Value"});
    most.tables.push_back(std::move(table));
  }
  EXPECT_TRUE(grammar_accepts(select_grammar(most), "SELECT Column1599Value FROM a_table_with_name_39"));
  Schema wide;
  wide.tables.push_back({"t", std::vector<Column>(5000, Column{"column"}), {}});
  EXPECT_NE(error_of([&] { select_grammar(wide); }).find("30,000 letters together, more than 24,000"),
            std::string::npos);
}

TEST(SelectGrammar, RelationsThatNamesSuggestAreJoinedToo) {
  Schema s;
  s.tables.push_back({"stations", {{"id", "integer", true}, {"name"}}, {}});
  s.tables.push_back({"readings", {{"station_id"}, {"rain"}}, {}});
  auto relations = relations_of(s, s.tables[1]);
  ASSERT_EQ(relations.size(), 1u);
  EXPECT_EQ(relations[0].other_table, "stations");
  EXPECT_TRUE(accepts(s,
                      "SELECT name, SUM(rain) FROM readings JOIN stations ON readings.station_id = "
                      "stations.id GROUP BY name"));
}

TEST(SelectGrammar, OffersOnlyFunctionsThatSqliteMayCall) {
  for (const std::string& name : functions_of(Dialect::Sqlite)) EXPECT_TRUE(sqlite_may_call(name)) << name;
  for (const char* name : {"load_extension", "readfile", "writefile", "randomblob", "zeroblob",
                           "fts3_tokenizer", "edit", "sqlite_compileoption_get", "printf", "pg_sleep", ""})
    EXPECT_FALSE(sqlite_may_call(name)) << name;
}

}  // namespace
}  // namespace longspan::sql
