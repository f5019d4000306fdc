// What was seen and done, turn by turn, and how much of it whoever chooses still has: all of it, or the
// newest turns that fit a number of tokens, and older ones that come back for the newest turn only, so that
// what stands before it in a prompt need not be read again. Known facts are those of the turns that are
// there, so that a policy without a model forgets what a model with that window would forget.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/tools.h"

namespace longspan::agent {

struct Turn {
  std::string observation;  // as the tool gave it
  Facts facts = {};
  std::vector<std::string> choices = {};  // what could be done; empty: any call of a tool
  std::vector<std::string> tools = {};    // names of those that could be called; empty: all of them
  std::string tools_text = {};            // what was said of them, while the turn was the newest
  std::string advice = {};                // what a planner would do; may be empty
  std::vector<size_t> recalled = {};      // older turns that came back for it, in their order
  std::string choice = {};                // what was done; empty while it is being chosen
};

/// Numbers of turns before `first` that matter for the newest one, what matters most first; an empty
/// function: nothing comes back.
using Recall = std::function<std::vector<size_t>(const std::vector<Turn>& turns, size_t first)>;
/// Tokens that a message and the choice after it take in a prompt.
using Measure = std::function<int64_t(const std::string& message, const std::string& choice)>;

class History {
 public:
  /// `limit`: tokens of task and turns together; 0: no limit. With `recall`, half of what the task leaves of
  /// it (recalled_part) is for turns that come back as soon as one was forgotten.
  History(int64_t limit, int64_t task_tokens, Measure measure, Recall recall = {})
      : limit_(limit), task_tokens_(task_tokens), measure_(std::move(measure)), recall_(std::move(recall)) {}

  /// A new turn; where the limit is passed, the oldest ones go until three quarters of it are taken, so that
  /// this is rare and what stays is read again only then. The newest turn always stays. Then those that
  /// matter for it come back, as many as fit, without those whose facts newer ones all told anew.
  void add(Turn turn);
  /// What can be done in the newest turn; older ones may go as in add.
  void offer(std::vector<std::string> choices, const std::string& advice);
  /// Tools that may be called in the newest turn, and what is said of them there.
  void offer_tools(std::vector<std::string> names, const std::string& text);
  /// What was done in the newest turn.
  void choose(const std::string& choice);
  /// One that came back goes, else the oldest turn; false when the newest is all that is left.
  bool forget_one();

  const std::vector<Turn>& turns() const { return turns_; }
  size_t first() const { return first_; }  // of the turns that are still there
  int64_t tokens() const { return task_tokens_ + kept_tokens_ + recalled_tokens_ + tools_tokens_; }
  int64_t recalled_part() const { return recall_ ? std::max<int64_t>(limit_ - task_tokens_, 0) / 2 : 0; }
  /// Of the turns that are there and of those that came back for the newest; what came later counts. A fact
  /// of one that came back, which a newer turn told anew, is not known, though that turn is forgotten: it is
  /// out of date.
  Facts known() const;

 private:
  void measure_newest();
  bool make_room();  // whether turns went
  void bring_back();
  bool is_news(size_t number) const;  // whether no newer turn told one of its facts, or it tells none

  int64_t limit_, task_tokens_, kept_tokens_ = 0, recalled_tokens_ = 0, tools_tokens_ = 0;
  Measure measure_;
  Recall recall_;
  std::vector<Turn> turns_;
  std::vector<int64_t> sizes_;          // tokens of each turn
  std::map<std::string, size_t> told_;  // the last turn that told a fact
  size_t first_ = 0;
};

/// The message of a turn: the observation, quoted, what can be done, and advice.
std::string turn_message(const Turn& turn);
/// An older turn as it stands before the message of the newest: its number, what was observed, what was done.
std::string recalled_message(const std::vector<Turn>& turns, size_t number);

/// A stand-in for a tokenizer where no model is given: a token for each four bytes.
int64_t guessed_tokens(const std::string& text);

}  // namespace longspan::agent
