#include "cli/llama_bench.h"

#include <cctype>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/process.h"

namespace longspan::cli {

namespace {

std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

/// As the options of llama-bench have it: "q8_0".
std::string type_name(DType type) {
  std::string text = name(type);
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

double run_llama_bench(const std::string& program, const PeerTest& test) {
  std::vector<std::string> command = {program, "-m", test.model.string(), "-o", "json", "-r", "1",
                                      "-fa",   "1"};
  for (const auto& [option, value] : {std::pair<const char*, int64_t>{"-p", test.read},
                                      {"-n", test.write},
                                      {"-d", test.depth},
                                      {"-t", test.threads}})
    command.insert(command.end(), {option, std::to_string(value)});
  command.insert(command.end(),
                 {"-ctk", type_name(test.cache_types.keys), "-ctv", type_name(test.cache_types.values)});
  if (test.on_host) command.insert(command.end(), {"-ngl", "0"});
  ProcessResult run = run_process(command, true);
  if (run.status == 127) fail("--against {}: the program was not found", program);
  if (run.status != 0)
    fail("--against {}: it ended with status {}: {}", program, run.status,
         excerpt(last_line(run.errors), 200));
  Json rows = parse_json(run.output, program);
  if (!rows.is_array() || rows.size() != 1 || !rows[0].is_object() || !rows[0].contains("avg_ts") ||
      !rows[0]["avg_ts"].is_number() || !(rows[0]["avg_ts"] > 0))
    fail("--against {}: expected the JSON of one test with \"avg_ts\", got {}", program,
         excerpt(run.output, 80));
  return rows[0]["avg_ts"];
}

}  // namespace longspan::cli
