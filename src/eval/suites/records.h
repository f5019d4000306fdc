// Records of JSONL, a line each, wherever they lie; faults are named by file and line.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/json.h"

namespace longspan {

/// False ends the reading. `where`: "FILE:LINE".
using OnRecord = std::function<bool(Json&& record, const std::string& where)>;

/// Of a file of the user's, which may lie compressed. Blank lines are passed over. Error when a line is no
/// JSON object.
void read_records(const std::filesystem::path& file, const OnRecord& body);
/// Of one built into the program: "short/questions.jsonl.zst".
void read_resource_records(const std::string& name, const OnRecord& body);

/// A text of a record. Error when it is missing, empty or no text: where and key.
std::string text_field(const Json& record, const char* key, const std::string& where);

}  // namespace longspan
