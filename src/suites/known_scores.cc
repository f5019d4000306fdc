#include "suites/known_scores.h"

#include <fmt/core.h>

#include <cmath>

#include "base/resource.h"
#include "base/settings.h"

namespace longspan {

namespace {

constexpr const char* kFolder = "known_scores/";

/// What one table says, a row for each model and column.
void read_table(Settings& table, std::string_view suite, std::string_view dialect,
                std::vector<KnownScore>& out) {
  std::string of_suite, of_dialect, source, task;
  std::vector<std::string> tasks;
  std::vector<int64_t> lengths;
  table.require({"suite", "dialect", "source", "models"});
  table.read("suite", of_suite);
  table.read("dialect", of_dialect);
  table.read("source", source);
  table.read("task", task);
  bool by_task = table.read("tasks", tasks), by_length = table.read("lengths", lengths, 1);
  if (by_task == by_length) table.refuse("tasks", "either tasks or lengths are needed");
  size_t columns = by_task ? tasks.size() : lengths.size();
  bool wanted = of_suite == suite && of_dialect == dialect;
  const Json& models = table.object("models");
  for (const auto& [model, scores] : models.items()) {
    if (!scores.is_array() || scores.size() != columns)
      table.refuse("models." + model, fmt::format("expected a list of {} scores", columns));
    for (size_t i = 0; wanted && i < columns; ++i) {
      KnownScore known{model, by_task ? tasks[i] : task, by_task ? 0 : lengths[i], 0, source};
      if (!scores[i].is_number())
        table.refuse("models." + model, "expected numbers, nan where there is none");
      known.score = scores[i];
      if (!std::isnan(known.score)) out.push_back(std::move(known));
    }
  }
}

}  // namespace

std::vector<KnownScore> known_scores(std::string_view suite, std::string_view dialect) {
  std::vector<KnownScore> out;
  for (const std::string& file : resource_names(kFolder)) {
    TomlFile toml = parse_toml(resource(file), file);
    Settings all(toml.values, {.file = file, .places = &toml.places});
    all.tables("table", [&](Settings& table) { read_table(table, suite, dialect, out); });
    all.done();
  }
  return out;
}

}  // namespace longspan
