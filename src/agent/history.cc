#include "agent/history.h"

#include <algorithm>

#include "base/error.h"

namespace longspan::agent {

void History::add(Turn turn) {
  recalled_tokens_ = tools_tokens_ = 0;
  turns_.push_back(std::move(turn));
  sizes_.push_back(0);
  for (const auto& [name, n] : turns_.back().facts) told_[name] = turns_.size() - 1;
  measure_newest();
  make_room();
  bring_back();
}

void History::offer(std::vector<std::string> choices, const std::string& advice) {
  turns_.back().choices = std::move(choices);
  turns_.back().advice = advice;
  measure_newest();
  if (make_room()) bring_back();
}

void History::offer_tools(std::vector<std::string> names, const std::string& text) {
  turns_.back().tools = std::move(names);
  turns_.back().tools_text = text;
  tools_tokens_ = measure_(text, "") - measure_("", "");
  if (make_room()) bring_back();
}

void History::choose(const std::string& choice) {
  turns_.back().choice = choice;
  measure_newest();
}

void History::measure_newest() {
  kept_tokens_ -= sizes_.back();
  sizes_.back() = measure_(turn_message(turns_.back()), turns_.back().choice);
  kept_tokens_ += sizes_.back();
}

bool History::make_room() {
  if (limit_ <= 0) return false;
  const size_t before = first_;
  int64_t most = limit_ - recalled_part(), around = task_tokens_ + tools_tokens_;
  if (around + kept_tokens_ > (first_ > 0 ? most : limit_))
    while (around + kept_tokens_ > most / 4 * 3 && first_ + 1 < turns_.size())
      kept_tokens_ -= sizes_[first_++];
  while (tokens() > limit_ && forget_one()) {
  }
  return first_ > before;
}

bool History::is_news(size_t number) const {
  const Facts& facts = turns_[number].facts;
  auto newest = [&](const auto& fact) { return told_.at(fact.first) == number; };
  return facts.empty() || std::any_of(facts.begin(), facts.end(), newest);
}

void History::bring_back() {
  if (!recall_ || first_ == 0) return;
  std::vector<size_t>& taken = turns_.back().recalled;
  taken.clear();
  recalled_tokens_ = 0;
  const int64_t around = measure_("", ""), room = std::min(recalled_part(), limit_ - tokens());
  for (size_t number : recall_(turns_, first_)) {
    if (number >= first_ || !is_news(number)) continue;
    if (std::find(taken.begin(), taken.end(), number) != taken.end()) continue;
    int64_t cost = measure_(recalled_message(turns_, number), "") - around;
    if (cost > room - recalled_tokens_) continue;
    recalled_tokens_ += cost;
    taken.push_back(number);
  }
  std::sort(taken.begin(), taken.end());
}

bool History::forget_one() {
  std::vector<size_t>* taken = turns_.empty() ? nullptr : &turns_.back().recalled;
  if (taken && !taken->empty()) {
    recalled_tokens_ -= measure_(recalled_message(turns_, taken->front()), "") - measure_("", "");
    taken->erase(taken->begin());
    return true;
  }
  if (first_ + 1 >= turns_.size()) return false;
  kept_tokens_ -= sizes_[first_++];
  return true;
}

Facts History::known() const {
  Facts known;
  if (turns_.empty()) return known;
  for (size_t number : turns_.back().recalled)
    for (const auto& [name, n] : turns_[number].facts)
      if (told_.at(name) == number) known[name] = n;
  for (size_t i = first_; i < turns_.size(); ++i) merge(known, turns_[i].facts);
  return known;
}

std::string recalled_message(const std::vector<Turn>& turns, size_t number) {
  const Turn& turn = turns[number];
  return fmt::format("Earlier, in turn {}:\n{}\n{}", number + 1, quoted(turn.observation),
                     turn.choice.empty() ? "" : "Then: " + turn.choice + "\n");
}

std::string turn_message(const Turn& turn) {
  std::string out = quoted(turn.observation) + "\n";
  std::string choices;
  for (const std::string& choice : turn.choices) choices += (choices.empty() ? "" : ", ") + choice;
  if (!choices.empty()) out += "Actions: " + choices + "\n";
  if (!turn.advice.empty()) out += "The best action now: " + turn.advice + "\n";
  return out;
}

int64_t guessed_tokens(const std::string& text) { return (std::ssize(text) + 3) / 4; }

}  // namespace longspan::agent
