#include "suites/known_scores.h"

#include <cmath>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "base/error.h"
#include "base/resource.h"

namespace longspan {

namespace {

constexpr const char* kFolder = "known_scores/";

std::string text(const toml::table& table, const char* key) { return table[key].value_or(std::string()); }

/// The scores of one table, one for each model and column.
void read_table(const toml::table& table, const std::string& file, std::vector<KnownScore>& out) {
  const toml::array *tasks = table["tasks"].as_array(), *lengths = table["lengths"].as_array();
  const toml::table* models = table["models"].as_table();
  if (!tasks == !lengths || !models)
    fail("{}: a table of {} has not tasks or lengths, and models", file, text(table, "suite"));
  size_t columns = (tasks ? tasks : lengths)->size();
  for (const auto& [model, row] : *models) {
    const toml::array* scores = row.as_array();
    if (!scores || scores->size() != columns)
      fail("{}: {} has not {} scores", file, std::string(model.str()), columns);
    for (size_t i = 0; i < columns; ++i) {
      KnownScore known{std::string(model.str()), text(table, "task"), 0, 0, text(table, "source")};
      if (tasks)
        known.task = (*tasks)[i].value_or(std::string());
      else
        known.length = (*lengths)[i].value_or(int64_t{0});
      known.score = (*scores)[i].value_or(std::nan(""));
      if (!std::isnan(known.score)) out.push_back(std::move(known));
    }
  }
}

}  // namespace

std::vector<KnownScore> known_scores(std::string_view suite, std::string_view dialect) {
  std::vector<KnownScore> out;
  for (const std::string& file : resource_names(kFolder)) {
    toml::table all = toml::parse(resource(file), file);
    const toml::array* tables = all["table"].as_array();
    if (!tables) fail("{}: holds no [[table]]", file);
    for (const toml::node& node : *tables) {
      const toml::table* table = node.as_table();
      if (table && text(*table, "suite") == suite && text(*table, "dialect") == dialect)
        read_table(*table, file, out);
    }
  }
  return out;
}

}  // namespace longspan
