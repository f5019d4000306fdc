#include "agent/command_tools.h"

#include <map>
#include <memory>

#include "base/error.h"
#include "base/text.h"

namespace longspan::agent {

namespace {

struct Command {
  std::vector<std::string> argv;
  double seconds = 0;
};

Command read_command(const Json& row, const std::string& where, double seconds) {
  const Json& inner = row.contains("command") || !row.contains("function") ? row : row["function"];
  Command command{.argv = {}, .seconds = seconds};
  if (inner.contains("command") && inner["command"].is_array())
    for (const Json& word : inner["command"])
      if (word.is_string()) command.argv.push_back(word);
  if (command.argv.empty() || command.argv.size() != inner["command"].size() || command.argv[0].empty())
    fail("{} has no \"command\", expected a list of texts as in [\"python3\", \"tool.py\"]", where);
  if (inner.contains("seconds")) {
    const Json& s = inner["seconds"];
    if (!s.is_number() || s.get<double>() < 0.1 || s.get<double>() > 3600)
      fail("{}: seconds is {}, expected a number from 0.1 to 3600", where, excerpt_json(s));
    command.seconds = s;
  }
  return command;
}

ToolResult run_command(const Command& command, const ToolCall& call, ChildLimits limits) {
  limits.seconds = command.seconds;
  Child child(command.argv);
  // A tool that needs no arguments may have ended without reading them.
  ChildFault fault = child.write(dump_json(call.arguments) + "\n", limits);
  child.close_input();
  std::string output;
  if (fault == ChildFault::None || fault == ChildFault::Ended) fault = child.read_all(output, limits);
  if (fault != ChildFault::None)
    return {fmt::format("{} failed: {}", call.tool, fault_text(fault, limits)), true};
  if (int status = child.wait_status(); status != 0)
    return {fmt::format("{} failed with status {}: {}{}", call.tool, status, output, child.last_words()),
            true};
  ToolResult result{.text = output.empty() ? "(no output)" : output};
  if (output.find_first_not_of(" \t\r\n") != output.npos &&
      output[output.find_first_not_of(" \t\r\n")] == '{') {
    try {
      result.facts = facts_of(parse_json(output, call.tool));
    } catch (const Error&) {  // a text that begins with a brace
    }
  }
  return result;
}

}  // namespace

ToolSet command_tools(const std::filesystem::path& file, const ChildLimits& limits) {
  Json all = parse_json_file(file);
  const std::string source = file.string();
  const Json& list = all.is_object() && all.contains("tools") ? all["tools"] : all;
  ToolSet set{.tools = read_tools(list, source), .run = {}};
  auto commands = std::make_shared<std::map<std::string, Command>>();
  for (size_t i = 0; i < list.size(); ++i)
    commands->emplace(set.tools[i].name,
                      read_command(list[i], fmt::format("{}: tool {}", source, i + 1), limits.seconds));
  set.run = [commands, limits](const ToolCall& call) {
    return run_command(commands->at(call.tool), call, limits);
  };
  return set;
}

}  // namespace longspan::agent
