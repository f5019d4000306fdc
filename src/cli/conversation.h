// The conversation of `chat`: its turns, the documents it is about, and the sequence that holds them. Each
// turn feeds only what is new. For methods that depend on the length, the declared length doubles whenever it
// is outgrown, and the history is read again. With --memory every turn is kept in a directory; when the
// conversation has outgrown the window, its newest turns stay and older ones come back where they matter.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/answering.h"
#include "cli/options.h"
#include "cli/retrieving.h"
#include "retrieval/memory.h"

namespace longspan::cli {

struct ChatOptions : Options {
  std::vector<std::string> files;
  int64_t n = 512;
  std::string memory;  // directory; "": none
  EmbedderChoice embedder;
  SamplingOptions sampling;
};

/// A question with what was said about it long before, in the order in which it was said.
std::string with_recalled(std::vector<retrieval::Turn> turns, const std::string& question);

/// Error for standard input and pipes, which cannot be read again.
void check_chat_file(const std::string& file);

class Conversation {
 public:
  /// Reads the files of the options, and the newest turns of the memory. The engine and the options must
  /// outlive it.
  Conversation(Engine& engine, const ChatOptions& o);

  /// One question and its answer. False after Ctrl-C. After an Error the question is removed from the
  /// history.
  bool turn(const std::string& question);

  /// Forgets the turns; the documents stay. Error with a memory.
  void reset();

  /// Adds a document, which is read again when it changes. Error when it cannot be read.
  void add_file(const std::string& file);

  /// The system message, the text of the documents and all turns as one JSON object, and back: then the
  /// documents are what they were, and their files are not looked at. Error naming the file; save() refuses
  /// to replace anything but a saved conversation.
  void save(const std::filesystem::path& file) const;
  void load(const std::filesystem::path& file);

  /// Tokens, window, speed and memory, as lines for people.
  std::string statistics() const;

 private:
  bool reply();
  void read_documents();
  std::vector<ChatMessage> messages(const std::string& document) const;
  Prompt prompt(const std::string& document) const;
  Prompt fitting_prompt();
  void open_memory();
  void recall();
  int64_t tokens_of(const std::string& text) const;
  int64_t held_turns() const { return std::ssize(turns_) / 2; }  // whole ones in the prompt
  void refuse_with_memory(const char* command) const;
  void make_room(int64_t tokens);
  std::string questions() const;  // how many, in words

  Engine& engine_;
  const ChatOptions& o_;
  int64_t window_;
  bool steps_;  // the declared length matters
  DocumentCache cache_;
  std::string system_;
  std::vector<std::string> files_;
  std::string loaded_;  // text of a saved conversation's documents
  std::string document_,
      stamp_;  // loaded_ and the text of the files, which was read when they had this stamp
  std::vector<ChatMessage> turns_;
  std::unique_ptr<retrieval::Memory> memory_;
  std::vector<retrieval::Turn> recalled_;  // for the last question, the best first
  std::optional<Sequence> sequence_;
  Prefill last_read_;
  Generation last_answer_;
};

}  // namespace longspan::cli
