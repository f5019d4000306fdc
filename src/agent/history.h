// What was seen and done, turn by turn, and how much of it whoever chooses still has: all of it, or the
// newest turns that fit a number of tokens. Known facts are those of the turns that are still there, so that
// a policy without a model forgets what a model with that window would forget.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/tools.h"

namespace longspan::agent {

struct Turn {
  std::string observation;  // as the tool gave it
  Facts facts = {};
  std::vector<std::string> choices = {};  // what could be done; empty: any call of a tool
  std::string advice = {};                // what a planner would do; may be empty
  std::vector<size_t> recalled = {};      // older turns that came back here
  std::string choice = {};                // what was done; empty while it is being chosen
};

/// Numbers of turns before `first` that matter for what the newest one asks; empty: nothing comes back.
using Recall = std::function<std::vector<size_t>(const std::vector<Turn>& turns, size_t first)>;

class History {
 public:
  /// `limit`: tokens of task and turns together; 0: no limit. `measure`: tokens of a turn in a prompt.
  History(int64_t limit, int64_t task_tokens, std::function<int64_t(const Turn&, const History&)> measure)
      : limit_(limit), task_tokens_(task_tokens), measure_(std::move(measure)) {}

  /// A new turn; where the limit is passed, the oldest ones go until three quarters of it are taken, so that
  /// this is rare and what stays is read again only then. The newest turn always stays.
  void add(Turn turn, const Recall& recall = {});
  /// What was done in the newest turn.
  void choose(const std::string& choice);
  /// The oldest turn goes; false when the newest is all that is left.
  bool forget_one();

  const std::vector<Turn>& turns() const { return turns_; }
  size_t first() const { return first_; }  // of the turns that are still there
  int64_t tokens() const { return task_tokens_ + kept_tokens_; }
  /// Of the turns that are there and of those recalled in them; what came later counts.
  Facts known() const;

 private:
  int64_t limit_, task_tokens_, kept_tokens_ = 0;
  std::function<int64_t(const Turn&, const History&)> measure_;
  std::vector<Turn> turns_;
  std::vector<int64_t> sizes_;  // tokens of each turn
  size_t first_ = 0;
};

/// The message of a turn: what came back, the observation, advice, and what can be done, all of it quoted.
std::string turn_message(const Turn& turn, const std::vector<Turn>& turns);

/// A stand-in for a tokenizer where no model is given: a token for each four bytes.
int64_t guessed_tokens(const std::string& text);

}  // namespace longspan::agent
