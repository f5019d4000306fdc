#include "base/settings.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <sstream>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "base/error.h"
#include "base/nearest.h"
#include "base/text.h"

namespace longspan {

namespace {

std::string join_key(const std::string& path, const std::string& key) {
  return path.empty() ? key : key.empty() ? path : path + "." + key;
}

// ---- TOML to JSON

constexpr int kDeepest = 500;
constexpr int kMostSteps = 64;  // of one dotted key

/// The index of the quotation mark that closes the one at `open` on the same line, or npos.
size_t closing_quote(std::string_view text, size_t open) {
  for (size_t i = open + 1; i < text.size() && text[i] != '\n'; ++i) {
    if (text[i] == text[open]) return i;
    if (text[i] == '\\' && text[open] == '"') ++i;
  }
  return text.npos;
}

/// The library makes a table for every step of a dotted key and frees them by recursion: a key of 100,000
/// steps would overflow the stack. Nothing but a key has so many words with only points between them.
void refuse_long_keys(std::string_view text, const std::string& file) {
  int steps = 0;
  bool in_step = false, ended = false;  // ended: by white space, after which only a point goes on
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool bare = std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
    if (c == '.' && in_step) {
      if (++steps > kMostSteps) fail("{}: a key has more than {} steps", file, kMostSteps);
      in_step = ended = false;
    } else if (size_t close = in_step || (c != '"' && c != '\'') ? text.npos : closing_quote(text, i);
               close != text.npos) {
      i = close;
      in_step = true;
    } else if (bare) {
      if (ended) steps = 0;
      in_step = true;
      ended = false;
    } else if (c == ' ' || c == '\t') {
      ended = in_step;
    } else {
      steps = 0;
      in_step = ended = false;
    }
  }
}

std::string place_of(const std::string& file, const toml::source_position& at) {
  return fmt::format("{}:{}:{}", file, at.line, at.column);
}

template <typename Date>
std::string spelled_date(const Date& date) {
  std::ostringstream text;
  text << date;
  return text.str();
}

Json json_of(const toml::node& node, const std::string& path, int depth, TomlFile& out) {
  if (depth > kDeepest) fail("{}: is TOML nested more than {} levels deep", out.file, kDeepest);
  if (const auto* table = node.as_table()) {
    Json json = Json::object();
    for (const auto& [key, value] : *table) {
      std::string name(key.str()), inner = join_key(path, name);
      out.places[inner] = place_of(out.file, key.source().begin);
      json[name] = json_of(value, inner, depth + 1, out);
    }
    return json;
  }
  if (const auto* array = node.as_array()) {
    Json json = Json::array();
    for (const toml::node& value : *array) {
      std::string inner = join_key(path, std::to_string(json.size()));
      out.places[inner] = place_of(out.file, value.source().begin);
      json.push_back(json_of(value, inner, depth + 1, out));
    }
    return json;
  }
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_integer()) return value->get();
  if (const auto* value = node.as_floating_point()) return value->get();
  if (const auto* value = node.as_boolean()) return value->get();
  if (const auto* value = node.as_date()) return spelled_date(value->get());
  if (const auto* value = node.as_time()) return spelled_date(value->get());
  return spelled_date(node.as_date_time()->get());
}

toml::table toml_table(const Json& values);

toml::array toml_array(const Json& values) {
  toml::array out;
  for (const Json& value : values) {
    if (value.is_object())
      out.push_back(toml_table(value));
    else if (value.is_array())
      out.push_back(toml_array(value));
    else if (value.is_string())
      out.push_back(value.get<std::string>());
    else if (value.is_boolean())
      out.push_back(value.get<bool>());
    else if (value.is_number_float())
      out.push_back(value.get<double>());
    else if (value.is_number())
      out.push_back(value.get<int64_t>());
  }
  return out;
}

toml::table toml_table(const Json& values) {
  toml::table out;
  for (const auto& [key, value] : values.items()) {
    // One value, as the only element of an array of its own.
    toml::array one = toml_array(Json::array({value}));
    if (!one.empty()) out.insert(key, std::move(one[0]));
  }
  return out;
}

// ---- layers and overrides

void lay_table(Json& below, const Json& above) {
  for (const auto& [key, value] : above.items()) {
    if (value.is_object() && below.contains(key) && below[key].is_object())
      lay_table(below[key], value);
    else
      below[key] = value;
  }
}

/// As TOML has it; what TOML cannot read is a text.
Json override_value(const std::string& text) {
  try {
    Json values = parse_toml("value = " + text, "--set").values;
    if (values.size() == 1) return values["value"];
  } catch (const Error&) {
  }
  return text;
}

std::vector<std::string> steps_of(const std::string& key) {
  std::vector<std::string> steps;
  for (size_t begin = 0; begin <= key.size();) {
    size_t end = std::min(key.find('.', begin), key.size());
    steps.push_back(key.substr(begin, end - begin));
    begin = end + 1;
  }
  return steps;
}

/// The value under a step, made when a table lacks it; null when a list has no such place.
Json* step_into(Json& parent, const std::string& step) {
  if (parent.is_object()) return &parent[step];
  size_t index = 0;
  auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
  bool is_place = parent.is_array() && error == std::errc{} && end == step.data() + step.size();
  return is_place && index < parent.size() ? &parent[index] : nullptr;
}

void set_value(TomlFile& below, const std::string& key, const Json& value, const std::string& place) {
  Json* at = &below.values;
  std::string reached;
  for (const std::string& step : steps_of(key)) {
    if (at->is_null()) *at = Json::object();
    if (!at->is_object() && !at->is_array())
      fail("{}: {} is not a table that could hold {}", place, excerpt(reached), excerpt(step));
    reached = join_key(reached, step);
    at = step_into(*at, step);
    if (!at) fail("{}: there is no {}", place, excerpt(reached));
  }
  if (value.is_object() && at->is_object()) {
    for (const auto& [name, inner] : value.items()) set_value(below, join_key(key, name), inner, place);
    return;
  }
  *at = value;
  std::erase_if(below.places, [&](const auto& entry) { return entry.first.starts_with(key + "."); });
  below.places[key] = place;
}

// ---- wording

std::string spelled(const Json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    return fmt::format("{}", value.get<double>());
  return excerpt_json(value);
}

template <typename Number>
std::string between(Number least, Number most, Number lowest, Number highest) {
  if (least == lowest && most == highest) return "";
  if (most == highest) return fmt::format(", at least {}", least);
  if (least == lowest) return fmt::format(", at most {}", most);
  return fmt::format(" from {} to {}", least, most);
}

}  // namespace

std::string toml_text(const Json& values) {
  std::ostringstream out;
  out << toml_table(values) << "\n";
  return out.str();
}

TomlFile parse_toml(std::string_view text, const std::string& file) {
  try {
    TomlFile out{file};
    refuse_long_keys(text, file);
    out.values = json_of(toml::parse(text, file), "", 0, out);
    return out;
  } catch (const toml::parse_error& e) {
    fail("{}: {}", place_of(file, e.source().begin), excerpt(e.description(), 200));
  }
}

void lay_over(TomlFile& below, const Json& above, const Places& places, const std::string& path) {
  if (!above.is_object()) return;
  lay_table(below.values, above);
  std::string prefix = path.empty() ? "" : path + ".";
  for (auto at = places.lower_bound(prefix); at != places.end() && at->first.starts_with(prefix); ++at)
    below.places[at->first.substr(prefix.size())] = at->second;
}

Override parse_override(const std::string& text, const std::set<std::string>& owners) {
  size_t equals = text.find('=');
  std::string key = text.substr(0, equals);
  std::vector<std::string> steps = steps_of(key);
  if (equals == text.npos || std::find(steps.begin(), steps.end(), "") != steps.end())
    fail("--set {}: expected {}KEY=VALUE, for example {}", excerpt(text), owners.empty() ? "" : "[TASK.]",
         owners.empty() ? "stage.0.lr=1e-5" : "new_tokens=32 or make.lengths=[4096]");
  Override one{text, "", key, override_value(text.substr(equals + 1))};
  for (const std::string& owner : owners)
    if (key.starts_with(owner + ".") && owner.size() > one.owner.size()) one.owner = owner;
  if (!one.owner.empty()) one.key = key.substr(one.owner.size() + 1);
  return one;
}

void apply_override(TomlFile& below, const Override& one) {
  set_value(below, one.key, one.value, "--set " + excerpt(one.text));
}

bool Settings::has(const std::string& key) const {
  auto at = values_->find(key);
  return at != values_->end() && !at->is_null();
}

void Settings::require(const std::vector<std::string>& keys) const {
  for (const std::string& key : keys)
    if (!has(key)) fail("{} is missing", where(key));
}

const Json* Settings::find(const std::string& key) {
  if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) asked_.push_back(key);
  return has(key) ? &(*values_)[key] : nullptr;
}

std::string Settings::dotted(const std::string& key) const { return join_key(origin_.path, key); }

std::string Settings::where(const std::string& key) const {
  std::string name = dotted(key), place = origin_.file;
  if (origin_.places)
    for (std::string at = name; !at.empty(); at.resize(at.rfind('.') == at.npos ? 0 : at.rfind('.')))
      if (auto found = origin_.places->find(at); found != origin_.places->end()) {
        place = found->second;
        break;
      }
  std::string out;
  for (const std::string& part : {place, origin_.section})
    if (!part.empty()) out += part + ": ";
  return out + excerpt(name);
}

void Settings::refuse(const std::string& key, const std::string& what) const {
  fail("{}: {}", where(key), what);
}

void Settings::must_be(const std::string& key, const std::string& wanted, const Json& value) const {
  fail("{} must be {}, not {}", where(key), wanted, spelled(value));
}

int64_t Settings::whole_number(const std::string& key, const Json& value, int64_t least, int64_t most) const {
  std::optional<int64_t> n;
  bool too_large = value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX;
  if (value.is_number_integer() && !too_large) n = value.get<int64_t>();
  if (!n || *n < least || *n > most)
    must_be(key, "a whole number" + between(least, most, INT64_MIN, INT64_MAX), value);
  return *n;
}

double Settings::number(const std::string& key, const Json& value, double least, double most) const {
  double x = value.is_number() ? value.get<double>() : NAN;
  if (!std::isfinite(x) || x < least || x > most)
    must_be(key, "a number" + between(least, most, -HUGE_VAL, HUGE_VAL), value);
  return x;
}

std::vector<std::pair<std::string, const Json*>> Settings::elements(const std::string& key,
                                                                    const Json& value) const {
  if (!value.is_array()) return {{key, &value}};
  std::vector<std::pair<std::string, const Json*>> out;
  for (const Json& element : value) out.emplace_back(join_key(key, std::to_string(out.size())), &element);
  return out;
}

bool Settings::read(const std::string& key, std::string& out) {
  const Json* value = find(key);
  if (!value) return false;
  if (!value->is_string()) must_be(key, "a string", *value);
  out = value->get<std::string>();
  return true;
}

bool Settings::read(const std::string& key, bool& out) {
  const Json* value = find(key);
  if (!value) return false;
  if (!value->is_boolean()) must_be(key, "true or false", *value);
  out = value->get<bool>();
  return true;
}

bool Settings::read(const std::string& key, int64_t& out, int64_t least, int64_t most) {
  const Json* value = find(key);
  if (!value) return false;
  out = whole_number(key, *value, least, most);
  return true;
}

bool Settings::read(const std::string& key, double& out, double least, double most) {
  const Json* value = find(key);
  if (!value) return false;
  out = number(key, *value, least, most);
  return true;
}

bool Settings::read(const std::string& key, std::string& out, const std::vector<const char*>& names) {
  if (!read(key, out)) return false;
  if (std::find(names.begin(), names.end(), out) == names.end())
    fail("{} must be {}, not {}{}", where(key),
         names.size() > 2 ? fmt::format("one of \"{}\"", fmt::join(names, "\", \""))
                          : fmt::format("\"{}\"", fmt::join(names, "\" or \"")),
         spelled(out), meant_name(out, {names.begin(), names.end()}));
  return true;
}

bool Settings::read(const std::string& key, std::vector<std::string>& out) {
  const Json* value = find(key);
  if (!value) return false;
  out.clear();
  for (const auto& [name, element] : elements(key, *value)) {
    if (!element->is_string()) must_be(name, "a string", *element);
    out.push_back(element->get<std::string>());
  }
  return true;
}

bool Settings::read(const std::string& key, std::vector<int64_t>& out, int64_t least, int64_t most) {
  const Json* value = find(key);
  if (!value) return false;
  out.clear();
  for (const auto& [name, element] : elements(key, *value))
    out.push_back(whole_number(name, *element, least, most));
  return true;
}

bool Settings::read(const std::string& key, std::vector<double>& out, double least, double most) {
  const Json* value = find(key);
  if (!value) return false;
  out.clear();
  for (const auto& [name, element] : elements(key, *value))
    out.push_back(number(name, *element, least, most));
  return true;
}

bool Settings::read(const std::string& key, std::vector<std::filesystem::path>& out,
                    const std::filesystem::path& base) {
  std::vector<std::string> names;
  if (!read(key, names)) return false;
  out.clear();
  for (const std::string& name : names) out.push_back((base / name).lexically_normal());
  return true;
}

const Json& Settings::any(const std::string& key) {
  static const Json absent;
  const Json* value = find(key);
  return value ? *value : absent;
}

const Json& Settings::object(const std::string& key) {
  static const Json empty = Json::object();
  const Json* value = find(key);
  if (value && !value->is_object()) must_be(key, "a table", *value);
  return value ? *value : empty;
}

Settings Settings::inside(const std::string& key, const Json& values) const {
  SettingsOrigin origin = origin_;
  origin.path = dotted(key);
  return {values, std::move(origin)};
}

void Settings::table(const std::string& key, const std::function<void(Settings&)>& body) {
  const Json& values = object(key);
  if (!has(key)) return;
  Settings section = inside(key, values);
  body(section);
  section.done();
}

void Settings::tables(const std::string& key, const std::function<void(Settings&)>& body) {
  const Json* list = find(key);
  if (!list) return;
  if (!list->is_array())
    must_be(key, fmt::format("a list of tables, written [[{}]]", excerpt(dotted(key))), *list);
  for (const auto& [name, values] : elements(key, *list)) {
    if (!values->is_object()) must_be(name, "a table", *values);
    Settings section = inside(name, *values);
    body(section);
    section.done();
  }
}

std::vector<std::pair<std::string, double>> Settings::numbers(double least) {
  std::vector<std::pair<std::string, double>> out;
  for (const auto& [key, value] : values_->items()) {
    asked_.push_back(key);
    out.emplace_back(key, number(key, value, least, HUGE_VAL));
  }
  return out;
}

void Settings::done(const std::vector<std::string>& later) const {
  std::vector<std::string> known = asked_;
  known.insert(known.end(), later.begin(), later.end());
  for (const auto& [key, value] : values_->items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    fail("{} is unknown{}; known keys: {}", where(key), meant_name(key, known), fmt::join(known, ", "));
  }
}

}  // namespace longspan
