#include "agent/world.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/nearest.h"
#include "base/random.h"
#include "base/resource.h"
#include "base/text.h"

namespace longspan::agent {

namespace {

struct Deposit {
  std::string thing, where = "any", beside;
  int64_t places = 1, least = 1, most = 1;
};

struct WorldRows {
  SkillSet skills;
  int64_t size = 0;
  std::vector<std::string> places, words, remarks;
  std::vector<Deposit> deposits;
};

WorldRows read_world(const std::string& name) {
  std::string file = "agent/" + name + ".toml";
  TomlFile toml = parse_toml(resource(file), file);
  WorldRows rows{
      .skills = read_skills(toml, false), .places = {}, .words = {}, .remarks = {}, .deposits = {}};
  Settings s(toml.values, {.file = file, .places = &toml.places});
  s.table("world", [&](Settings& t) {
    t.require({"size", "places", "words", "remarks"});
    t.read("places", rows.places);
    t.read("size", rows.size, 2, std::ssize(rows.places));
    t.read("words", rows.words);
    t.read("remarks", rows.remarks);
  });
  s.tables("deposit", [&](Settings& t) {
    Deposit d;
    t.require({"thing"});
    t.read("thing", d.thing);
    t.read("where", d.where, {"start", "near", "far", "any"});
    t.read("beside", d.beside);
    t.read("places", d.places, 1, rows.size / 2);
    t.read("least", d.least, 1, 1000);
    t.read("most", d.most, 1, 1000);
    d.most = std::max(d.least, d.most);
    rows.deposits.push_back(d);
  });
  return rows;
}

void shuffle(std::vector<std::string>& list, Random& random) {
  for (size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[random.below(i)]);
}

/// Places from near to far, the start first: a path back to one of the last few, so that the map is long, and
/// some more between any two.
std::vector<std::string> lay_paths(const WorldRows& rows, Random& random, Facts& truth) {
  std::vector<std::string> places = rows.places;
  shuffle(places, random);
  places.resize(static_cast<size_t>(rows.size));
  auto join = [&](const std::string& a, const std::string& b) {
    truth["path:" + a + ">" + b] = truth["path:" + b + ">" + a] = 1;
  };
  for (size_t i = 1; i < places.size(); ++i)
    join(places[i], places[i - 1 - random.below(std::min<size_t>(i, 3))]);
  for (size_t i = 0; i < places.size() / 4; ++i) {
    size_t a = random.below(places.size()), b = random.below(places.size());
    if (a != b) join(places[a], places[b]);
  }
  std::vector<std::string> order = {places[0]};
  for (size_t i = 0; i < order.size(); ++i)
    for (const std::string& next : places)
      if (count(truth, "path:" + order[i] + ">" + next) > 0 &&
          std::find(order.begin(), order.end(), next) == order.end())
        order.push_back(next);
  return order;
}

void lay_deposits(const WorldRows& rows, const std::vector<std::string>& order, Random& random,
                  Facts& truth) {
  std::map<std::string, std::string> place_of;
  for (const Deposit& d : rows.deposits) {
    size_t n = order.size(), half = n / 2;
    std::vector<std::string> may(order.begin() + 1, order.end());
    if (d.where == "start") may = {order[0]};
    if (d.where == "near") may.assign(order.begin() + 1, order.begin() + static_cast<ptrdiff_t>(half));
    if (d.where == "far") may.assign(order.end() - static_cast<ptrdiff_t>(n / 4), order.end());
    if (!d.beside.empty()) may = {place_of.at(d.beside)};
    shuffle(may, random);
    for (size_t i = 0; i < std::min(may.size(), static_cast<size_t>(d.places)); ++i)
      truth[d.thing + "@" + may[i]] =
          d.least + static_cast<int64_t>(random.below(static_cast<uint64_t>(d.most - d.least + 1)));
    place_of[d.thing] = may[0];
  }
}

bool carried(const std::string& name) { return name.find(':') == name.npos && name.find('@') == name.npos; }

/// The names behind `prefix` of facts that are there.
std::vector<std::string> behind(const Facts& facts, const std::string& prefix) {
  std::vector<std::string> out;
  for (auto at = facts.lower_bound(prefix); at != facts.end() && at->first.starts_with(prefix); ++at)
    if (at->second > 0) out.push_back(at->first.substr(prefix.size()));
  return out;
}

class Crafting {
 public:
  Crafting(const std::string& name, uint64_t seed) : rows_(read_world(name)), seed_(seed) { begin(); }

  void begin() {
    Random random(seed_);
    truth_.clear();
    std::vector<std::string> order = lay_paths(rows_, random, truth_);
    lay_deposits(rows_, order, random, truth_);
    word_ = rows_.words[random.below(rows_.words.size())];
    truth_["word:" + word_] = 1;
    truth_["at:" + order[0]] = 1;
    steps_ = 0;
  }

  const SkillSet& skills() const { return rows_.skills; }

  ToolResult look(const std::string& before, const Facts& changed) const {
    const std::string here = behind(truth_, "at:").front();
    ToolResult out{.text = before, .facts = changed};
    auto say = [&](const std::string& sentence) { out.text += (out.text.empty() ? "" : " ") + sentence; };
    say(fmt::format("You are at the {}.", here));
    say(rows_.remarks[Random(seed_ * 1000003 + static_cast<uint64_t>(steps_)).below(rows_.remarks.size())]);
    Facts lying, carrying;
    for (const auto& [name, n] : truth_) {
      if (name.ends_with("@" + here)) {
        out.facts[name] = n;
        lying[name.substr(0, name.find('@'))] = n;
      }
      if (carried(name)) out.facts[name] = carrying[name] = n;
    }
    say(fmt::format("Here you see: {}.", facts_text(lying)));
    if (count(lying, "inscription") > 0) {
      say(fmt::format("The inscription says: the gate opens to the word {}.", word_));
      out.facts["word:" + word_] = 1;
    }
    std::string ways;
    for (const std::string& to : behind(truth_, "path:" + here + ">")) {
      ways += (ways.empty() ? "the " : ", the ") + to;
      out.facts["path:" + here + ">" + to] = out.facts["place:" + to] = 1;
    }
    say(fmt::format("Paths lead to {}.", ways));
    say(fmt::format("You carry {}.", facts_text(carrying)));
    if (count(truth_, "open:gate") > 0) say("The gate is open.");
    if (count(truth_, "open:gate") > 0) out.facts["open:gate"] = 1;
    out.facts["at:" + here] = out.facts["place:" + here] = out.facts["visited:" + here] = 1;
    return out;
  }

  ToolResult run(const ToolCall& call) {
    ++steps_;
    if (call.tool == "look") return look("", {});
    const Skill* nearest = nullptr;
    std::vector<Skill> skills = grounded(rows_.skills, truth_);
    for (const Skill& skill : skills) {
      if (skill.call != call) continue;
      if (holds(skill.needs, truth_)) {
        take_effect(skill, truth_);
        Facts changed;
        for (const Facts& facts : {skill.consumes, skill.produces})
          for (const auto& [name, n] : facts) changed[name] = count(truth_, name);
        return look(fmt::format("Done: {}.", skill.name), changed);
      }
      if (!nearest || !missing(skill).empty()) nearest = &skill;
    }
    std::string why = nearest ? missing(*nearest) : "";
    ToolResult seen = look(why.empty() ? "That cannot be done here." : "That takes " + why + ".", {});
    seen.failed = true;
    return seen;
  }

 private:
  /// What of it is not carried, where it is possible here.
  std::string missing(const Skill& skill) const {
    Facts lacking;
    for (const auto& [name, n] : skill.needs) {
      if (count(truth_, name) >= n) continue;
      if (!carried(name)) return "";
      lacking[name] = n;
    }
    return facts_text(lacking);
  }

  WorldRows rows_;
  uint64_t seed_;
  Facts truth_;
  std::string word_;
  int64_t steps_ = 0;
};

/// A tool with one parameter, one of these words.
Tool tool_of(const std::string& name, const std::string& what, const std::string& parameter,
             std::vector<std::string> words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return {name,
          what,
          {{"type", "object"},
           {"properties", {{parameter, {{"type", "string"}, {"enum", words}}}}},
           {"required", Json::array({parameter})},
           {"additionalProperties", false}}};
}

std::vector<Tool> tools_of(const WorldRows& rows) {
  std::map<std::string, std::vector<std::string>> things;
  for (const SkillRow& row : rows.skills.rows)
    for (const Json& argument : row.skill.call.arguments)
      if (argument.is_string()) things[row.skill.call.tool].push_back(argument);
  return {tool_of("go", "Go to a place that a path leads to.", "place", rows.places),
          tool_of("gather", "Gather one of a thing that lies here.", "thing", things["gather"]),
          tool_of("make", "Make a thing of what you carry.", "thing", things["make"]),
          tool_of("say", "Say a word aloud.", "word", rows.words),
          {"look",
           "Look around.",
           {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}}}};
}

}  // namespace

std::vector<std::string> world_names() {
  std::vector<std::string> names;
  for (const std::string& file : resource_names("agent/"))
    names.push_back(file.substr(6, file.rfind('.') - 6));
  return names;
}

World make_world(const std::string& name, uint64_t seed) {
  std::vector<std::string> names = world_names();
  if (std::find(names.begin(), names.end(), name) == names.end())
    fail("there is no world {}{}", in_quotes(name), meant_name(name, names));
  auto world = std::make_shared<Crafting>(name, seed);
  World out{{.tools = tools_of(read_world(name)), .run = {}}, world->skills()};
  out.tools.run = [world](const ToolCall& call) { return world->run(call); };
  out.tools.observe = [world] {
    world->begin();
    return world->look("", {});
  };
  return out;
}

}  // namespace longspan::agent
