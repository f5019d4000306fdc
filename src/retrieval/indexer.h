// Brings an index up to date with files: only those whose bytes have changed are read and embedded again, and
// those that are gone leave it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "embed/embedder.h"
#include "retrieval/store.h"

namespace longspan::retrieval {

struct IndexReport {
  int64_t read = 0, unchanged = 0, removed = 0;  // files
  int64_t passages = 0, tokens = 0;              // of those read
  std::vector<std::string> faults;               // a sentence for each file that could not be read
  bool complete = true;                          // false: progress asked to stop
};

struct IndexHandlers {
  Progress progress;  // in bytes of files
  std::function<void(const std::string&)> remark;
};

/// `files`, those of folders among them, and all files that the index already has. A file that cannot be
/// read is left out with a sentence; if the index has it, it stays as it was. Each document is committed by
/// itself: what was done when the process dies or progress stops is kept. Error when a folder cannot be read
/// or the database fails.
IndexReport update_index(const Store& store, const Embedder& embedder,
                         const std::vector<std::filesystem::path>& files, const std::string& encoding,
                         const IndexHandlers& handlers);

/// Passages of a text with their vectors, embedded as keys; empty when progress asked to stop.
/// `progress`: (bytes of the text embedded, bytes).
struct EmbeddedText {
  std::vector<Passage> passages;
  std::vector<float> vectors;  // [passages, dimensions]
  int64_t tokens = 0;
  bool complete = true;
};
EmbeddedText embed_text(const Embedder& embedder, const Cutting& cutting, std::string_view text,
                        const Progress& progress);

/// Tokens of a passage at most: what the embedder reads, without its special tokens and its instruction.
int64_t most_passage_tokens(const Embedder& embedder);

}  // namespace longspan::retrieval
