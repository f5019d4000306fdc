// Tools at the border: plain data about each, and one function that runs any of them. What a tool says is
// data: text that is quoted to whoever chooses, and counted facts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace longspan::agent {

/// How many there are of what is known by its name ("wood": 3, "at:mill": 1). Absent counts as 0.
using Facts = std::map<std::string, int64_t>;
constexpr int64_t kMostOfAFact = 1'000'000'000;

int64_t count(const Facts& facts, const std::string& name);
/// Whether there are at least as many as `needs` says of each.
bool holds(const Facts& needs, const Facts& facts);
/// What `newer` says of a fact counts.
void merge(Facts& facts, const Facts& newer);
/// "2 wood, 1 axe"; "nothing".
std::string facts_text(const Facts& facts);
/// The "facts" of an object: whole numbers from 0 to kMostOfAFact under names of up to 200 bytes without
/// control characters. Foreign data: whatever else it holds is left out.
Facts facts_of(const Json& value);

struct Tool {
  std::string name, description;
  Json parameters = {{"type", "object"}};  // a JSON schema
};

struct ToolCall {
  std::string tool;
  Json arguments = Json::object();
  bool operator==(const ToolCall&) const;  // whatever the order of keys
};
/// go {"place":"mill"}
std::string call_text(const ToolCall& call);

struct ToolResult {
  std::string text;
  bool failed = false;
  Facts facts = {};  // what it reports; a fact that is not there has not changed
  bool operator==(const ToolResult&) const = default;
};

struct ToolSet {
  std::vector<Tool> tools;
  std::function<ToolResult(const ToolCall&)> run;  // Error when the tool itself is gone (a server that died)
  std::function<ToolResult()> observe = {};        // what is seen before anything was done; may be empty
};

/// All of them as one; a call goes to the set that has the tool. Error for a name that two have.
ToolSet joined(std::vector<ToolSet> sets);

/// What a list of tools says of each: {"name", "description", "parameters"}, OpenAI's form of it
/// ({"type": "function", "function": {...}}), or MCP's ("inputSchema"). Error naming `source`, the number of
/// the tool and what is wrong.
std::vector<Tool> read_tools(const Json& list, const std::string& source);

/// What a model is told of tools, a line each: the name and the schema as JSON, the description.
std::string tools_text(const std::vector<Tool>& tools);

/// A text from a tool as it is shown: UTF-8 without control characters other than line ends, its first
/// `most` bytes, each line behind "> ", so that nothing inside can look like what stands around it.
std::string quoted(const std::string& text, size_t most = 4000);

}  // namespace longspan::agent
