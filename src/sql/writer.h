// Writing a statement with a model: greedy, under a grammar or freely, and where the database's check refuses
// what came out, again from the decision that was the closest: the next best token there, and greedy behind
// it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "generate/sequence.h"

namespace longspan::sql {

struct WriteOptions {
  std::shared_ptr<const Grammar> grammar = nullptr;  // null: the model writes what it likes
  int64_t most_tokens = 256;                         // of a statement
  int64_t tries = 3;                                 // statements that may be written
  std::vector<std::string> stops = {};               // the answer ends before any of these
};

struct Refused {
  std::string statement, fault;
};

struct WrittenStatement {
  std::string statement;              // "" when none passed the check
  std::vector<Refused> refused = {};  // those that did not
  Generation generation = {};         // the tokens of all of them, and why it ended
};

/// The sequence holds the prompt, and has room for most_tokens behind it. `check`: "" or what is wrong.
/// `go_on` is asked before each token.
WrittenStatement write_statement(Sequence& sequence, const Engine& engine, const WriteOptions& options,
                                 const std::function<std::string(const std::string&)>& check,
                                 const std::function<bool()>& go_on);

/// The statement in an answer that follows no grammar: what stands in its first fence of code, or behind
/// remarks from SELECT on; up to its semicolon, without blanks around it.
std::string statement_in(const std::string& answer);

}  // namespace longspan::sql
