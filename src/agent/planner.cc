#include "agent/planner.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <set>

#include "base/error.h"
#include "base/plural.h"
#include "base/text.h"

namespace longspan::agent {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr size_t kMostOrders = 50000;  // states of the forward search

class Search {
 public:
  Search(const SkillSet& set, const Facts& known)
      : set_(set), exclusive_(set.exclusive), skills_(grounded(set, known)), known_(known), have_(known) {
    for (size_t i = 0; i < skills_.size(); ++i)
      for (const auto& [name, n] : skills_[i].produces) makers_[name].push_back(i);
    price_facts();
  }

  Plan plan(const Facts& goal) {
    Plan plan;
    for (const auto& [name, n] : goal)
      if (!(excludes(name) ? reach(name) : acquire(name, n))) {
        plan.fault = fault_.empty() ? "there is no plan" : fault_;
        return plan;
      }
    Facts places;
    for (const auto& [name, n] : goal)
      if (excludes(name)) places[name] = n;
    plan.steps = ordered(places);
    Facts after = known_;
    for (const Skill& step : plan.steps) take_effect(step, after);
    if (holds(goal, after)) return plan;
    plan.steps.clear();
    plan.fault = fmt::format("no order of {} was found in which each has what it needs",
                             counted(std::ssize(done_), "skill"));
    return plan;
  }

 private:
  bool excludes(const std::string& name) const { return !exclusive_.empty() && name.starts_with(exclusive_); }
  bool moves(const Skill& skill) const {
    return std::any_of(skill.produces.begin(), skill.produces.end(),
                       [&](const auto& fact) { return excludes(fact.first); });
  }
  double price_of(const std::string& name) const {
    auto found = price_.find(name);
    return found == price_.end() ? kNever : found->second;
  }

  /// What one more of each fact costs in skills: the least fixed point over all makers, what is known being
  /// free.
  void price_facts() {
    for (bool better = true; better;) {
      better = false;
      for (const Skill& skill : skills_) {
        double inputs = 1;
        for (const auto& [name, n] : skill.needs)
          if (int64_t missing = n - count(known_, name); missing > 0)
            inputs += static_cast<double>(missing) * price_of(name);
        if (inputs == kNever) continue;
        for (const auto& [name, n] : skill.produces) {
          double price = inputs / static_cast<double>(n);
          if (price < price_of(name) - 1e-9) price_[name] = price, better = true;
        }
      }
    }
  }

  /// Of doing the skill now: itself, and what it still lacks.
  double price_now(const Skill& skill) const {
    double price = 1;
    for (const auto& [name, n] : skill.needs) {
      bool there =
          excludes(name) ? reached_.contains(name) || count(known_, name) > 0 : count(have_, name) >= n;
      if (!there)
        price += static_cast<double>(n - (excludes(name) ? 0 : count(have_, name))) * price_of(name);
    }
    return price;
  }

  /// Makers of the fact, the cheapest first. Those that go in a circle are left out, and named.
  std::vector<size_t> makers_of(const std::string& name) {
    std::vector<std::pair<double, size_t>> priced;
    auto found = makers_.find(name);
    if (found != makers_.end())
      for (size_t i : found->second) {
        double price = price_now(skills_[i]);
        if (price < kNever) priced.emplace_back(price / static_cast<double>(skills_[i].produces.at(name)), i);
      }
    std::sort(priced.begin(), priced.end());
    std::vector<size_t> out;
    for (const auto& [price, i] : priced) out.push_back(i);
    return out;
  }

  /// Makes sure that there are n; false leaves everything as it was, with the fault said.
  bool acquire(const std::string& name, int64_t n) {
    if (count(have_, name) >= n) return true;
    if (std::find(chain_.begin(), chain_.end(), name) != chain_.end()) return blame_cycle(name);
    chain_.push_back(name);
    bool made = true;
    while (made && count(have_, name) < n) {
      made = false;
      for (size_t i : makers_of(name))
        if ((made = perform(skills_[i]))) break;
    }
    if (!made) blame(name, n);
    chain_.pop_back();
    return made;
  }

  /// Does the skill after all that it needs; false leaves everything as it was.
  bool perform(const Skill& skill) {
    const Facts have = have_;
    const std::set<std::string> reached = reached_;
    const size_t done = done_.size();
    auto prepare = [&] {
      // Making one input may take another one away again.
      for (int pass = 0; pass < 10; ++pass) {
        bool ready = true;
        for (const auto& [name, n] : skill.needs) {
          if (excludes(name) ? reached_.contains(name) : count(have_, name) >= n) continue;
          ready = false;
          if (!(excludes(name) ? reach(name) : acquire(name, n))) return false;
        }
        if (ready) return true;
      }
      return false;
    };
    if (++attempts_ > kMostAttempts || std::ssize(done_) >= kMostPlanSteps) {
      tell(fmt::format(
          "the search ended after {} attempts; the plan would have more than {} steps, or too many "
          "skills make the same",
          grouped(std::min(attempts_, kMostAttempts)), grouped(std::ssize(done_))));
      return false;
    }
    if (prepare()) {
      for (const auto& [name, n] : skill.consumes)
        if (!excludes(name)) have_[name] = count(have_, name) - n;
      for (const auto& [name, n] : skill.produces)
        if (!excludes(name)) have_[name] = std::min(count(have_, name) + n, kMostOfAFact);
      done_.push_back(&skill);
      return true;
    }
    have_ = have;
    reached_ = reached;
    done_.resize(done);
    return false;
  }

  /// Whether an exclusive fact can come true, with what the way to it needs.
  bool reach(const std::string& name) {
    if (reached_.contains(name)) return true;
    if (count(known_, name) > 0) return reached_.insert(name).second;
    if (std::find(chain_.begin(), chain_.end(), name) != chain_.end()) return blame_cycle(name);
    chain_.push_back(name);
    bool there = false;
    for (size_t i : makers_of(name)) {
      there = true;
      for (const auto& [need, n] : skills_[i].needs)
        there = there && (excludes(need) ? reach(need) : acquire(need, n));
      if (there) break;
    }
    if (there) reached_.insert(name);
    if (!there) blame(name, 1);
    chain_.pop_back();
    return there;
  }

  /// The first fault is the deepest one. A cycle is one only where nothing else was wrong.
  void tell(std::string fault) {
    if (fault_.empty()) fault_ = std::move(fault);
  }
  void blame(const std::string& name, int64_t n) {
    std::string why;
    for (auto at = chain_.rbegin(); at != chain_.rend(); ++at)
      if (*at != name) why += fmt::format("{}{}", why.empty() ? ", needed for " : ", for ", *at);
    std::string what = n > 1 ? fmt::format("{} {}", grouped(n), name) : name;
    if (!cycle_.empty() && makers_.contains(name))
      tell(fmt::format("nothing begins the cycle {}", cycle_));
    else if (makers_.contains(name))
      tell(fmt::format("what is known does not suffice for {}{}: it has {}", what, why, count(have_, name)) +
           lacking(name));
    else
      tell(fmt::format("nothing known makes {}{}", what, why) + unfilled(name));
  }
  /// The rows that would make a fact if something known filled them.
  std::string unfilled(const std::string& name) const {
    std::string out;
    for (const SkillRow& row : set_.rows)
      for (const auto& [product, n] : row.skill.produces) {
        if (!matched(product, name)) continue;
        std::string each;
        for (const std::string& pattern : row.each) each += (each.empty() ? "" : " and ") + pattern;
        out += fmt::format("{}{} asks for a known {}", out.empty() ? ": " : ", ", row.skill.name, each);
      }
    return out;
  }
  /// What the makers of a fact lack that nothing makes.
  std::string lacking(const std::string& name) const {
    std::set<std::string> missing;
    for (size_t i : makers_.at(name))
      for (const auto& [need, n] : skills_[i].needs)
        if (count(have_, need) < n && price_of(need) == kNever) missing.insert(need);
    std::string out;
    for (const std::string& need : missing) {
      out += (out.empty() ? ", and nothing makes " : ", ") + need;
      if (out.size() > 100) break;
    }
    return out;
  }
  bool blame_cycle(const std::string& name) {
    if (cycle_.empty()) {
      auto at = std::find(chain_.begin(), chain_.end(), name);
      for (; at != chain_.end(); ++at) cycle_ += *at + " needs ";
      cycle_ += name;
    }
    return false;
  }

  // The forward search.
  struct State {
    Facts facts;
    std::vector<int64_t> left;  // of each kind of done_
    std::vector<const Skill*> steps;
  };

  /// Does all that can be done without moving.
  static void settle(State& state, const std::vector<const Skill*>& kinds) {
    for (bool any = true; any;) {
      any = false;
      for (size_t k = 0; k < kinds.size(); ++k)
        while (state.left[k] > 0 && holds(kinds[k]->needs, state.facts)) {
          take_effect(*kinds[k], state.facts);
          state.steps.push_back(kinds[k]);
          --state.left[k];
          any = true;
        }
    }
  }

  std::string key(const State& state) const {
    std::string out;
    for (int64_t n : state.left) out += std::to_string(n) + ' ';
    if (exclusive_.empty()) return out;
    for (auto at = state.facts.lower_bound(exclusive_); at != state.facts.end() && excludes(at->first); ++at)
      if (at->second > 0) out += at->first + ' ';
    return out;
  }

  /// From these facts through all kinds to the places, with the fewest moves; appends the steps and says
  /// whether there is a way.
  bool order(Facts& facts, const std::vector<const Skill*>& kinds, std::vector<int64_t> left,
             const Facts& places, std::vector<const Skill*>& steps) const {
    std::vector<const Skill*> movers;
    for (const Skill& skill : skills_)
      if (moves(skill)) movers.push_back(&skill);
    std::deque<State> open = {{facts, std::move(left), {}}};
    settle(open.front(), kinds);
    std::set<std::string> seen = {key(open.front())};
    for (; !open.empty() && seen.size() < kMostOrders; open.pop_front()) {
      State& state = open.front();
      bool none_left = std::all_of(state.left.begin(), state.left.end(), [](int64_t n) { return n == 0; });
      if (none_left && holds(places, state.facts)) {
        facts = state.facts;
        steps.insert(steps.end(), state.steps.begin(), state.steps.end());
        return true;
      }
      for (const Skill* mover : movers) {
        if (!holds(mover->needs, state.facts)) continue;
        State next = state;
        take_effect(*mover, next.facts);
        next.steps.push_back(mover);
        settle(next, kinds);
        if (seen.insert(key(next)).second) open.push_back(std::move(next));
      }
    }
    return false;
  }

  /// The skills of done_ with the moves between them.
  std::vector<Skill> ordered(const Facts& places) const {
    std::vector<const Skill*> kinds, steps;
    std::vector<int64_t> left;
    for (const Skill* skill : done_) {
      if (moves(*skill)) continue;
      auto at = std::find(kinds.begin(), kinds.end(), skill);
      if (at == kinds.end()) kinds.push_back(skill), left.push_back(0), at = kinds.end() - 1;
      ++left[static_cast<size_t>(at - kinds.begin())];
    }
    Facts facts = known_;
    bool found = order(facts, kinds, left, places, steps);
    // Doing what can be done may have used up what another skill needs: then in the order of the search.
    if (!found) {
      steps.clear();
      found = true;
      facts = known_;
      for (const Skill* skill : done_)
        found = found && (moves(*skill) || order(facts, {skill}, {1}, {}, steps));
      found = found && order(facts, {}, {}, places, steps);
    }
    std::vector<Skill> out;
    if (found)
      for (const Skill* skill : steps) out.push_back(*skill);
    return out;
  }

  const SkillSet& set_;
  std::string exclusive_;
  std::vector<Skill> skills_;
  Facts known_;
  std::map<std::string, std::vector<size_t>> makers_;
  std::map<std::string, double> price_;
  // The state of the backward search.
  Facts have_;                     // exclusive facts aside
  std::set<std::string> reached_;  // exclusive facts that were needed
  std::vector<const Skill*> done_;
  std::vector<std::string> chain_;  // what is being made, for what
  int64_t attempts_ = 0;
  std::string fault_, cycle_;
};

}  // namespace

std::vector<std::pair<std::string, int64_t>> Plan::counts() const {
  std::vector<std::pair<std::string, int64_t>> out;
  for (const Skill& skill : steps) {
    auto same = [&](const auto& pair) { return pair.first == skill.name; };
    auto at = std::find_if(out.begin(), out.end(), same);
    if (at == out.end())
      out.emplace_back(skill.name, 1);
    else
      ++at->second;
  }
  return out;
}

Plan make_plan(const SkillSet& set, const Facts& known, const Facts& goal) {
  return Search(set, known).plan(goal);
}

}  // namespace longspan::agent
