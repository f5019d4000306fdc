#include "agent/transcript.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/text.h"

namespace longspan::agent {

namespace {

constexpr const char* kKind = "longspan agent 1";

RecordedStep read_step(const Json& line, const std::string& where) {
  auto is = [&](const Json& object, const char* key, bool (Json::*type)() const noexcept) {
    return object.contains(key) && (object[key].*type)();
  };
  if (!line.is_object() || !is(line, "step", &Json::is_number_integer) ||
      !is(line, "call", &Json::is_object) || !is(line["call"], "tool", &Json::is_string) ||
      !line["call"].contains("arguments") || !is(line, "result", &Json::is_object) ||
      !is(line["result"], "text", &Json::is_string) || !is(line["result"], "failed", &Json::is_boolean))
    fail("{} is {}, expected a step with its call and its result", where, excerpt_json(line));
  const Json &call = line["call"], &result = line["result"];
  return {
      line["step"], {call["tool"], call["arguments"]}, {result["text"], result["failed"], facts_of(result)}};
}

}  // namespace

Json to_json(const Step& step) {
  Json recalled = Json::array();
  for (size_t number : step.turn.recalled) recalled.push_back(number + 1);
  return {{"step", step.number},
          {"observation", step.turn.observation},
          {"choices", step.turn.choices},
          {"tools", step.turn.tools},
          {"advice", step.turn.advice},
          {"recalled", std::move(recalled)},
          {"choice", step.turn.choice},
          {"call", {{"tool", step.call.tool}, {"arguments", step.call.arguments}}},
          {"result",
           {{"text", step.result.text}, {"failed", step.result.failed}, {"facts", Json(step.result.facts)}}},
          {"read", step.read},
          {"written", step.written},
          {"history", step.history},
          {"forgotten", step.forgotten},
          {"seconds", step.seconds}};
}

Json to_json(const Outcome& outcome) {
  return {{"end", name(outcome.end)},
          {"sentence", outcome.sentence},
          {"answer", outcome.end == End::Answered ? Json(outcome.answer) : Json()},
          {"steps", outcome.steps},
          {"read", outcome.read},
          {"written", outcome.written},
          {"history", outcome.history},
          {"forgotten", outcome.forgotten},
          {"seconds", outcome.seconds}};
}

TranscriptWriter::TranscriptWriter(const std::filesystem::path& path, const Json& about)
    : path_(path), file_(std::fopen(path.c_str(), "wxe"), std::fclose) {
  if (!file_ && errno == EEXIST)
    fail("{} already exists; give --transcript another name, or remove it", path.string());
  if (!file_) fail("{} cannot be written: {}", path.string(), std::strerror(errno));
  Json first = {{"transcript", kKind}};
  first.update(about);
  line(first);
}

void TranscriptWriter::line(const Json& value) {
  std::string text = dump_json(value) + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() || std::fflush(file_.get()) != 0)
    fail("{} cannot be written: {}", path_.string(), std::strerror(errno));
}

void TranscriptWriter::step(const Step& step) { line(to_json(step)); }
void TranscriptWriter::end(const Outcome& outcome) { line(to_json(outcome)); }

Transcript read_transcript(std::string_view text, const std::string& source) {
  Transcript out;
  int64_t number = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    out.cut = end == text.npos;
    if (out.cut) break;
    std::string where = fmt::format("{}, line {}", source, ++number);
    Json line = parse_json(text.substr(at, end - at), where);
    at = end + 1;
    if (number == 1) {
      if (!line.is_object() || !line.contains("transcript") || line["transcript"] != kKind)
        fail("{} is {}, expected the transcript of an agent", where, excerpt_json(line));
      out.about = std::move(line);
    } else if (line.is_object() && line.contains("end")) {
      out.end = std::move(line);
    } else {
      out.steps.push_back(read_step(line, where));
    }
  }
  if (number == 0) fail("{}: it holds no line, expected the transcript of an agent", source);
  return out;
}

int64_t replay(const Transcript& transcript, const ToolSet& tools,
               const std::function<void(const RecordedStep&, const ToolResult&)>& differs,
               const std::function<bool()>& go_on) {
  int64_t done = 0;
  if (tools.observe) tools.observe();
  for (const RecordedStep& step : transcript.steps) {
    if (go_on && !go_on()) break;
    ToolResult now = tools.run(step.call);
    if (now != step.result) differs(step, now);
    ++done;
  }
  return done;
}

}  // namespace longspan::agent
