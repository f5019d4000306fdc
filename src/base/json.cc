#include "base/json.h"

#include <set>

#include "base/error.h"
#include "base/file.h"

namespace longspan {

namespace {

/// Follows the parser's events to find an object that holds one key twice, which a DOM parser would hide.
class DuplicateKeys {
 public:
  std::string found;
  bool operator()(int, Json::parse_event_t event, Json& value) {
    using E = Json::parse_event_t;
    if (event == E::object_start) open_.emplace_back();
    if (event == E::object_end) open_.pop_back();
    if (event == E::key && !open_.back().insert(value.get<std::string>()).second && found.empty())
      found = value.get<std::string>();
    return true;
  }

 private:
  std::vector<std::set<std::string>> open_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view source) {
  DuplicateKeys duplicates;
  Json value;
  try {
    value = Json::parse(text, std::ref(duplicates));
  } catch (const nlohmann::json::exception& e) {
    fail("{}: is not valid JSON: {}", source, e.what());
  }
  if (!duplicates.found.empty())
    fail("{}: the key \"{}\" stands twice in one object; remove one, readers disagree on which counts", source,
         duplicates.found);
  return value;
}

Json parse_json_file(const std::filesystem::path& path) { return parse_json(read_file(path), path.string()); }

std::string dump_json(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace longspan
