#include "train/toml_section.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/file.h"

namespace longspan {

namespace {

std::string at(const toml::source_region& source) {
  return fmt::format("{}:{}", source.path ? *source.path : "recipe", source.begin.line);
}

/// The child of a table or, where the name is a number, of an array; null when there is none.
toml::node* child(toml::node& parent, const std::string& name) {
  if (auto* table = parent.as_table()) return table->get(name);
  size_t index = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  auto* array = parent.as_array();
  return array && error == std::errc{} && end == name.data() + name.size() && index < array->size()
             ? array->get(index)
             : nullptr;
}

/// VALUE as TOML has it; what TOML cannot read is a string without its quotes.
toml::table value_table(const std::string& text, const std::string& source) {
  try {
    return toml::parse("value = " + text, source);
  } catch (const toml::parse_error&) {
    std::string quoted;
    for (char c : text) quoted += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    try {
      return toml::parse("value = \"" + quoted + "\"", source);
    } catch (const toml::parse_error& e) {
      fail("{}: {}", source, e.description());
    }
  }
}

void override_one(toml::table& root, const std::string& text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) fail("--set {}: KEY=VALUE was expected", text);
  std::string key = text.substr(0, equals), source = "--set " + text;
  toml::table parsed = value_table(text.substr(equals + 1), source);
  toml::node* place = &root;
  for (size_t begin = 0;;) {
    size_t end = key.find('.', begin);
    std::string name = key.substr(begin, end == std::string::npos ? end : end - begin);
    if (end == std::string::npos) {
      auto* table = place->as_table();
      if (!table) fail("{}: \"{}\" is no table that could hold {}", source, key.substr(0, begin), name);
      table->insert_or_assign(name, std::move(*parsed.get("value")));
      return;
    }
    toml::node* next = child(*place, name);
    if (!next && place->as_table()) {
      place->as_table()->insert(name, toml::table{});
      next = child(*place, name);
    }
    if (!next) fail("{}: there is no {}", source, key.substr(0, end));
    place = next;
    begin = end + 1;
  }
}

}  // namespace

toml::table parse_toml(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  std::string text = read_file(file);
  try {
    toml::table table = toml::parse(text, file.string());
    for (const std::string& one : overrides) override_one(table, one);
    return table;
  } catch (const toml::parse_error& e) {
    fail("{}: {}", at(e.source()), e.description());
  }
}

const toml::node* Section::find(const char* key) {
  known_.emplace_back(key);
  return table_.get(key);
}

void Section::refuse_at(const toml::node& node, const std::string& key, const std::string& what) const {
  fail("{}: {}: {}", at(node.source()), dotted(key), what);
}

void Section::refuse(const char* key, const std::string& what) const {
  const toml::node* node = table_.get(key);
  refuse_at(node ? *node : table_, key, what);
}

bool Section::read(const char* key, std::string& out) {
  const toml::node* node = find(key);
  if (!node) return false;
  const auto* value = node->as_string();
  if (!value) refuse_at(*node, key, "a text in quotes was expected");
  out = value->get();
  return true;
}

bool Section::read(const char* key, bool& out) {
  const toml::node* node = find(key);
  if (!node) return false;
  const auto* value = node->as_boolean();
  if (!value) refuse_at(*node, key, "true or false was expected");
  out = value->get();
  return true;
}

bool Section::read(const char* key, int64_t& out, int64_t least, int64_t most) {
  const toml::node* node = find(key);
  if (!node) return false;
  const auto* value = node->as_integer();
  if (!value) refuse_at(*node, key, "a whole number was expected");
  out = value->get();
  if (out < least) refuse_at(*node, key, fmt::format("{} is too small: at least {}", out, least));
  if (out > most) refuse_at(*node, key, fmt::format("{} is too large: at most {}", out, most));
  return true;
}

bool Section::read(const char* key, double& out, double least, double most) {
  const toml::node* node = find(key);
  if (!node) return false;
  auto value = node->is_number() ? node->value<double>() : std::nullopt;
  if (!value || !std::isfinite(*value)) refuse_at(*node, key, "a number was expected");
  out = *value;
  if (out < least) refuse_at(*node, key, fmt::format("{} is too small: at least {}", out, least));
  if (out > most) refuse_at(*node, key, fmt::format("{} is too large: at most {}", out, most));
  return true;
}

bool Section::read(const char* key, std::vector<std::string>& out) {
  const toml::node* node = find(key);
  if (!node) return false;
  const auto* array = node->as_array();
  if (!array) refuse_at(*node, key, "a list of texts was expected");
  out.clear();
  for (const toml::node& element : *array) {
    if (!element.is_string()) refuse_at(element, key, "a text in quotes was expected");
    out.push_back(element.as_string()->get());
  }
  return true;
}

bool Section::read(const char* key, std::vector<int64_t>& out, int64_t least) {
  const toml::node* node = find(key);
  if (!node) return false;
  const auto* array = node->as_array();
  if (!array) refuse_at(*node, key, "a list of whole numbers was expected");
  out.clear();
  for (const toml::node& element : *array) {
    if (!element.is_integer()) refuse_at(element, key, "a whole number was expected");
    out.push_back(element.as_integer()->get());
    if (out.back() < least)
      refuse_at(element, key, fmt::format("{} is too small: at least {}", out.back(), least));
  }
  return true;
}

bool Section::read(const char* key, std::vector<std::filesystem::path>& out,
                   const std::filesystem::path& base) {
  std::vector<std::string> names;
  if (!read(key, names)) return false;
  out.clear();
  for (const std::string& name : names) out.push_back((base / name).lexically_normal());
  return true;
}

void Section::table(const char* key, const std::function<void(Section&)>& body) {
  const toml::node* node = find(key);
  if (!node) return;
  if (!node->is_table()) refuse_at(*node, key, "a table was expected");
  Section section(*node->as_table(), dotted(key));
  body(section);
  section.done();
}

void Section::tables(const char* key, const std::function<void(Section&)>& body) {
  const toml::node* node = find(key);
  if (!node) return;
  const auto* array = node->as_array();
  if (!array) refuse_at(*node, key, fmt::format("a list of tables was expected: write [[{}]]", dotted(key)));
  for (size_t i = 0; i < array->size(); ++i) {
    const toml::node& element = *array->get(i);
    if (!element.is_table()) refuse_at(element, key, "a table was expected");
    Section section(*element.as_table(), fmt::format("{}.{}", dotted(key), i));
    body(section);
    section.done();
  }
}

std::vector<std::pair<std::string, double>> Section::numbers() {
  std::vector<std::pair<std::string, double>> out;
  for (const auto& [key, node] : table_) {
    double value = 0;
    std::string name(key.str());
    read(name.c_str(), value, 0);
    out.emplace_back(name, value);
  }
  return out;
}

void Section::done() const {
  for (const auto& [key, node] : table_)
    if (std::find(known_.begin(), known_.end(), key.str()) == known_.end())
      fail("{}: {} is unknown; here there are {}", at(key.source().begin ? key.source() : node.source()),
           dotted(std::string(key.str())), fmt::join(known_, ", "));
}

}  // namespace longspan
