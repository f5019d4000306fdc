#include "eval/suites/records.h"

#include "base/error.h"
#include "base/resource.h"
#include "data/compressed.h"
#include "data/documents.h"

namespace longspan {

namespace {

bool read_record(std::string_view line, const std::string& where, const OnRecord& body) {
  if (line.find_first_not_of(" \t\r") == line.npos) return true;
  Json record = parse_json(line, where);
  if (!record.is_object()) fail("{}: is no JSON object", where);
  return body(std::move(record), where);
}

}  // namespace

void read_records(const std::filesystem::path& file, const OnRecord& body) {
  read_lines(file, [&](std::string_view line, int64_t number) {
    return read_record(line, fmt::format("{}:{}", file.string(), number), body);
  });
}

void read_resource_records(const std::string& name, const OnRecord& body) {
  const std::string text = unpack(resource(name), name);
  std::string_view rest = text;
  for (int64_t number = 1; !rest.empty(); ++number) {
    size_t end = std::min(rest.find('\n'), rest.size());
    if (!read_record(rest.substr(0, end), fmt::format("{}:{}", name, number), body)) return;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

std::string text_field(const Json& record, const char* key, const std::string& where) {
  auto at = record.find(key);
  if (at == record.end() || !at->is_string() || at->get_ref<const std::string&>().empty())
    fail("{}: needs a text \"{}\"", where, key);
  return at->get<std::string>();
}

}  // namespace longspan
