// Tokenised text on disk: shards of token ids with an index of documents. A shard is one file, memory-mapped:
// header, ids (uint16 where the vocabulary allows, else uint32) and index, protected by an xxHash64 digest. A
// folder of shards is written under a temporary name first, so a folder that exists is complete.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "data/documents.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

struct ShardDocument {
  int64_t begin = 0, end = 0;  // of its ids within the shard
  std::string id, category;
};

class Shard {
 public:
  /// Reads all of it once. Error when the file is missing, not a shard or truncated, or when its digest is
  /// wrong.
  explicit Shard(const std::filesystem::path& path);
  const std::vector<ShardDocument>& documents() const { return documents_; }
  /// Appends ids [begin, end) to out.
  void read(int64_t begin, int64_t end, std::vector<int32_t>& out) const;
  int64_t tokens() const { return tokens_; }
  /// Of the tokenizer whose ids these are.
  uint64_t vocabulary_digest() const { return vocabulary_digest_; }

 private:
  MappedFile file_;
  std::vector<ShardDocument> documents_;
  int64_t tokens_ = 0, ids_at_ = 0;
  bool wide_ = false;
  uint64_t vocabulary_digest_ = 0;
};

struct TokeniseOptions {
  OnBadDocument on_bad = OnBadDocument::Skip;
  bool add_bos = false, add_eos = true;  // around each document
  int64_t shard_tokens = int64_t{1} << 27;
  std::string encoding = {};  // of the files; "": recognised
};
struct TokeniseReport {
  ReadingReport reading;
  int64_t tokens = 0;
  std::vector<std::filesystem::path> shards;  // empty: progress asked to stop, and nothing was left behind
};
/// Tokenises on all threads; documents keep the order of the files, whatever the number of threads. Writes
/// FOLDER/NNNNN.shard; a shard ends with the document that fills it. FOLDER appears when everything is
/// written (FOLDER.part until then). Error when it already exists and is not empty, or when there is nothing
/// to pack.
TokeniseReport tokenise(const std::vector<std::filesystem::path>& files, const Tokenizer& tokenizer,
                        const std::filesystem::path& folder, const TokeniseOptions& options,
                        const Progress& progress);

/// A digest of every token's bytes: the ids of two tokenizers with equal digests mean the same.
uint64_t vocabulary_digest(const Tokenizer& tokenizer);

}  // namespace longspan
