#include "eval/results.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

bool id_less(const CaseResult& c, const std::string& id) { return c.id < id; }

std::vector<fs::path> result_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with("results.") && name.ends_with(".jsonl")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Adds the cases of one file whose ids are new.
void read_file_of_results(const fs::path& file, const RunSettings& settings, std::set<std::string>& ids,
                          std::vector<CaseResult>& cases) {
  std::string text = read_file(file);
  size_t number = 0;
  for (size_t at = 0, end = 0; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    std::string where = fmt::format("{}:{}", file.string(), ++number);
    std::string_view line = std::string_view(text).substr(at, end - at);
    if (end == text.size() && !Json::accept(line)) return;  // its writer was killed
    CaseResult result = read_result_line(line, where);
    if (!find_task(settings, result.task))
      fail("{}: settings.json has no task {}; remove what is damaged and run the same command again", where,
           in_quotes(result.task));
    if (ids.insert(result.id).second) cases.push_back(std::move(result));
  }
}

}  // namespace

RunResults read_run(const fs::path& folder) {
  fs::path file = folder / "settings.json";
  if (!fs::exists(file))
    fail("{}: holds no settings.json, so it is no folder of `longspan eval`", folder.string());
  RunResults run{folder, run_settings_from_json(parse_json_file(file), file.string()), {}};
  std::set<std::string> ids;
  for (const fs::path& results : result_files(folder))
    read_file_of_results(results, run.settings, ids, run.cases);
  std::sort(run.cases.begin(), run.cases.end(),
            [](const CaseResult& a, const CaseResult& b) { return id_less(a, b.id); });
  return run;
}

const CaseResult* find_case(const RunResults& run, const std::string& id) {
  auto at = std::lower_bound(run.cases.begin(), run.cases.end(), id, id_less);
  return at == run.cases.end() || at->id != id ? nullptr : &*at;
}

}  // namespace longspan
