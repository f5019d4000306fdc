// ReadingStore: keys and values of documents that were read, kept in a folder so that another process need
// not read them again. A reading matches only where the same passes would compute the same bits: its key
// holds the model's digest, the position spec, the types and the shape of the passes, and the tokens are
// compared one by one. So an answer is the same with and without the store.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "generate/sequence.h"

namespace longspan {

/// Shorter texts are read faster than they are found.
constexpr int64_t kLeastKeptTokens = 512;

/// Why the readings of a sequence cannot be kept, as one sentence; empty when they can.
std::string reading_obstacle(const PositionConfig& position);

/// Tokens of ids[0, document) that passes of `chunk` tokens, the last one ending at `document`, would have
/// computed as a reading of `held` has them (its passes were the same, its last one ended at held.size()):
/// all of it, or whole chunks of what both begin with.
int64_t reusable_tokens(std::span<const int32_t> held, std::span<const int32_t> ids, int64_t document,
                        int64_t chunk);

class ReadingStore {
 public:
  /// For sequences of `engine`, which must outlive it. `folder`, which stores of other engines and processes
  /// may share, is made if it is missing (Error when it cannot be); it grows to `limit` bytes at most.
  ReadingStore(const Engine& engine, std::filesystem::path folder, int64_t limit);

  struct Found {
    int64_t tokens = 0;                // that the sequence has now; 0: nothing was found
    std::vector<std::string> remarks;  // what is wrong with which file; damaged files are removed
  };
  /// Gives the sequence the longest reading of ids[0, document), document <= declared length, that has more
  /// than `held` tokens (those that the sequence keeps from what it read last); the sequence is otherwise as
  /// before.
  Found find(Sequence& sequence, std::span<const int32_t> ids, int64_t document, int64_t held = 0);

  /// Keeps the first `tokens` tokens of the sequence, which was read in passes as reusable_tokens assumes.
  /// The least recently used readings are removed to make room. Error when the disk or the limit has no room,
  /// or the folder cannot be written.
  void keep(const Sequence& sequence, int64_t tokens);

  const std::filesystem::path& folder() const { return folder_; }
  int64_t limit() const { return limit_; }

 private:
  std::string key(const Sequence& sequence);
  void make_room(int64_t bytes, const std::filesystem::path& spared) const;

  const Engine& engine_;
  std::filesystem::path folder_;
  int64_t limit_;
  std::string model_digest_;  // empty until it is needed
};

}  // namespace longspan
