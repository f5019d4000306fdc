// The memory of a conversation: every turn whole, and an index of the turns, of which those that matter for a
// question come back when the conversation has outgrown its window. Each turn is one transaction, so that a
// conversation goes on where it ended, however it ended. The steps of an agent are such turns.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "embed/embedder.h"
#include "retrieval/search.h"

namespace longspan::retrieval {

struct Turn {
  int64_t number = 0;            // from 1
  std::string question, answer;  // of an agent: what was observed, what was done
};

class Memory {
 public:
  /// Opens the directory, or makes it. `making`: of its index, whose kind is kConversation or kSteps. Error
  /// as Store::write.
  Memory(const std::filesystem::path& directory, Embedder embedder, const Making& making);
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  int64_t turns() const { return last_; }
  /// Turns first, ..., last, in their order.
  std::vector<Turn> between(int64_t first, int64_t last) const;
  /// At most `most` turns before turn `before`, those that matter most for the question first.
  std::vector<Turn> recall(const std::string& question, int64_t before, int64_t most) const;
  void add(const std::string& question, const std::string& answer);

  /// The system message that the conversation began with.
  std::string system() const { return store_.note("system"); }
  void set_system(const std::string& text);

 private:
  Embedder embedder_;
  Store store_;
  VectorIndex vectors_;
  int64_t last_ = 0;
};

}  // namespace longspan::retrieval
