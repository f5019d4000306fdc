#include "agent/history.h"

#include <algorithm>

#include "base/error.h"

namespace longspan::agent {

void History::add(Turn turn) {
  recalled_tokens_ = tools_tokens_ = 0;
  turns_.push_back(std::move(turn));
  sizes_.push_back(0);
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

std::set<size_t> History::superseded(std::span<const size_t> numbers) const {
  std::set<std::string> told;
  auto tell = [&](size_t number) {
    bool news = turns_[number].facts.empty();
    for (const auto& [name, n] : turns_[number].facts) news |= told.insert(name).second;
    return news;
  };
  for (size_t i = turns_.size(); i > first_; --i) tell(i - 1);
  std::set<size_t, std::greater<>> newest_first;
  for (size_t number : numbers)
    if (number < first_) newest_first.insert(number);
  std::set<size_t> out;
  for (size_t number : newest_first)
    if (!tell(number)) out.insert(number);
  return out;
}

void History::bring_back() {
  if (!recall_ || first_ == 0) return;
  std::vector<size_t>& taken = turns_.back().recalled;
  taken.clear();
  recalled_tokens_ = 0;
  const int64_t around = measure_("", ""), room = std::min(recalled_part(), limit_ - tokens());
  std::vector<size_t> numbers = recall_(turns_, first_);
  std::set<size_t> older = superseded(numbers);
  for (size_t number : numbers) {
    if (number >= first_ || older.contains(number)) continue;
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

Facts History::known(const std::string& exclusive) const {
  if (turns_.empty()) return {};
  std::vector<size_t> there = turns_.back().recalled;
  for (size_t i = first_; i < turns_.size(); ++i) there.push_back(i);
  Facts known;
  for (size_t i : there) {
    const Facts& facts = turns_[i].facts;
    auto excludes = [&](const auto& fact) { return fact.second > 0 && fact.first.starts_with(exclusive); };
    if (!exclusive.empty() && std::any_of(facts.begin(), facts.end(), excludes))
      for (auto& [name, n] : known)
        if (name.starts_with(exclusive)) n = 0;
    merge(known, facts);
  }
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
