// Servers of the Model Context Protocol as tools: a program that speaks JSON-RPC 2.0 over its standard input
// and output, one message a line (modelcontextprotocol.io, specification 2025-06-18, transport stdio).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/child.h"
#include "agent/tools.h"

namespace longspan::agent {

/// A message of the other side.
struct RpcMessage {
  enum class Kind { Result, Fault, Request, Notification };
  Kind kind = Kind::Notification;
  Json id;             // of the others than notifications
  std::string method;  // of requests and notifications
  Json body;           // result, error, or params; null where there is none
};

/// Error that says what is wrong: no JSON, no object, not "jsonrpc": "2.0", neither a result nor an error nor
/// a method, an id that is neither a number nor a text.
RpcMessage read_message(std::string_view line);

/// What a result of tools/call says: the texts of its content one after the other, other content by its
/// kind, facts from structuredContent or from a text that is a JSON object.
ToolResult read_call_result(const Json& result);

/// Starts the server, which ends with the last copy of the set. initialize (the protocol's versions that we
/// know: 2025-06-18, 2025-03-26, 2024-11-05), notifications/initialized, tools/list page by page. A call
/// gives what the server answers; errors of the protocol, and no answer in time, are failed results. Error
/// when the server cannot be started, ends, is late before the first call, writes what is no message or too
/// much, or negotiates another version.
ToolSet mcp_tools(const std::vector<std::string>& argv, const ChildLimits& limits);

}  // namespace longspan::agent
