// An index in a directory: index.sqlite holds documents, passages, their vectors and an FTS5 table of their
// words; graph.faiss can be made again from it (vectors.h). One program writes at a time (a lock on the file
// `lock`), readers go on meanwhile. Each document is one transaction.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "retrieval/database.h"
#include "retrieval/passages.h"

namespace longspan::retrieval {

/// What the passages of an index were made with. All of an index has the same.
struct Making {
  std::string kind;      // kDocuments, kConversation or kSteps
  std::string embedder;  // as the user named it, a path absolute
  std::string identity;  // Embedder::identity: weights, pooling, instructions
  std::string task, pooling;
  int64_t dimensions = 0;
  Cutting cutting;
};
constexpr const char* kDocuments = "documents";
constexpr const char* kConversation = "conversation";
constexpr const char* kSteps = "steps of an agent";

struct StoredDocument {
  int64_t id = 0;
  std::string path;                // absolute
  std::string digest = "";         // of the file's bytes
  int64_t size = 0, modified = 0;  // bytes; nanoseconds, of the file's clock
  int64_t passages = 0;
};

struct StoredPassage {
  int64_t id = 0, document = 0;
  std::string path;
  int64_t begin = 0, end = 0;                              // bytes of the document's text
  int64_t line = 0, last_line = 0, page = 0, chapter = 0;  // page, chapter: 0 where the document has none
  std::string text;
};

class Store {
 public:
  /// For reading. Error when the directory holds no index, or a damaged one.
  static Store read(const std::filesystem::path& directory);
  /// For writing; makes the index where there is none. Error also when another program writes, when the
  /// directory holds other files, and when the index was not made with `making`.
  static Store write(const std::filesystem::path& directory, const Making& making);
  static bool exists(const std::filesystem::path& directory);
  /// What the index in the directory was made with; null when there is none, or one that was never begun.
  static std::optional<Making> making_in(const std::filesystem::path& directory);
  Store(Store&&) noexcept;
  ~Store();

  const std::filesystem::path& directory() const { return directory_; }
  const Making& making() const { return making_; }
  const Database& database() const { return *database_; }
  /// Error unless the embedder is that of the index.
  void check_embedder(const std::string& identity, int64_t dimensions) const;

  std::vector<StoredDocument> documents() const;  // in the order of ids
  int64_t passage_count() const;
  /// Null when there is no such passage (any more).
  std::optional<StoredPassage> passage(int64_t id) const;
  /// Ids of the passages with words of the question, the best (BM25) first.
  std::vector<int64_t> find_words(const std::string& question, int64_t most) const;

  /// Puts a document, its passages and their vectors ([passages, dimensions]) in the place of what has its
  /// path. Within a Transaction of the caller's.
  void put(const StoredDocument& document, std::string_view text, std::span<const Passage> passages,
           std::span<const float> vectors) const;
  /// The file has changed, its bytes have not.
  void touch(const StoredDocument& document) const;
  void remove(const std::string& path) const;

  /// A short text under a name of the caller's; "" where there is none.
  std::string note(const std::string& name) const;
  void set_note(const std::string& name, const std::string& text) const;

 private:
  Store() = default;
  void take_lock();
  void make(const Making& making);
  bool is_empty() const;
  void read_making();
  void check_making(const Making& wanted) const;
  void remove_passages(int64_t document) const;

  std::filesystem::path directory_;
  int lock_ = -1;
  std::unique_ptr<Database> database_;
  Making making_;
};

}  // namespace longspan::retrieval
