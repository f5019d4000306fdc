// JSON as used everywhere: objects keep the order of their keys; parse errors become Error and name their
// source.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace longspan {

using Json = nlohmann::ordered_json;

/// Parses `text`; `source` (a file name) opens the error sentence. An object that holds one key twice is an
/// error that names the key: readers disagree on which one wins (AquilaChat2-34B-16K was published so).
Json parse_json(std::string_view text, std::string_view source);
Json parse_json_file(const std::filesystem::path& path);

/// One line of JSON; bytes that are not UTF-8 become U+FFFD instead of an exception.
std::string dump_json(const Json& value);

/// excerpt() of that line: foreign JSON made fit for a message.
std::string excerpt_json(const Json& value, size_t most = 80);

}  // namespace longspan
