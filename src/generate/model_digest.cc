#include "generate/model_digest.h"

#include "base/error.h"
#include "base/json.h"
#include "model/file_digest.h"

namespace longspan {

namespace {

Json read_known(const std::filesystem::path& known) {
  try {
    if (Json json = parse_json_file(known); json.is_object()) return json;
  } catch (const Error&) {
    // Missing or damaged: digested once more.
  }
  return Json::object();
}

}  // namespace

std::string model_digest(const Engine& engine, const std::filesystem::path& known) {
  constexpr size_t kMostKnown = 256;  // files; beyond, most are of models that are gone
  Json digests = read_known(known);
  bool changed = false;
  std::string all = engine.config_text();
  for (const MappedFile& file : engine.files()) {
    auto found = digests.find(file.stamp());
    if (found == digests.end() || !found->is_string()) {
      if (digests.size() >= kMostKnown) digests.clear();
      digests[file.stamp()] = file_digest(file.bytes());
      found = digests.find(file.stamp());
      changed = true;
    }
    all += "\n" + found->get<std::string>();
  }
  try {
    if (changed) write_file_atomic(known, dump_json(digests));
  } catch (const Error&) {
    // A folder that only can be read.
  }
  return text_digest(all);
}

}  // namespace longspan
