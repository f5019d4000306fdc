// sql: what a question about a database prints, and what it refuses.
#include <sqlite3.h>

#include "program.h"

namespace longspan {
namespace {

/// The tiny model has no capitals, brackets or signs: statements of its letters are all that it can write.
class SqlProgram : public ProgramTest {
 protected:
  std::string database() {
    std::string path = (dir_ / "test.db").string();
    if (fs::exists(path)) return path;
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(
        sqlite3_exec(
            db,
            "CREATE TABLE cats (a INTEGER, b TEXT); INSERT INTO cats VALUES (1, 'x'), (20, 'y'), (3, 'z');",
            nullptr, nullptr, nullptr),
        SQLITE_OK);
    sqlite3_close(db);
    return path;
  }
  Outcome ask(std::vector<std::string> more, const std::string& tries = "20",
              const std::string& tokens = "300") {
    std::vector<std::string> arguments = {"sql", tiny_model(1024), "--db",    database(),
                                          "-n",  tokens,           "--tries", tries};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
};

TEST_F(SqlProgram, AnyModelWritesAStatementThatRuns) {
  Outcome made = ask({"how many cats are there?", "--json"});
  ASSERT_EQ(made.status, 0) << made.err;
  Json answer = made.json();
  std::string statement = answer["statement"];
  EXPECT_EQ(statement.find_first_not_of("abcdefghijklmnopqrstuvwxyzRTQ0123456789., \n"), std::string::npos)
      << statement;
  EXPECT_NE(statement.find("cats"), std::string::npos);
  EXPECT_EQ(answer["columns"].size(),
            answer["rows"].empty() ? answer["columns"].size() : answer["rows"][0].size());
  EXPECT_FALSE(answer["cut"].get<bool>());

  Outcome shown = ask({"how many cats are there?"});
  ASSERT_EQ(shown.status, 0) << shown.err;
  EXPECT_TRUE(shown.out.starts_with(statement + ";\n\n")) << shown.out;

  Outcome planned = ask({"how many cats are there?", "--json", "--explain"});
  ASSERT_EQ(planned.status, 0) << planned.err;
  EXPECT_EQ(planned.json()["statement"], statement);
  EXPECT_NE(planned.json()["plan"].dump().find("SCAN"), std::string::npos) << planned.out;
  EXPECT_FALSE(planned.json().contains("rows"));

  Outcome dry = ask({"how many cats are there?", "--json", "--dry-run"});
  ASSERT_EQ(dry.status, 0) << dry.err;
  EXPECT_FALSE(dry.json().contains("rows"));
}

TEST_F(SqlProgram, ThePromptIsShown) {
  // No model is opened for that.
  Outcome shown =
      run({"sql", "/nowhere", "how many cats?", "--db", database(), "--show-prompt", "--samples", "2"});
  ASSERT_EQ(shown.status, 0) << shown.err;
  EXPECT_EQ(shown.out,
            "Tables of a SQLite database:\ncats(a integer, b text (such as \"x\", \"y\"))\nWrite one SELECT "
            "statement that answers the question.\nQuestion: how many cats?\n");
}

TEST_F(SqlProgram, AQuestionMayFollowTheTables) {
  Outcome shown =
      run({"sql", "/nowhere", "--db", database(), "--show-prompt", "--tables", "cats", "how many cats?"});
  EXPECT_EQ(shown.status, 0) << shown.err;
  EXPECT_TRUE(shown.out.ends_with("Question: how many cats?\n")) << shown.out;
}

TEST_F(SqlProgram, WithoutTheGrammarAModelMustKnowItself) {
  Outcome made = ask({"drop it all?", "--free"}, "2", "8");
  EXPECT_EQ(made.status, 1);
  EXPECT_TRUE(made.one_sentence()) << made.err;
  EXPECT_NE(made.err.find("the model wrote no statement that the database accepts (2 tried)"),
            std::string::npos)
      << made.err;
}

TEST_F(SqlProgram, FaultsAreOneSentenceBeforeTheModelIsOpened) {
  auto fails = [&](std::vector<std::string> arguments, const std::string& sentence, int status = 1) {
    arguments.insert(arguments.begin(), {"sql", "/nowhere"});
    Outcome made = run(arguments);
    EXPECT_EQ(made.status, status);
    EXPECT_TRUE(made.one_sentence()) << made.err;
    EXPECT_NE(made.err.find(sentence), std::string::npos) << made.err;
  };
  fails({"how many?", "--db", (dir_ / "missing.db").string()}, "missing.db: cannot be opened");
  fails({"how many?", "--db", write("text.db", std::string(2000, 'x'))}, "is not a SQLite database");
  fails({"how many?", "--db", database(), "--tables", "dogs"}, "the database has no table \"dogs\"");
  fails({"", "--db", database()}, "a question is empty");
  fails({"how many?"}, "--db", 2);
  fails({"--db", "x"}, "QUESTION", 2);
  fails({"how many?", "--db", "x", "--prompt", "nice"}, "aquila", 2);
}

}  // namespace
}  // namespace longspan
