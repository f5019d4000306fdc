// Everything that decides the scores of a run: settings.json in its folder, and "settings" in its summary. A
// run with other settings is refused in the same folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "score/metrics.h"

namespace longspan {

/// A task of the suite as the run asks it.
struct TaskSettings {
  std::string name, what, category;
  std::vector<std::string> metrics;
  std::string combine;  // of several metrics one score (Task::combine)
  std::string maker;
  int64_t cases = 0;          // planned
  Json row = Json::object();  // the merged row of the suite's file, for the report
};

/// The server that was asked instead of a local model.
struct EndpointSettings {
  std::string url, model;
  bool chat = false;
};

struct RunSettings {
  std::string suite, what, paper, dialect;
  Scoring scoring = Scoring::kCompat;  // which of the two counts
  std::string model;
  std::string position;  // canonical (position/parse.h)
  std::string cache_type, compute, kernels;
  int64_t chunk = 0;
  std::string draft;      // "": off
  std::string attention;  // "": dense
  std::string evict;      // "": off
  std::string adapter, chat_template, data, length_tokenizer;
  std::vector<std::string> overrides;
  std::string command;               // asks the same again
  std::optional<std::string> jieba;  // the dictionary, where a metric segments Chinese
  std::optional<EndpointSettings> endpoint;
  int64_t window = 0;  // tokens that a case may take; 0: no bound
  uint64_t seed = 0;
  int64_t limit = 0;
  std::vector<TaskSettings> tasks;   // names are unique
  std::vector<std::string> missing;  // sentences on what was left out
};

const char* name_of(Scoring scoring);

Json to_json(const TaskSettings& task);
Json to_json(const RunSettings& settings);
/// Fields that this version does not know are passed over. Error opens with `where` and names the field.
RunSettings run_settings_from_json(const Json& json, const std::string& where);

/// Null when the run has no such task.
const TaskSettings* find_task(const RunSettings& settings, const std::string& name);

/// "smollm2, yarn:factor=2": the model's name, and its positions unless they are plain; "" if unknown.
std::string model_name(const RunSettings& settings);

}  // namespace longspan
