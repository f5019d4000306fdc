#include "retrieval/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "retrieval/words.h"

namespace longspan::retrieval {

namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "index.sqlite";
constexpr const char* kLock = "lock";
constexpr const char* kFormat = "longspan index 1";

/// The words of a passage lie in `words` only as an index: the text itself is in `passages`.
constexpr const char* kSchema = R"(
  CREATE TABLE notes(name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE documents(id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, digest TEXT NOT NULL,
    size INTEGER NOT NULL, modified INTEGER NOT NULL);
  CREATE TABLE passages(id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, line INTEGER NOT NULL, last_line INTEGER NOT NULL, page INTEGER NOT NULL,
    chapter INTEGER NOT NULL, text TEXT NOT NULL);
  CREATE INDEX passages_of_document ON passages(document);
  CREATE TABLE vectors(passage INTEGER PRIMARY KEY, vector BLOB NOT NULL);
  CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='porter unicode61 remove_diacritics 2');
  CREATE TABLE turns(number INTEGER PRIMARY KEY, question TEXT NOT NULL, answer TEXT NOT NULL);
)";

constexpr const char* kPassage =
    "SELECT p.id, p.document, d.path, p.first, p.last, p.line, p.last_line, p.page, p.chapter, p.text "
    "FROM passages p JOIN documents d ON d.id = p.document ";

std::unique_ptr<Database> open(const fs::path& directory, Database::Mode mode) {
  return std::make_unique<Database>(
      directory / kFile, mode,
      fmt::format("delete {} and make it again, or save what `sqlite3 FILE .recover` still reads",
                  directory.string()));
}

/// What a writer that was killed at its very beginning may have left is no other program's.
bool is_ours(const fs::path& file) {
  std::string name = file.filename().string();
  return name == kLock || name.starts_with(kFile) || name.starts_with("graph.faiss");
}

StoredPassage passage_of(const Statement& row) {
  return {row.whole(0), row.whole(1), row.text(2),  row.whole(3), row.whole(4),
          row.whole(5), row.whole(6), row.whole(7), row.whole(8), row.text(9)};
}

std::string described(const Making& m) {
  return fmt::format("{}{}{}", m.embedder, m.task.empty() ? "" : " --task " + m.task,
                     m.pooling.empty() ? "" : " --pooling " + m.pooling);
}

}  // namespace

Store::Store(Store&& other) noexcept
    : directory_(std::move(other.directory_)),
      lock_(std::exchange(other.lock_, -1)),
      database_(std::move(other.database_)),
      making_(std::move(other.making_)) {}

Store::~Store() {
  database_.reset();
  if (lock_ >= 0) ::close(lock_);
}

bool Store::exists(const fs::path& directory) {
  std::error_code ignored;
  return fs::is_regular_file(directory / kFile, ignored);
}

Store Store::read(const fs::path& directory) {
  if (!exists(directory))
    fail("{}: holds no index; `longspan index {} FILES...` makes one", directory.string(),
         directory.string());
  Store store;
  store.directory_ = directory;
  store.database_ = open(directory, Database::Mode::Read);
  store.read_making();
  return store;
}

Store Store::write(const fs::path& directory, const Making& making) {
  std::error_code error;
  if (!exists(directory) && fs::exists(directory, error))
    for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error))
      if (!is_ours(at->path()))
        fail("{}: is a folder of other files; name a new one for the index, and these files behind it",
             directory.string());
  if (!error) fs::create_directories(directory, error);
  if (error) fail("{}: cannot be made or read: {}", directory.string(), error.message());
  Store store;
  store.directory_ = directory;
  store.take_lock();
  store.database_ = open(directory, Database::Mode::Write);
  store.make(making);
  store.read_making();
  store.check_making(making);
  if (store.making_.embedder != making.embedder) store.set_note("embedder", making.embedder);  // it has moved
  return store;
}

void Store::take_lock() {
  fs::path file = directory_ / kLock;
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) fail("{}: cannot be written: {}", file.string(), std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) == 0) return;
  if (errno == EWOULDBLOCK)
    fail("{}: another program is writing there; wait until it has finished, or use another directory",
         directory_.string());
  fail("{}: cannot be locked: {}", file.string(), std::strerror(errno));
}

std::optional<Making> Store::making_in(const fs::path& directory) {
  if (!exists(directory)) return {};
  Store store;
  store.directory_ = directory;
  store.database_ = open(directory, Database::Mode::Read);
  if (store.is_empty()) return {};
  store.read_making();
  return store.making_;
}

/// As a writer leaves it that is killed before its first commit.
bool Store::is_empty() const {
  Statement tables = database_->prepare("SELECT count(*) FROM sqlite_schema");
  tables.next();
  return tables.whole(0) == 0;
}

void Store::make(const Making& making) {
  if (!is_empty()) return;
  Transaction transaction(*database_);
  database_->run(kSchema);
  for (const auto& [name, text] : {std::pair<const char*, std::string>{"format", kFormat},
                                   {"kind", making.kind},
                                   {"embedder", making.embedder},
                                   {"identity", making.identity},
                                   {"task", making.task},
                                   {"pooling", making.pooling},
                                   {"dimensions", std::to_string(making.dimensions)},
                                   {"passage_tokens", std::to_string(making.cutting.tokens)},
                                   {"overlap", std::to_string(making.cutting.overlap)}})
    set_note(name, text);
  transaction.commit();
}

void Store::read_making() {
  if (is_empty())
    fail("{}: is an index that was never finished; the command that made it goes on with it",
         directory_.string());
  if (std::string format = note("format"); format != kFormat)
    fail("{}: has the format {}, this program reads {}; delete the directory and make it again",
         database_->file().string(), in_quotes(format), in_quotes(kFormat));
  auto number = [&](const char* name) {
    Statement row = database_->prepare("SELECT CAST(text AS INTEGER) FROM notes WHERE name = ?1");
    int64_t n = row.bind(std::string_view(name)).next() ? row.whole(0) : -1;
    if (n < 0 || n > 1 << 20)
      fail("{}: states no usable {}; delete the directory and make it again", database_->file().string(),
           name);
    return n;
  };
  making_ = {.kind = note("kind"),
             .embedder = note("embedder"),
             .identity = note("identity"),
             .task = note("task"),
             .pooling = note("pooling"),
             .dimensions = number("dimensions"),
             .cutting = {number("passage_tokens"), number("overlap")}};
}

void Store::check_making(const Making& wanted) const {
  if (making_.kind != wanted.kind)
    fail("{}: is an index of {}, not of {}; use another directory", directory_.string(), making_.kind,
         wanted.kind);
  check_embedder(wanted.identity, wanted.dimensions);
  if (making_.cutting.tokens != wanted.cutting.tokens || making_.cutting.overlap != wanted.cutting.overlap)
    fail(
        "{}: its passages have {} tokens and an overlap of {}, not {} and {}; leave --passage-tokens and "
        "--overlap out, or make another index",
        directory_.string(), making_.cutting.tokens, making_.cutting.overlap, wanted.cutting.tokens,
        wanted.cutting.overlap);
}

void Store::check_embedder(const std::string& identity, int64_t dimensions) const {
  if (identity != making_.identity)
    fail(
        "{}: was made with another embedder, or with other instructions or pooling ({}); give that one, or "
        "make another index",
        directory_.string(), described(making_));
  if (dimensions != making_.dimensions)
    fail("{}: holds vectors of {} dimensions, the embedder gives {}; delete the directory and make it again",
         directory_.string(), making_.dimensions, dimensions);
}

std::vector<StoredDocument> Store::documents() const {
  Statement rows = database_->prepare(
      "SELECT id, path, digest, size, modified, (SELECT count(*) FROM passages WHERE document = "
      "documents.id) "
      "FROM documents ORDER BY id");
  std::vector<StoredDocument> all;
  while (rows.next())
    all.push_back({rows.whole(0), rows.text(1), rows.text(2), rows.whole(3), rows.whole(4), rows.whole(5)});
  return all;
}

int64_t Store::passage_count() const {
  Statement row = database_->prepare("SELECT count(*) FROM vectors");
  row.next();
  return row.whole(0);
}

std::optional<StoredPassage> Store::passage(int64_t id) const {
  Statement row = database_->prepare(std::string(kPassage) + "WHERE p.id = ?1");
  if (!row.bind(id).next()) return {};
  return passage_of(row);
}

std::vector<int64_t> Store::find_words(const std::string& question, int64_t most) const {
  std::vector<int64_t> found;
  std::string match = match_expression(question);
  Statement rows = database_->prepare("SELECT rowid FROM words WHERE words MATCH ?1 ORDER BY rank LIMIT ?2");
  if (match.empty()) return found;
  rows.bind(std::string_view(match), most);
  while (rows.next()) found.push_back(rows.whole(0));
  return found;
}

void Store::put(const StoredDocument& document, std::string_view text, std::span<const Passage> passages,
                std::span<const float> vectors) const {
  Statement row = database_->prepare(
      "INSERT INTO documents(path, digest, size, modified) VALUES(?1, ?2, ?3, ?4) "
      "ON CONFLICT(path) DO UPDATE SET digest = ?2, size = ?3, modified = ?4 RETURNING id");
  row.bind(std::string_view(document.path), std::string_view(document.digest), document.size,
           document.modified)
      .next();
  int64_t id = row.whole(0);
  row.run();
  remove_passages(id);
  Statement passage = database_->prepare(
      "INSERT INTO passages(document, first, last, line, last_line, page, chapter, text) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
  Statement vector = database_->prepare("INSERT INTO vectors(passage, vector) VALUES(?1, ?2)");
  Statement words = database_->prepare("INSERT INTO words(rowid, text) VALUES(?1, ?2)");
  auto width = static_cast<size_t>(making_.dimensions);
  for (size_t i = 0; i < passages.size(); ++i) {
    const Passage& p = passages[i];
    std::string_view part = text.substr(p.begin, p.end - p.begin);
    passage
        .bind(id, static_cast<int64_t>(p.begin), static_cast<int64_t>(p.end), p.line, p.last_line,
              p.place.page, p.place.chapter, part)
        .run();
    int64_t passage_id = database_->last_id();
    vector.bind(passage_id, std::as_bytes(vectors.subspan(i * width, width))).run();
    words.bind(passage_id, std::string_view(searchable(part))).run();
  }
}

void Store::touch(const StoredDocument& document) const {
  database_->prepare("UPDATE documents SET size = ?2, modified = ?3 WHERE path = ?1")
      .bind(std::string_view(document.path), document.size, document.modified)
      .run();
}

void Store::remove_passages(int64_t document) const {
  Statement rows = database_->prepare("SELECT id, text FROM passages WHERE document = ?1");
  Statement words = database_->prepare("INSERT INTO words(words, rowid, text) VALUES('delete', ?1, ?2)");
  Statement vector = database_->prepare("DELETE FROM vectors WHERE passage = ?1");
  rows.bind(document);
  while (rows.next()) {
    words.bind(rows.whole(0), std::string_view(searchable(rows.text(1)))).run();
    vector.bind(rows.whole(0)).run();
  }
  database_->prepare("DELETE FROM passages WHERE document = ?1").bind(document).run();
}

void Store::remove(const std::string& path) const {
  Statement row = database_->prepare("SELECT id FROM documents WHERE path = ?1");
  if (!row.bind(std::string_view(path)).next()) return;
  int64_t id = row.whole(0);
  remove_passages(id);
  database_->prepare("DELETE FROM documents WHERE id = ?1").bind(id).run();
}

std::string Store::note(const std::string& name) const {
  Statement row = database_->prepare("SELECT text FROM notes WHERE name = ?1");
  return row.bind(std::string_view(name)).next() ? row.text(0) : std::string();
}

void Store::set_note(const std::string& name, const std::string& text) const {
  database_->prepare("INSERT INTO notes(name, text) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET text = ?2")
      .bind(std::string_view(name), std::string_view(text))
      .run();
}

}  // namespace longspan::retrieval
