#include "agent/skills.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/nearest.h"
#include "base/text.h"

namespace longspan::agent {

namespace {

using Variables = std::map<std::string, std::string>;

Facts read_facts(Settings& s, const std::string& key) {
  Facts facts;
  s.table(key, [&](Settings& table) {
    for (const auto& [name, n] : table.numbers(1)) {
      if (n != std::floor(n) || n > static_cast<double>(kMostOfAFact))
        table.refuse(name, fmt::format("is {}, expected a whole number up to {}", n, grouped(kMostOfAFact)));
      facts[name] = static_cast<int64_t>(n);
    }
  });
  return facts;
}

SkillRow read_row(Settings& s) {
  SkillRow row;
  s.require({"name", "call"});
  s.read("name", row.skill.name);
  s.table("call", [&](Settings& call) {
    call.require({"tool"});
    call.read("tool", row.skill.call.tool);
    row.skill.call.arguments = call.object("arguments");
  });
  s.read("each", row.each);
  row.skill.needs = read_facts(s, "needs");
  row.skill.consumes = read_facts(s, "consumes");
  row.skill.produces = read_facts(s, "produces");
  std::vector<std::string> nearby;
  s.read("nearby", nearby);
  for (const std::string& thing : nearby) {
    row.each.push_back(thing + "@{place}");
    row.skill.needs.emplace(thing + "@{place}", 1);
    row.skill.needs.emplace("at:{place}", 1);
  }
  for (const auto& [name, n] : row.skill.consumes) {
    int64_t& need = row.skill.needs[name];
    need = std::max(need, n);
  }
  return row;
}

/// The values of JSON with variables in their texts filled.
Json filled_json(const Json& value, const Variables& variables) {
  if (value.is_string()) return filled(value.get<std::string>(), variables);
  if (!value.is_structured()) return value;
  Json out = value;
  for (Json& part : out) part = filled_json(part, variables);
  return out;
}

Facts filled_facts(const Facts& facts, const Variables& variables) {
  Facts out;
  for (const auto& [name, n] : facts) out[filled(name, variables)] += n;
  return out;
}

Skill filled_skill(const Skill& skill, const Variables& variables) {
  return {filled(skill.name, variables),
          {skill.call.tool, filled_json(skill.call.arguments, variables)},
          filled_facts(skill.needs, variables),
          filled_facts(skill.consumes, variables),
          filled_facts(skill.produces, variables)};
}

/// All ways to fill the patterns from number `at` on.
void fill(const std::vector<std::string>& patterns, size_t at, const std::set<std::string>& names,
          const Variables& variables, std::vector<Variables>& out) {
  if (out.size() > kMostSkills) return;
  if (at == patterns.size()) return out.push_back(variables);
  for (const std::string& name : names)
    if (auto more = matched(patterns[at], name, variables)) fill(patterns, at + 1, names, *more, out);
}

std::string trimmed(std::string_view text) {
  size_t first = text.find_first_not_of(" \t"), last = text.find_last_not_of(" \t");
  return first == text.npos ? "" : std::string(text.substr(first, last + 1 - first));
}

std::string part_text(const char* verb, const Facts& facts) {
  Facts shown;
  for (const auto& [name, n] : facts)
    if (name.find(':') == name.npos && name.find('@') == name.npos) shown[name] = n;
  return shown.empty() ? "" : fmt::format("; {} {}", verb, facts_text(shown));
}

}  // namespace

SkillSet read_skills(const TomlFile& file, bool whole) {
  SkillSet set;
  Settings s(file.values, {.file = file.file, .places = &file.places});
  s.read("exclusive", set.exclusive);
  s.table("explore", [&](Settings& t) {
    SkillSet::Explore explore;
    t.require({"each", "lacks", "goal"});
    t.read("each", explore.each);
    t.read("lacks", explore.lacks);
    t.read("goal", explore.goal);
    set.explore = explore;
  });
  s.tables("skill", [&](Settings& t) { set.rows.push_back(read_row(t)); });
  s.tables("goal", [&](Settings& t) {
    Goal goal;
    t.require({"name", "facts"});
    t.read("name", goal.name);
    goal.text = goal.name;
    t.read("text", goal.text);
    goal.facts = read_facts(t, "facts");
    set.goals.push_back(std::move(goal));
  });
  if (whole) s.done();
  if (set.rows.empty()) fail("{}: there is no [[skill]], expected one at least", file.file);
  return set;
}

SkillSet read_skills_file(const std::filesystem::path& path) {
  std::string text = read_file(path), name = path.string();
  if (path.extension() != ".json") return read_skills(parse_toml(text, name));
  TomlFile file{name};
  file.values = parse_json(text, name);
  if (!file.values.is_object())
    fail("{}: it holds {}, expected an object with \"skill\"", name, excerpt_json(file.values));
  return read_skills(file);
}

std::string filled(std::string text, const Variables& variables) {
  for (const auto& [name, value] : variables) text = replaced(std::move(text), "{" + name + "}", value);
  return text;
}

std::optional<Variables> matched(const std::string& pattern, const std::string& name, Variables variables) {
  size_t at = 0, p = 0;
  while (p < pattern.size()) {
    size_t close = pattern[p] == '{' ? pattern.find('}', p) : pattern.npos;
    if (close == pattern.npos) {
      if (at == name.size() || name[at++] != pattern[p++]) return std::nullopt;
      continue;
    }
    size_t end = std::min(name.find_first_of(":@>", at), name.size());
    std::string value = name.substr(at, end - at), variable = pattern.substr(p + 1, close - p - 1);
    if (value.empty()) return std::nullopt;
    auto [held, is_new] = variables.emplace(variable, value);
    if (!is_new && held->second != value) return std::nullopt;
    at = end;
    p = close + 1;
  }
  if (at != name.size()) return std::nullopt;
  return variables;
}

std::vector<Skill> grounded(const SkillSet& set, const Facts& known) {
  std::set<std::string> names;
  for (const auto& [name, n] : known)
    if (n > 0) names.insert(name);
  std::vector<std::map<Variables, Skill>> made(set.rows.size());
  size_t total = 0;
  // What a skill produces may be what another row is filled with.
  for (bool grew = true; grew;) {
    grew = false;
    for (size_t i = 0; i < set.rows.size(); ++i) {
      std::vector<Variables> ways;
      fill(set.rows[i].each, 0, names, {}, ways);
      for (const Variables& way : ways) {
        if (made[i].contains(way)) continue;
        Skill skill = filled_skill(set.rows[i].skill, way);
        for (const auto& [name, n] : skill.produces) grew |= names.insert(name).second;
        made[i].emplace(way, std::move(skill));
        ++total;
      }
      if (total > kMostSkills || ways.size() > kMostSkills)
        fail("the known facts make more than {} skills of the rows; give rows fewer variables",
             grouped(static_cast<int64_t>(kMostSkills)));
    }
  }
  std::vector<Skill> out;
  for (auto& row : made)
    for (auto& [way, skill] : row) out.push_back(std::move(skill));
  return out;
}

std::vector<Skill> applicable(const std::vector<Skill>& skills, const Facts& known) {
  std::vector<Skill> out;
  std::set<std::string> names;
  for (const Skill& skill : skills)
    if (holds(skill.needs, known) && names.insert(skill.name).second) out.push_back(skill);
  return out;
}

void take_effect(const Skill& skill, Facts& facts) {
  for (const auto& [name, n] : skill.consumes) facts[name] = std::max<int64_t>(count(facts, name) - n, 0);
  for (const auto& [name, n] : skill.produces) facts[name] = std::min(count(facts, name) + n, kMostOfAFact);
}

std::vector<Facts> exploring_goals(const SkillSet& set, const Facts& known) {
  std::vector<Facts> goals;
  if (!set.explore) return goals;
  for (const auto& [name, n] : known) {
    if (n == 0) continue;
    auto variables = matched(set.explore->each, name);
    if (variables && count(known, filled(set.explore->lacks, *variables)) == 0)
      goals.push_back({{filled(set.explore->goal, *variables), 1}});
  }
  return goals;
}

Goal read_goal(const std::string& text, const SkillSet& set) {
  std::vector<std::string> names;
  for (const Goal& goal : set.goals) {
    names.push_back(goal.name);
    if (goal.name == text) return goal;
  }
  Goal goal{text, text, {}};
  for (size_t at = 0; at <= text.size();) {
    size_t end = std::min(text.find(',', at), text.size());
    std::string part = trimmed(std::string_view(text).substr(at, end - at)), number = "1";
    if (size_t sign = part.find(">="); sign != part.npos) {
      number = trimmed(std::string_view(part).substr(sign + 2));
      part = trimmed(std::string_view(part).substr(0, sign));
    }
    bool digits =
        !number.empty() && number.size() < 10 && number.find_first_not_of("0123456789") == number.npos;
    if (part.empty() || part.find(' ') != part.npos || !digits) {
      std::string known;
      for (const std::string& name : names)
        known += (known.empty() ? "; goals of the skills: " : ", ") + name;
      fail("the goal {} is no goal of the skills{} and no list of facts as in \"wood >= 3, axe\"{}",
           in_quotes(text), meant_name(text, names), known);
    }
    goal.facts[part] = std::stoll(number);
    at = end + 1;
  }
  return goal;
}

std::string skills_text(const SkillSet& set) {
  std::string out;
  for (const SkillRow& row : set.rows) {
    const Skill& s = row.skill;
    Facts tools = s.needs;
    std::string near;
    for (const auto& [name, n] : s.needs)
      if (size_t at = name.find("@{"); at != name.npos)
        near += (near.empty() ? "" : ", ") + name.substr(0, at);
    for (const auto& [name, n] : s.consumes) tools.erase(name);
    std::string line = part_text("needs", tools) + (near.empty() ? "" : "; near " + near) +
                       part_text("takes", s.consumes) + part_text("gives", s.produces);
    if (!line.empty()) out += fmt::format("{}: {}\n", s.name, line.substr(2));
  }
  return out;
}

}  // namespace longspan::agent
