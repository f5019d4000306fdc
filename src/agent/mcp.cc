#include "agent/mcp.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace longspan::agent {

namespace {

constexpr const char* kVersions[] = {"2025-06-18", "2025-03-26", "2024-11-05"};
constexpr int kMostPages = 1000, kMostMessages = 100000;
constexpr int kMethodNotFound = -32601;

std::string text_of(const Json& object, const char* key) {
  return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}

/// One item of the content of a result.
std::string content_text(const Json& item) {
  if (!item.is_object()) return "";
  std::string type = text_of(item, "type");
  if (type == "text") return text_of(item, "text");
  if (type == "resource" && item.contains("resource") && item["resource"].is_object()) {
    const Json& resource = item["resource"];
    std::string text = text_of(resource, "text");
    return text.empty() ? fmt::format("({})", excerpt(text_of(resource, "uri"), 200)) : text;
  }
  if (type == "resource_link") return fmt::format("({})", excerpt(text_of(item, "uri"), 200));
  return fmt::format("({}, {}, {} bytes of base64)", excerpt(type, 20),
                     excerpt(text_of(item, "mimeType"), 40), text_of(item, "data").size());
}

class Server {
 public:
  Server(const std::vector<std::string>& argv, const ChildLimits& limits)
      : name_(argv[0]), limits_(limits), child_(argv) {
    for (size_t i = 1; i < argv.size(); ++i) name_ += " " + argv[i];
    name_ = "the MCP server " + in_quotes(name_);
    greet();
  }

  std::vector<Tool> list() {
    Json all = Json::array(), params = Json::object();
    for (int page = 0; page < kMostPages; ++page) {
      Json result = result_of("tools/list", params);
      if (!result.is_object() || !result.contains("tools") || !result["tools"].is_array())
        fail("{} answered tools/list with {}, expected \"tools\"", name_, excerpt_json(result));
      for (Json& tool : result["tools"]) all.push_back(std::move(tool));
      std::string cursor = text_of(result, "nextCursor");
      if (cursor.empty()) return read_tools(all, name_);
      params["cursor"] = cursor;
    }
    fail("{} gave {} pages of tools and more to come; it seems to repeat itself", name_, kMostPages);
  }

  ToolResult call(const ToolCall& call) {
    std::optional<RpcMessage> answer =
        ask("tools/call", {{"name", call.tool}, {"arguments", call.arguments}});
    if (!answer) {
      send({{"jsonrpc", "2.0"},
            {"method", "notifications/cancelled"},
            {"params", {{"requestId", last_id_}, {"reason", "timeout"}}}});
      return {fmt::format("{} failed: {}", call.tool, fault_text(ChildFault::Late, limits_)), true};
    }
    if (answer->kind == RpcMessage::Kind::Result) return read_call_result(answer->body);
    return {call.tool + " failed: " + fault_of(answer->body), true};
  }

 private:
  void greet() {
    Json result =
        result_of("initialize", {{"protocolVersion", kVersions[0]},
                                 {"capabilities", Json::object()},
                                 {"clientInfo", {{"name", "longspan"}, {"version", LONGSPAN_VERSION}}}});
    std::string version = result.is_object() ? text_of(result, "protocolVersion") : "";
    if (std::find(std::begin(kVersions), std::end(kVersions), version) == std::end(kVersions))
      fail("{} speaks version {} of the protocol, expected {} or {}", name_, in_quotes(version, 40),
           kVersions[0], "an older one (2025-03-26, 2024-11-05)");
    send({{"jsonrpc", "2.0"}, {"method", "notifications/initialized"}});
  }

  void send(const Json& message) { check(child_.write(dump_json(message) + "\n", limits_)); }

  void check(ChildFault fault) {
    if (fault == ChildFault::None) return;
    std::string words;
    if (fault == ChildFault::Ended) {
      if (int status = child_.wait_status(); status >= 0) words = fmt::format(" with status {}", status);
      if (std::string last = child_.last_words(); !last.empty()) words += ": " + excerpt(last, 200);
    }
    fail("{}: {}{}", name_, fault_text(fault, limits_), words);
  }

  /// What a JSON-RPC error says.
  static std::string fault_of(const Json& error) {
    std::string message = error.is_object() ? text_of(error, "message") : "";
    return message.empty() ? excerpt_json(error, 200) : excerpt(message, 500);
  }

  Json result_of(const char* method, const Json& params) {
    std::optional<RpcMessage> answer = ask(method, params);
    if (!answer) check(ChildFault::Late);
    if (answer->kind == RpcMessage::Kind::Fault)
      fail("{} refused {}: {}", name_, method, fault_of(answer->body));
    return std::move(answer->body);
  }

  /// Nothing when the answer is late; the server may still be well.
  std::optional<RpcMessage> ask(const char* method, const Json& params) {
    int64_t id = ++last_id_;
    send({{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}});
    for (int i = 0; i < kMostMessages; ++i) {
      std::string line;
      ChildFault fault = child_.read_line(line, limits_);
      if (fault == ChildFault::Late) return std::nullopt;
      check(fault);
      if (line.find_first_not_of(" \t\r") == line.npos) continue;
      RpcMessage message = read(line);
      if (message.kind == RpcMessage::Kind::Notification) continue;
      if (message.kind == RpcMessage::Kind::Request) {
        refuse(message);
      } else if (message.id == id) {
        return message;
      }  // else the answer to a call that was given up
    }
    fail("{} sent {} messages and no answer to {}", name_, kMostMessages, method);
  }

  RpcMessage read(const std::string& line) {
    try {
      return read_message(line);
    } catch (const Error& e) {
      fail("{} wrote {}, which is no message of JSON-RPC: {}", name_, in_quotes(line), e.what());
    }
  }

  /// We offer nothing but to be there.
  void refuse(const RpcMessage& request) {
    if (request.method == "ping")
      return send({{"jsonrpc", "2.0"}, {"id", request.id}, {"result", Json::object()}});
    send({{"jsonrpc", "2.0"},
          {"id", request.id},
          {"error", {{"code", kMethodNotFound}, {"message", "not supported by this client"}}}});
  }

  std::string name_;
  ChildLimits limits_;
  Child child_;
  int64_t last_id_ = 0;
};

}  // namespace

RpcMessage read_message(std::string_view line) {
  Json json = parse_json(line, "message");
  if (!json.is_object()) fail("it is {}, expected an object", excerpt_json(json));
  if (text_of(json, "jsonrpc") != "2.0") fail("it has no \"jsonrpc\": \"2.0\"");
  RpcMessage message;
  bool has_id = json.contains("id") && (json["id"].is_number_integer() || json["id"].is_string());
  if (json.contains("id") && !has_id && !(json["id"].is_null() && json.contains("error")))
    fail("its id is {}, expected a number or a text", excerpt_json(json["id"]));
  if (json.contains("id")) message.id = json["id"];
  message.method = text_of(json, "method");
  if (!message.method.empty()) {
    message.kind = has_id ? RpcMessage::Kind::Request : RpcMessage::Kind::Notification;
    if (json.contains("params")) message.body = std::move(json["params"]);
  } else if (json.contains("result") && has_id) {
    message.kind = RpcMessage::Kind::Result;
    message.body = std::move(json["result"]);
  } else if (json.contains("error")) {
    message.kind = RpcMessage::Kind::Fault;
    message.body = std::move(json["error"]);
  } else {
    fail("it has neither a method nor a result nor an error");
  }
  return message;
}

ToolResult read_call_result(const Json& result) {
  ToolResult out;
  if (!result.is_object()) return {"an answer that is no object: " + excerpt_json(result, 200), true};
  if (result.contains("content") && result["content"].is_array())
    for (const Json& item : result["content"]) {
      std::string text = content_text(item);
      if (!out.text.empty() && !text.empty()) out.text += "\n";
      out.text += text;
    }
  out.failed = result.contains("isError") && result["isError"] == true;
  if (result.contains("structuredContent")) {
    out.facts = facts_of(result["structuredContent"]);
    if (out.text.empty()) out.text = dump_json(result["structuredContent"]);
  } else if (out.text.starts_with('{')) {
    try {
      out.facts = facts_of(parse_json(out.text, "answer"));
    } catch (const Error&) {  // a text that begins with a brace
    }
  }
  if (out.text.empty()) out.text = "(no output)";
  return out;
}

ToolSet mcp_tools(const std::vector<std::string>& argv, const ChildLimits& limits) {
  auto server = std::make_shared<Server>(argv, limits);
  ToolSet set{.tools = server->list(), .run = {}};
  set.run = [server](const ToolCall& call) { return server->call(call); };
  return set;
}

}  // namespace longspan::agent
