"""A Model Context Protocol server of the standard library alone, for tests: mcp_server.py [HOW], where HOW is how it fails."""
import json
import os
import sys
import time

HOW = sys.argv[1] if len(sys.argv) > 1 else ""


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def tool(name, what, properties):
    return {"name": name, "description": what,
            "inputSchema": {"type": "object", "properties": properties, "required": list(properties)}}


TOOLS = [tool("add", "the sum of two numbers", {"a": {"type": "integer"}, "b": {"type": "integer"}}),
         tool("echo", "says it again", {"text": {"type": "string"}}),
         tool("chop", "chops wood", {}), tool("fail", "fails", {}), tool("sleep", "sleeps", {}), tool("die", "ends", {}),
         tool("flood", "says too much", {}), tool("garbage", "breaks the protocol", {})]


def call(name, arguments):
    text = lambda t, **more: {"content": [{"type": "text", "text": t}], **more}
    if name == "add":
        return text(str(arguments["a"] + arguments["b"]))
    if name == "echo":
        return text(arguments["text"])
    if name == "chop":
        return text("one more", structuredContent={"facts": {"wood": 1}})
    if name == "fail":
        return text("it did not work", isError=True)
    if name == "sleep":
        time.sleep(3)
    if name == "die":
        print("out of coffee", file=sys.stderr, flush=True)
        os._exit(3)
    if name == "flood":
        return text("x" * 3_000_000)
    if name == "garbage":
        sys.stdout.write("Starting up...\n")
        sys.stdout.flush()
    return text("done")


def answer(message):
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        assert params["clientInfo"]["name"] == "longspan"
        # A client answers requests of the server and skips its notifications.
        send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "hello"}})
        send({"jsonrpc": "2.0", "id": "ping-1", "method": "ping"})
        assert json.loads(sys.stdin.readline()) == {"jsonrpc": "2.0", "id": "ping-1", "result": {}}
        send({"jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage", "params": {}})
        assert json.loads(sys.stdin.readline())["error"]["code"] == -32601
        version = "1999-01-01" if HOW == "version" else params["protocolVersion"]
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "test", "version": "1"}}
    if method == "tools/list":
        if HOW == "circle":
            return {"tools": [], "nextCursor": "again"}
        first = int(params.get("cursor", 0))
        return {"tools": TOOLS[first:first + 3], **({"nextCursor": str(first + 3)} if first + 3 < len(TOOLS) else {})}
    if method == "tools/call":
        if params["name"] not in [t["name"] for t in TOOLS]:
            raise KeyError(params["name"])
        return call(params["name"], params["arguments"])
    raise KeyError(method)


def main():
    if HOW == "silent":
        time.sleep(60)
    if HOW == "stubborn":
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        try:
            send({"jsonrpc": "2.0", "id": message["id"], "result": answer(message)})
        except KeyError as e:
            send({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32602, "message": f"unknown: {e}"}})
    while HOW == "stubborn":
        time.sleep(1)


main()
