// JSON values and their text. Objects keep the order of their keys; parse errors become an Error that names
// the source.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace longspan {

using Json = nlohmann::ordered_json;

/// Parses `text`; `source` (a file name) opens the error sentence. A duplicate key in an object is an error
/// that names it, because readers disagree on which one counts (AquilaChat2-34B-16K was published like that).
Json parse_json(std::string_view text, std::string_view source);
Json parse_json_file(const std::filesystem::path& path);

/// One line of JSON; bytes that are not UTF-8 become U+FFFD instead of an exception.
std::string dump_json(const Json& value);

/// excerpt() of that line: foreign JSON made fit for a message.
std::string excerpt_json(const Json& value, size_t most = 80);

}  // namespace longspan
