// a.b, a[b], a[b:c:d] and the methods of Python's types. Jinja's rule: a.b is Python's attribute first and
// the key of a dict second, a['b'] the other way round; so message.items is the method even when there is a
// key "items".
#include <algorithm>
#include <span>

#include "jinja/text.h"
#include "jinja/value.h"

namespace longspan::jinja {
namespace {

struct Call {
  Heap& heap;
  const Value& self;
  const Arguments& arguments;
  std::string_view what;  // "str.strip()"

  std::vector<std::optional<Value>> bind(const std::vector<std::string_view>& names) const {
    return bind_arguments(arguments, names, what);
  }
  const std::string& text() const { return self.text(); }
};

const std::string& wanted_text(const std::optional<Value>& value, std::string_view what) {
  if (!value || !value->is(Kind::kString)) {
    problem("{} needs a str, not {}", what, value ? type_name(*value) : "nothing");
  }
  return value->text();
}

int64_t wanted_integer(const std::optional<Value>& value, int64_t preset, std::string_view what) {
  if (!value) return preset;
  if (!is_integral(*value)) problem("{} needs an int, not {}", what, type_name(*value));
  return integral(*value);
}

std::optional<std::string> optional_text(const std::optional<Value>& value, std::string_view what) {
  if (!value || value->is(Kind::kNone)) return std::nullopt;
  return wanted_text(value, what);
}

Value text_list(Heap& heap, std::vector<std::string> parts) {
  std::vector<Value> out;
  for (std::string& part : parts) out.push_back(heap.text(std::move(part)));
  return heap.list(std::move(out));
}

Value strip_method(const Call& call, bool left, bool right) {
  std::optional<std::string> chars = optional_text(call.bind({"chars"})[0], call.what);
  if (chars) call.heap.charge_search(call.text().size() + chars->size(), chars->size());
  return call.heap.text(strip(call.text(), chars, left, right));
}

Value split_method(const Call& call, bool from_right) {
  auto given = call.bind({"sep", "maxsplit"});
  std::optional<std::string> separator = optional_text(given[0], call.what);
  if (separator && separator->empty()) problem("{}: empty separator", call.what);
  int64_t limit = wanted_integer(given[1], -1, call.what);
  call.heap.charge_search(call.text().size(), separator.value_or("").size());
  return text_list(call.heap, split(call.text(), separator.value_or(""), limit, from_right));
}

Value affix_method(const Call& call, bool at_start) {
  auto given = call.bind({"prefix"});
  std::vector<Value> candidates;
  if (given[0] && given[0]->is(Kind::kTuple)) {
    candidates = given[0]->sequence->items;
  } else if (given[0]) {
    candidates = {*given[0]};
  }
  if (!given[0]) problem("{} needs an argument", call.what);
  for (const Value& candidate : candidates) {
    const std::string& affix = wanted_text(candidate, call.what);
    if (at_start ? call.text().starts_with(affix) : call.text().ends_with(affix)) return boolean(true);
  }
  return boolean(false);
}

Value count_method(const Call& call) {
  const std::string& needle = wanted_text(call.bind({"sub"})[0], call.what);
  call.heap.charge_search(call.text().size(), needle.size());
  return integer(count(call.text(), needle));
}

Value replace_method(const Call& call) {
  auto given = call.bind({"old", "new", "count"});
  const std::string& from = wanted_text(given[0], call.what);
  const std::string& to = wanted_text(given[1], call.what);
  // The size of the result is known only by counting.
  call.heap.charge_search(call.text().size(), from.size());
  size_t found = static_cast<size_t>(count(call.text(), from));
  if (to.size() > 0 && found > call.heap.max_text() / to.size())
    problem("{} makes too long a text", call.what);
  return call.heap.text(replace(call.text(), from, to, wanted_integer(given[2], -1, call.what)));
}

Value join_method(const Call& call) {
  auto given = call.bind({"iterable"});
  if (!given[0]) problem("{} needs an argument", call.what);
  std::string out;
  bool first = true;
  for (const Value& part : items(call.heap, *given[0])) {
    if (!first) out += call.text();
    first = false;
    out += wanted_text(part, call.what);
    call.heap.charge_text(call.text().size() + part.text().size());
    if (out.size() > call.heap.max_text()) call.heap.charge_text(out.size());
  }
  return call.heap.text(std::move(out));
}

// find, rfind, index: the position in code points.
Value find_method(const Call& call, bool from_right, bool must) {
  const std::string& needle = wanted_text(call.bind({"sub"})[0], call.what);
  call.heap.charge_search(call.text().size(), needle.size());
  size_t at = from_right ? call.text().rfind(needle) : call.text().find(needle);
  if (at == std::string::npos && must) problem("{}: the text is not there", call.what);
  if (at == std::string::npos) return integer(-1);
  return integer(static_cast<int64_t>(code_points(std::string_view(call.text()).substr(0, at))));
}

Value format_field(const Call& call, const std::string& field, size_t& next) {
  if (field.find_first_of(".[!:{") != field.npos)
    problem("{}: the field '{{{}}}' is not supported", call.what, field);
  bool is_index = field.size() < 10 && field.find_first_not_of("0123456789") == field.npos;
  if (is_index) {
    size_t at = field.empty() ? next++ : std::stoul(field);
    if (at < call.arguments.positional.size()) return call.arguments.positional[at];
  } else {
    for (const auto& [name, value] : call.arguments.named) {
      if (name == field) return value;
    }
  }
  problem("{}: there is no value for '{{{}}}'", call.what, field);
}

// str.format() with plain fields: {}, {0}, {name}, {{ and }}.
Value format_method(const Call& call) {
  const std::string& format = call.text();
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < format.size(); ++i) {
    char c = format[i];
    if ((c == '{' || c == '}') && i + 1 < format.size() && format[i + 1] == c)
      ++i;
    else if (c == '}')
      problem("{}: a single '}}'", call.what);
    else if (c == '{') {
      size_t end = format.find('}', i);
      if (end == format.npos) problem("{}: '}}' is missing", call.what);
      std::string field = format.substr(i + 1, end - i - 1);
      i = end;
      std::string value = to_text(call.heap, format_field(call, field, next));
      call.heap.charge_text(out.size() + value.size());
      out += value;
      continue;
    }
    out += c;
  }
  return call.heap.text(std::move(out));
}

Value remove_affix(const Call& call, bool at_start) {
  const std::string& affix = wanted_text(call.bind({"affix"})[0], call.what);
  std::string_view text = call.text();
  if (at_start && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (!at_start && text.ends_with(affix)) text.remove_suffix(affix.size());
  return call.heap.text(std::string(text));
}

template <std::string (*function)(std::string_view)>
Value text_method(const Call& call) {
  call.bind({});
  return call.heap.text(function(call.text()));
}

bool all_characters(std::string_view text, bool (*matches)(char32_t)) {
  std::vector<char32_t> letters = decode(text);
  return !letters.empty() && std::all_of(letters.begin(), letters.end(), matches);
}

Value is_digit_method(const Call& call) {
  call.bind({});
  if (std::any_of(call.text().begin(), call.text().end(),
                  [](char c) { return static_cast<signed char>(c) < 0; })) {
    problem("{} of text beyond ASCII is not supported", call.what);
  }
  return boolean(all_characters(call.text(), [](char32_t c) { return c >= '0' && c <= '9'; }));
}

Value split_lines_method(const Call& call) {
  auto given = call.bind({"keepends"});
  return text_list(call.heap, split_lines(call.text(), given[0] && truthy(*given[0])));
}

Value count_in_sequence(const Call& call) {
  auto given = call.bind({"value"});
  if (!given[0]) problem("{} needs an argument", call.what);
  int64_t found = 0;
  for (const Value& part : call.self.sequence->items) found += equal(call.heap, part, *given[0]);
  return integer(found);
}

Value index_in_sequence(const Call& call) {
  auto given = call.bind({"value"});
  if (!given[0]) problem("{} needs an argument", call.what);
  const std::vector<Value>& parts = call.self.sequence->items;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (equal(call.heap, parts[i], *given[0])) return integer(static_cast<int64_t>(i));
  }
  problem("{}: the value is not there", call.what);
}

Value append_method(const Call& call) {
  auto given = call.bind({"object"});
  if (!given[0]) problem("{} needs an argument", call.what);
  call.heap.charge(1);
  call.self.sequence->items.push_back(*given[0]);
  return none();
}

Value get_method(const Call& call) {
  auto given = call.bind({"key", "default"});
  if (!given[0]) problem("{} needs an argument", call.what);
  if (given[0]->is(Kind::kString)) call.heap.charge_text(given[0]->text().size());
  const Value* found = call.self.dict->find(hash_key(*given[0]));
  return found ? *found : given[1].value_or(none());
}

Value dict_view(const Call& call, std::string label, bool keys, bool values) {
  call.bind({});
  std::vector<Value> parts;
  for (const auto& [key, value] : call.self.dict->entries) {
    parts.push_back(keys && values ? call.heap.tuple({key, value}) : keys ? key : value);
  }
  return call.heap.sequence(Kind::kView, std::move(parts), std::move(label));
}

Value copy_dict(const Call& call) {
  call.bind({});
  Value out = call.heap.dict();
  for (const auto& [key, value] : call.self.dict->entries) out.dict->set(key, value);
  return out;
}

struct MethodRow {
  std::string_view name;
  Value (*function)(const Call& call);
};

constexpr MethodRow kTextMethods[] = {
    {"strip", [](const Call& c) { return strip_method(c, true, true); }},
    {"lstrip", [](const Call& c) { return strip_method(c, true, false); }},
    {"rstrip", [](const Call& c) { return strip_method(c, false, true); }},
    {"split", [](const Call& c) { return split_method(c, false); }},
    {"rsplit", [](const Call& c) { return split_method(c, true); }},
    {"startswith", [](const Call& c) { return affix_method(c, true); }},
    {"endswith", [](const Call& c) { return affix_method(c, false); }},
    {"replace", replace_method},
    {"upper", text_method<upper>},
    {"lower", text_method<lower>},
    {"title", text_method<title>},
    {"capitalize", text_method<capitalize>},
    {"join", join_method},
    {"count", count_method},
    {"find", [](const Call& c) { return find_method(c, false, false); }},
    {"rfind", [](const Call& c) { return find_method(c, true, false); }},
    {"index", [](const Call& c) { return find_method(c, false, true); }},
    {"splitlines", split_lines_method},
    {"removeprefix", [](const Call& c) { return remove_affix(c, true); }},
    {"removesuffix", [](const Call& c) { return remove_affix(c, false); }},
    {"isdigit", is_digit_method},
    {"format", format_method},
    {"isspace", [](const Call& c) { return boolean(all_characters(c.text(), is_space)); }},
};

// Python lets transformers' sandbox refuse append; templates written for other engines use it, and its
// meaning is plain.
constexpr MethodRow kListMethods[] = {
    {"append", append_method}, {"count", count_in_sequence}, {"index", index_in_sequence}};

constexpr MethodRow kTupleMethods[] = {{"count", count_in_sequence}, {"index", index_in_sequence}};

constexpr MethodRow kDictMethods[] = {
    {"items", [](const Call& c) { return dict_view(c, "dict_items", true, true); }},
    {"keys", [](const Call& c) { return dict_view(c, "dict_keys", true, false); }},
    {"values", [](const Call& c) { return dict_view(c, "dict_values", false, true); }},
    {"get", get_method},
    {"copy", copy_dict},
};

// The remaining names of Python's, so that using one is an error and not an undefined value.
constexpr std::string_view kOtherText[] = {
    "casefold",  "center",       "encode",  "expandtabs", "format_map",  "isalnum",  "isalpha",   "isascii",
    "isdecimal", "isidentifier", "islower", "isnumeric",  "isprintable", "istitle",  "isupper",   "ljust",
    "maketrans", "partition",    "rindex",  "rjust",      "rpartition",  "swapcase", "translate", "zfill"};
constexpr std::string_view kOtherDict[] = {"fromkeys"};
constexpr std::string_view kOtherList[] = {"copy"};
constexpr std::string_view kOtherNumber[] = {
    "bit_length",       "bit_count", "conjugate", "denominator", "imag", "numerator",
    "as_integer_ratio", "real",      "to_bytes",  "is_integer",  "hex"};
// These change a value in place, which transformers' sandbox forbids: there the attribute is undefined.
constexpr std::string_view kForbiddenList[] = {"clear",  "extend",  "insert", "pop",
                                               "remove", "reverse", "sort"};
constexpr std::string_view kForbiddenDict[] = {"clear", "pop", "popitem", "setdefault", "update"};

struct TypeRow {
  Kind kind;
  std::span<const MethodRow> methods;
  std::span<const std::string_view> others;
  std::span<const std::string_view> forbidden;
};

const TypeRow kTypes[] = {
    {Kind::kString, kTextMethods, kOtherText, {}},
    {Kind::kList, kListMethods, kOtherList, kForbiddenList},
    {Kind::kTuple, kTupleMethods, {}, {}},
    {Kind::kRange, kTupleMethods, {}, {}},
    {Kind::kDict, kDictMethods, kOtherDict, kForbiddenDict},
    {Kind::kInt, {}, kOtherNumber, {}},
    {Kind::kBool, {}, kOtherNumber, {}},
    {Kind::kFloat, {}, kOtherNumber, {}},
};

const TypeRow* type_row(Kind kind) {
  for (const TypeRow& row : kTypes) {
    if (row.kind == kind) return &row;
  }
  return nullptr;
}

bool among(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Python's getattr(): empty when there is no such attribute.
std::optional<Value> python_attribute(Heap& heap, const Value& object, std::string_view name) {
  if (object.is(Kind::kNamespace)) {
    const Value* found = object.dict->find_text(name);
    return found ? std::optional(*found) : std::nullopt;
  }
  const TypeRow* row = type_row(object.kind);
  if (!row) return std::nullopt;
  auto same = [&](const MethodRow& method) { return method.name == name; };
  if (std::any_of(row->methods.begin(), row->methods.end(), same) || among(row->others, name))
    return heap.method(object, name);
  if (among(row->forbidden, name)) {
    return undefined(fmt::format("{}.{}() is forbidden: a chat template may not change its data",
                                 type_name(object), name));
  }
  return std::nullopt;
}

// Python's object[key]: empty when there is no such item.
std::optional<Value> python_item(const Value& object, const Value& key, Heap& heap) {
  if (object.is(Kind::kDict)) {
    if (key.is(Kind::kList) || key.is(Kind::kDict)) return std::nullopt;
    const Value* found = object.dict->find(hash_key(key));
    return found ? std::optional(*found) : std::nullopt;
  }
  bool indexed = object.is(Kind::kString) || object.is(Kind::kList) || object.is(Kind::kTuple) ||
                 object.is(Kind::kRange);
  if (!indexed || !is_integral(key)) return std::nullopt;
  int64_t size = length(object);
  int64_t at = integral(key) < 0 ? integral(key) + size : integral(key);
  if (at < 0 || at >= size) return std::nullopt;
  if (!object.is(Kind::kString)) return object.sequence->items[static_cast<size_t>(at)];
  heap.charge_text(object.text().size());
  return heap.text(std::string(characters(object.text())[static_cast<size_t>(at)]), object.escaped);
}

void check_usable(const Value& object) {
  if (object.is(Kind::kUndefined)) problem("{}", object.text());
}

Value missing(Heap& heap, const Value& object, const Value& key) {
  return undefined(fmt::format("this {} has no {}", type_name(object), repr(heap, key)));
}

// One past the last index and the step direction as Python clips them.
int64_t clip(const Value& bound, int64_t preset, int64_t size, int64_t step) {
  if (bound.is(Kind::kNone)) return preset;
  if (!is_integral(bound)) problem("a slice needs ints, not {}", type_name(bound));
  int64_t at = integral(bound);
  int64_t low = step < 0 ? -1 : 0;
  if (at < 0) return at < -size ? low : at + size;
  return std::min(at, step < 0 ? size - 1 : size);
}

}  // namespace

Value attribute(Heap& heap, const Value& object, const std::string& name) {
  check_usable(object);
  if (std::optional<Value> found = python_attribute(heap, object, name)) return *found;
  Value key = constant_text(name);
  if (std::optional<Value> found = python_item(object, key, heap)) return *found;
  return missing(heap, object, key);
}

Value item(Heap& heap, const Value& object, const Value& key) {
  check_usable(object);
  if (key.is(Kind::kString)) heap.charge_text(key.text().size());
  if (std::optional<Value> found = python_item(object, key, heap)) return *found;
  if (key.is(Kind::kString)) {
    if (std::optional<Value> found = python_attribute(heap, object, key.text())) return *found;
  }
  return is_number(key) || key.is(Kind::kString)
             ? missing(heap, object, key)
             : undefined(fmt::format("this {} has no such item", type_name(object)));
}

Value slice(Heap& heap, const Value& object, const Value& start, const Value& stop, const Value& step_value) {
  check_usable(object);
  int64_t step = step_value.is(Kind::kNone) ? 1 : is_integral(step_value) ? integral(step_value) : 0;
  if (step == 0) problem("the step of a slice is an int other than 0");
  bool is_text = object.is(Kind::kString);
  if (!is_text && !object.is(Kind::kList) && !object.is(Kind::kTuple)) {
    if (object.is(Kind::kRange)) problem("a slice of a range is not supported: make it a list first");
    return undefined(fmt::format("{} cannot be sliced", type_name(object)));
  }
  int64_t size = length(object);
  int64_t from = clip(start, step < 0 ? size - 1 : 0, size, step);
  int64_t to = clip(stop, step < 0 ? -1 : size, size, step);
  // A step beyond the size takes one element, and no sum may overflow.
  step = std::clamp(step, -size - 1, size + 1);
  std::vector<int64_t> picked;
  for (int64_t i = from; step > 0 ? i < to : i > to; i += step) picked.push_back(i);
  heap.charge(static_cast<int64_t>(picked.size() / 8));
  if (is_text) {
    heap.charge_text(object.text().size());
    std::vector<std::string_view> letters = characters(object.text());
    std::string out;
    for (int64_t i : picked) out += letters[static_cast<size_t>(i)];
    return heap.text(std::move(out), object.escaped);
  }
  std::vector<Value> out;
  for (int64_t i : picked) out.push_back(object.sequence->items[static_cast<size_t>(i)]);
  return heap.sequence(object.kind, std::move(out));
}

Value attribute_path(Heap& heap, const Value& object, const Value& path, const std::optional<Value>& preset) {
  auto or_preset = [&](Value value) { return value.is(Kind::kUndefined) && preset ? *preset : value; };
  if (is_integral(path)) return or_preset(item(heap, object, path));
  if (!path.is(Kind::kString)) problem("attribute= needs a str or an int, not {}", type_name(path));
  Value at = object;
  for (const std::string& part : split(path.text(), ".", -1, false)) {
    bool is_index =
        !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string::npos;
    at = or_preset(item(heap, at, is_index ? integer(std::stol(part)) : constant_text(part)));
  }
  return at;
}

Value call_method(Heap& heap, const Method& method, Arguments& arguments) {
  std::string what = fmt::format("{}.{}()", type_name(method.self), method.name);
  for (const MethodRow& row : type_row(method.self.kind)->methods) {
    if (row.name != method.name) continue;
    heap.charge(1);
    if (method.self.is(Kind::kString)) heap.charge_text(method.self.text().size());
    Value out = row.function({heap, method.self, arguments, what});
    if (method.self.is(Kind::kString) && method.self.escaped && !is_number(out)) {
      // Python escapes the arguments of these methods, but not of those that only remove text or change
      // case.
      if (!out.is(Kind::kString) || !arguments.positional.empty())
        problem("{} on escaped text is not supported", what);
      out.escaped = true;
    }
    return out;
  }
  problem("the method {} is not supported", what);
}

}  // namespace longspan::jinja
