// Tools that are programs: a JSON file describes each and names its command, which gets the arguments as one
// JSON object on its standard input and answers on its standard output.
#pragma once

#include <filesystem>

#include "agent/child.h"
#include "agent/tools.h"

namespace longspan::agent {

/// {"tools": [...]} or a list; each tool as read_tools reads it, with "command": ["program", "argument"] and
/// optionally "seconds" (0.1 to 3600) for one call. Output that is a JSON object with "facts" reports facts;
/// an exit status other than 0 is a failure, with the last line of standard error. Error naming the file.
ToolSet command_tools(const std::filesystem::path& file, const ChildLimits& limits);

}  // namespace longspan::agent
