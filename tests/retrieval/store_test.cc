// An index follows its files, survives what happens to it, and says in one sentence why it cannot be used.
#include "retrieval/store.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/file.h"
#include "base/random.h"
#include "retrieval/index_files.h"

namespace longspan::retrieval {
namespace {

class Index : public IndexTest {
 protected:
  /// Statements in the database, behind the store's back.
  void damage(const char* sql) const {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open((dir_ / "index" / "index.sqlite").c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  Store reading() const { return Store::read(dir_ / "index"); }
};

TEST_F(Index, ReadsOnlyWhatHasChanged) {
  Store s = store();
  fs::path a = write("a.txt", "the cat sat on the mat"), b = write("b.txt", "a king and a queen");
  IndexReport r = update(s, {a, b});
  EXPECT_EQ(r.read, 2);
  EXPECT_EQ(r.passages, 2);
  r = update(s, {a, b, dir_ / "b.txt"});
  EXPECT_EQ(r.read, 0);
  EXPECT_EQ(r.unchanged, 2);
  // A new time with the same bytes is no change.
  fs::last_write_time(a, fs::file_time_type::clock::now() + std::chrono::seconds(5));
  EXPECT_EQ(update(s, {}).unchanged, 2);
  write("b.txt", "only a prince lives here");
  r = update(s, {});
  EXPECT_EQ(r.read, 1);
  EXPECT_EQ(s.find_words("queen", 5).size(), 0u);
  EXPECT_EQ(s.find_words("prince", 5).size(), 1u);
  fs::remove(a);
  r = update(s, {});
  EXPECT_EQ(r.removed, 1);
  EXPECT_EQ(s.passage_count(), 1);
  EXPECT_EQ(s.find_words("cat", 5).size(), 0u);
  EXPECT_EQ(find(s, "cat").size(), 1u);
}

TEST_F(Index, AFileThatCannotBeReadStopsNothing) {
  Store s = store();
  fs::path a = write("a.txt", "the cat"), image = write("b.txt", "\x89PNG\r\n\x1a\n with more"),
           c = write("c.txt", "the dog"), empty = write("d.txt", "");
  IndexReport r = update(s, {a, image, dir_ / "gone.txt", empty, c});
  EXPECT_EQ(r.read, 3);
  ASSERT_EQ(r.faults.size(), 2u);
  EXPECT_NE(r.faults[0].find("PNG image"), std::string::npos) << r.faults[0];
  EXPECT_NE(r.faults[1].find("gone.txt"), std::string::npos) << r.faults[1];
  write("a.txt", "\x89PNG\r\n\x1a\n now");
  EXPECT_EQ(update(s, {}).faults.size(), 1u);
  EXPECT_EQ(s.find_words("cat", 5).size(), 1u);  // as it was
}

TEST_F(Index, StopsBetweenDocumentsAndGoesOn) {
  Store s = store();
  std::vector<fs::path> files;
  for (int i = 0; i < 6; ++i)
    files.push_back(write(std::to_string(i) + ".txt", "a cat of number " + std::to_string(i)));
  int calls = 0;
  IndexReport r = update_index(s, embedder_, files, "",
                               {[&](int64_t, int64_t) { return ++calls < 3; }, [](const std::string&) {}});
  EXPECT_FALSE(r.complete);
  EXPECT_EQ(r.read, 2);
  r = update(s, files);
  EXPECT_EQ(r.read, 4);
  EXPECT_EQ(r.unchanged, 2);
}

TEST_F(Index, ReadersReadWhileOneWrites) {
  Store s = store();
  update(s, {write("a.txt", "the cat sat")});
  Store reader = reading();
  {
    Transaction transaction(s.database());
    s.put({.path = "x"}, "", {}, {});
    EXPECT_EQ(reader.documents().size(), 1u);
    EXPECT_EQ(find(reader, "cat").size(), 1u);
    transaction.commit();
  }
  EXPECT_EQ(reader.documents().size(), 2u);
  {
    Transaction undone(s.database());
    s.put({.path = "y"}, "", {}, {});
  }
  EXPECT_EQ(reader.documents().size(), 2u);
  std::string sentence = fault([&] { store(); });
  EXPECT_NE(sentence.find("another program is writing"), std::string::npos) << sentence;
}

TEST_F(Index, AFolderThatCannotBeWrittenCanBeRead) {
  fs::path odd = dir_ / "50% of? #1";
  {
    Store s = Store::write(odd, making());
    update(s, {write("a.txt", "the cat sat")});
  }
  EXPECT_EQ(find(Store::read(odd), "cat").size(), 1u);
  fs::permissions(odd, fs::perms::owner_read | fs::perms::owner_exec);
  if (::access(odd.c_str(), W_OK) != 0) {
    EXPECT_EQ(find(Store::read(odd), "cat").size(), 1u);  // not as root, who may write everywhere
  }
  fs::permissions(odd, fs::perms::owner_all);
}

/// The child writes documents as fast as it can and is killed; nothing it committed may be lost, nothing half
/// be there.
TEST_F(Index, KilledAtAnyMomentKeepsWhatWasCommitted) {
  { store(); }
  std::vector<float> vectors(2 * static_cast<size_t>(embedder_.dimensions()), 0.5f);
  std::vector<Passage> passages(2);
  passages[0].end = 5, passages[1].begin = 5, passages[1].end = 11;
  int64_t least = 0;
  for (int trial = 0; trial < 8; ++trial) {
    int said[2];
    ASSERT_EQ(::pipe(said), 0);
    pid_t child = ::fork();
    if (child == 0) {
      Store s = store();
      for (int64_t i = least;; ++i) {
        Transaction transaction(s.database());
        s.put({.path = std::to_string(i)}, "hello world", passages, vectors);
        transaction.commit();
        if (::write(said[1], &i, sizeof i) != sizeof i) ::_exit(1);
      }
    }
    ::close(said[1]);
    int64_t committed = 0;
    for (int64_t i = 0; i <= trial; ++i)
      ASSERT_EQ(::read(said[0], &committed, sizeof committed), ssize_t{sizeof committed});
    std::this_thread::sleep_for(std::chrono::microseconds(317 * trial));
    ::kill(child, SIGKILL);
    while (::read(said[0], &committed, sizeof committed) == ssize_t{sizeof committed}) {
    }
    ::close(said[0]);
    ::waitpid(child, nullptr, 0);
    Store s = store();
    std::vector<StoredDocument> documents = s.documents();
    EXPECT_GE(std::ssize(documents), committed + 1);
    EXPECT_LE(std::ssize(documents), committed + 2);
    for (const StoredDocument& d : documents) EXPECT_EQ(d.passages, 2);
    EXPECT_EQ(std::ssize(s.find_words("world", 1000000)), std::ssize(documents));
    EXPECT_EQ(s.passage_count(), 2 * std::ssize(documents));
    least = std::ssize(documents);
  }
}

TEST_F(Index, FaultsAreOneSentenceWithAWayOut) {
  auto says = [](const std::string& sentence, const char* part) {
    EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
  };
  says(fault([&] { reading(); }), "holds no index; `longspan index");
  write("other.txt", "something");
  says(fault([&] { Store::write(dir_, making()); }), "is a folder of other files");
  {
    Store s = store();
    update(s, {write("a.txt", "the cat sat on the mat")});
    says(fault([&] { s.check_embedder("another", embedder_.dimensions()); }),
         "was made with another embedder");
    says(fault([&] { s.check_embedder(embedder_.identity(), 7); }),
         "holds vectors of 32 dimensions, the embedder gives 7");
  }
  Making other = making();
  other.identity = "another";
  says(fault([&] { Store::write(dir_ / "index", other); }), "was made with another embedder");
  other = making();
  other.cutting.tokens = 40;
  says(fault([&] { Store::write(dir_ / "index", other); }), "leave --passage-tokens");
  says(fault([&] { Store::write(dir_ / "index", making(kConversation)); }),
       "is an index of documents, not of conversation");
  damage("UPDATE vectors SET vector = x'00112233'");
  says(fault([&] { VectorIndex{reading()}; }), "has 4 bytes, 32 dimensions have 128");
  damage("DROP TABLE vectors");
  says(fault([&] { reading().passage_count(); }), "no such table: vectors");
  damage("UPDATE notes SET text = 'many' WHERE name = 'dimensions'");
  says(fault([&] {
         Store s = reading();
         VectorIndex{s};
       }),
       "no such table");
  damage("UPDATE notes SET text = '-3' WHERE name = 'dimensions'");
  says(fault([&] { reading(); }), "states no usable dimensions");
  damage("UPDATE notes SET text = 'longspan index 9' WHERE name = 'format'");
  says(fault([&] { reading(); }), "has the format \"longspan index 9\"");
  damage("DROP TABLE notes");
  says(fault([&] { reading(); }), "no such table: notes");
}

TEST_F(Index, DamagedBytesAreAnErrorOrNoHarm) {
  std::string whole;
  {
    Store s = store();
    std::string text;
    for (int i = 0; i < 200; ++i) text += "the cat number " + std::to_string(i) + " sat on a mat. ";
    update(s, {write("a.txt", text)});
    s.database().run("PRAGMA wal_checkpoint(TRUNCATE)");
    whole = read_file(dir_ / "index" / "index.sqlite");
  }
  fs::path file = dir_ / "index" / "index.sqlite";
  auto use = [&] {
    try {
      Store s = reading();
      find(s, "cat on a mat");
      s.documents();
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    }
  };
  Random random(11);
  for (int trial = 0; trial < 60; ++trial) {
    std::string bytes = whole;
    if (trial % 3 == 0)
      bytes.resize(static_cast<size_t>(random.uniform() * static_cast<double>(bytes.size())));
    for (int i = 0; i < 20 && !bytes.empty(); ++i)
      bytes[static_cast<size_t>(random.uniform() * static_cast<double>(bytes.size()))] =
          static_cast<char>(random.uniform() * 256);
    write_file_atomic(file, bytes);
    use();
  }
  write_file_atomic(file, "this is no database, but a text that somebody left there");
  EXPECT_NE(fault([&] { reading(); }).find("is damaged or another program's"), std::string::npos);
  EXPECT_NE(fault([&] { store(); }).find("delete"), std::string::npos);
}

}  // namespace
}  // namespace longspan::retrieval
