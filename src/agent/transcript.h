// What an agent did, as JSON lines: what it was about, a line for each step as it ends, and what ended it.
// A run that was killed leaves all of its finished steps.
#pragma once

#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "agent/agent.h"

namespace longspan::agent {

class TranscriptWriter {
 public:
  /// Error when the file exists already or cannot be written. `about`: whatever makes the run repeatable.
  TranscriptWriter(const std::filesystem::path& path, const Json& about);
  void step(const Step& step);
  void end(const Outcome& outcome);

 private:
  void line(const Json& value);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

Json to_json(const Step& step);
Json to_json(const Outcome& outcome);

/// A step that can be done again.
struct RecordedStep {
  int64_t number = 0;
  ToolCall call;
  ToolResult result;
};
struct Transcript {
  Json about = Json::object();
  std::vector<RecordedStep> steps = {};
  Json end = {};     // null: the run was killed
  bool cut = false;  // its last line is not whole, and was left out
};
/// Error with `source` and line when a line is no step, or the first does not say what it is about.
Transcript read_transcript(std::string_view text, const std::string& source);

/// Runs the calls of the steps again; `differs` gets each step whose result is another one now, and that.
/// How many steps were run: all of them, unless `go_on` says no.
int64_t replay(const Transcript& transcript, const ToolSet& tools,
               const std::function<void(const RecordedStep&, const ToolResult&)>& differs,
               const std::function<bool()>& go_on = {});

}  // namespace longspan::agent
