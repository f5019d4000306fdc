#include "agent/tools.h"

#include <algorithm>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/plural.h"
#include "base/text.h"

namespace longspan::agent {

namespace {

constexpr size_t kMostFacts = 10000, kLongestName = 200;

/// Of one tool, in any of the three forms.
Tool read_tool(const Json& row, const std::string& where) {
  if (!row.is_object()) fail("{} is {}, expected an object with a name", where, excerpt_json(row));
  const Json& inner = row.contains("function") ? row["function"] : row;
  if (!inner.is_object()) fail("{}: \"function\" is {}, expected an object", where, excerpt_json(inner));
  if (!inner.contains("name") || !inner["name"].is_string()) fail("{} has no \"name\"", where);
  Tool tool{.name = inner["name"], .description = ""};
  if (tool.name.empty() || tool.name.size() > kLongestName)
    fail("{}: its name has {}, expected 1 to {}", where,
         counted(static_cast<int64_t>(tool.name.size()), "byte"), kLongestName);
  if (inner.contains("description") && inner["description"].is_string())
    tool.description = inner["description"];
  for (const char* key : {"parameters", "inputSchema"})
    if (inner.contains(key) && !inner[key].is_null()) tool.parameters = inner[key];
  if (!tool.parameters.is_object())
    fail("{}: the parameters of {} are {}, expected a JSON schema", where, in_quotes(tool.name),
         excerpt_json(tool.parameters));
  return tool;
}

}  // namespace

int64_t count(const Facts& facts, const std::string& name) {
  auto found = facts.find(name);
  return found == facts.end() ? 0 : found->second;
}

bool holds(const Facts& needs, const Facts& facts) {
  return std::all_of(needs.begin(), needs.end(),
                     [&](const auto& need) { return count(facts, need.first) >= need.second; });
}

void merge(Facts& facts, const Facts& newer) {
  for (const auto& [name, n] : newer) facts[name] = n;
}

std::string facts_text(const Facts& facts) {
  std::string out;
  for (const auto& [name, n] : facts)
    if (n > 0) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", n, name);
  return out.empty() ? "nothing" : out;
}

Facts facts_of(const Json& value) {
  Facts facts;
  if (!value.is_object() || !value.contains("facts") || !value["facts"].is_object()) return facts;
  for (const auto& [name, n] : value["facts"].items()) {
    if (facts.size() == kMostFacts) break;
    auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; };
    if (name.empty() || name.size() > kLongestName || std::any_of(name.begin(), name.end(), control))
      continue;
    if (!n.is_number_integer()) continue;
    if (n.is_number_unsigned() ? n.get<uint64_t>() > kMostOfAFact
                               : n.get<int64_t>() < 0 || n.get<int64_t>() > kMostOfAFact)
      continue;
    facts[name] = n.get<int64_t>();
  }
  return facts;
}

bool ToolCall::operator==(const ToolCall& other) const {
  auto sorted = [](const Json& value) { return nlohmann::json(value); };
  return tool == other.tool && sorted(arguments) == sorted(other.arguments);
}

std::string call_text(const ToolCall& call) { return call.tool + " " + dump_json(call.arguments); }

ToolSet joined(std::vector<ToolSet> sets) {
  ToolSet all;
  auto owners = std::make_shared<std::map<std::string, std::function<ToolResult(const ToolCall&)>>>();
  for (ToolSet& set : sets) {
    for (Tool& tool : set.tools) {
      if (!owners->emplace(tool.name, set.run).second)
        fail("two tools have the name {}; leave one of them out", in_quotes(tool.name));
      all.tools.push_back(std::move(tool));
    }
    if (set.observe && !all.observe) all.observe = set.observe;
  }
  all.run = [owners](const ToolCall& call) {
    auto owner = owners->find(call.tool);
    if (owner == owners->end()) return ToolResult{"there is no tool " + in_quotes(call.tool), true};
    return owner->second(call);
  };
  return all;
}

std::vector<Tool> read_tools(const Json& list, const std::string& source) {
  if (!list.is_array()) fail("{}: the tools are {}, expected a list", source, excerpt_json(list));
  std::vector<Tool> tools;
  std::set<std::string> names;
  for (const Json& row : list) {
    tools.push_back(read_tool(row, fmt::format("{}: tool {}", source, tools.size() + 1)));
    if (!names.insert(tools.back().name).second)
      fail("{}: two tools have the name {}", source, in_quotes(tools.back().name));
  }
  return tools;
}

std::string tools_text(const std::vector<Tool>& tools) {
  std::string out;
  for (const Tool& tool : tools)
    out += fmt::format("{}: {}\n", dump_json({{"tool", tool.name}, {"parameters", tool.parameters}}),
                       excerpt(tool.description, 1000));
  return out;
}

std::string quoted(const std::string& text, size_t most) {
  std::string shown = text.substr(0, most), out = "> ";
  if (text.size() > most) shown.resize(complete_utf8_prefix(shown));
  shown = valid_utf8(shown);
  while (shown.ends_with('\n')) shown.pop_back();
  for (char c : shown) {
    if (c == '\n')
      out += "\n> ";
    else if (c == '\t')
      out += ' ';
    else if (static_cast<unsigned char>(c) >= ' ' && c != 0x7f)
      out += c;
  }
  if (text.size() > most) out += fmt::format("\n> (cut: {} in all)", counted(std::ssize(text), "byte"));
  return out;
}

}  // namespace longspan::agent
