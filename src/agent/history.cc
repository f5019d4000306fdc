#include "agent/history.h"

#include <set>

#include "base/error.h"

namespace longspan::agent {

void History::add(Turn turn, const Recall& recall) {
  turns_.push_back(std::move(turn));
  if (recall && first_ > 0)
    for (size_t number : recall(turns_, first_))
      if (number < first_) turns_.back().recalled.push_back(number);
  sizes_.push_back(measure_(turns_.back(), *this));
  kept_tokens_ += sizes_.back();
  if (limit_ > 0 && tokens() > limit_)
    while (tokens() > limit_ / 4 * 3 && forget_one()) {
    }
}

void History::choose(const std::string& choice) {
  turns_.back().choice = choice;
  kept_tokens_ -= sizes_.back();
  sizes_.back() = measure_(turns_.back(), *this);
  kept_tokens_ += sizes_.back();
}

bool History::forget_one() {
  if (first_ + 1 >= turns_.size()) return false;
  kept_tokens_ -= sizes_[first_++];
  return true;
}

Facts History::known() const {
  std::set<size_t> there;
  for (size_t i = first_; i < turns_.size(); ++i) {
    there.insert(i);
    there.insert(turns_[i].recalled.begin(), turns_[i].recalled.end());
  }
  Facts known;
  for (size_t i : there) merge(known, turns_[i].facts);
  return known;
}

std::string turn_message(const Turn& turn, const std::vector<Turn>& turns) {
  std::string out;
  for (size_t number : turn.recalled)
    out += fmt::format("Earlier, in turn {}:\n{}\n", number + 1, quoted(turns[number].observation));
  out += quoted(turn.observation) + "\n";
  std::string choices;
  for (const std::string& choice : turn.choices) choices += (choices.empty() ? "" : ", ") + choice;
  if (!choices.empty()) out += "Actions: " + choices + "\n";
  if (!turn.advice.empty()) out += "The best action now: " + turn.advice + "\n";
  return out;
}

int64_t guessed_tokens(const std::string& text) { return (std::ssize(text) + 3) / 4; }

}  // namespace longspan::agent
