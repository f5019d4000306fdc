// Jinja's filters, as rows of a table. Using one of Jinja's names that this table lacks is an error when the
// template is parsed.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "jinja/text.h"
#include "jinja/value.h"

namespace longspan::jinja {
namespace {

struct Call {
  Heap& heap;
  const Value& subject;
  Arguments& arguments;
  std::string_view what;  // "the filter 'join'"

  std::vector<std::optional<Value>> bind(const std::vector<std::string_view>& names) const {
    return bind_arguments(arguments, names, what);
  }
  std::string text() const { return to_text(heap, subject); }
  std::vector<Value> items() const { return jinja::items(heap, subject); }
};

bool given_true(const std::optional<Value>& value, bool preset = false) {
  return value ? truthy(*value) : preset;
}
bool is_given(const std::optional<Value>& value) { return value && !value->is(Kind::kNone); }

int64_t given_integer(const Call& call, const std::optional<Value>& value, int64_t preset) {
  if (!value) return preset;
  if (!is_integral(*value)) problem("{} needs an int, not {}", call.what, type_name(*value));
  return integral(*value);
}

// --- text

template <std::string (*function)(std::string_view)>
Value text_filter(const Call& call) {
  call.bind({});
  std::string text = call.text();
  call.heap.charge_text(text.size());
  return call.heap.text(function(text), call.subject.escaped);
}

Value trim(const Call& call) {
  auto given = call.bind({"chars"});
  std::optional<std::string> chars;
  if (is_given(given[0])) chars = to_text(call.heap, *given[0]);
  std::string text = call.text();
  if (chars) call.heap.charge_search(text.size() + chars->size(), chars->size());
  return call.heap.text(strip(text, chars, true, true), call.subject.escaped);
}

Value replace_filter(const Call& call) {
  auto given = call.bind({"old", "new", "count"});
  if (!given[0] || !given[1]) problem("{} needs two arguments", call.what);
  std::string text = call.text();
  std::string from = to_text(call.heap, *given[0]);
  std::string to = to_text(call.heap, *given[1]);
  call.heap.charge_search(text.size(), from.size());
  if (!to.empty() && static_cast<size_t>(count(text, from)) > call.heap.max_text() / to.size()) {
    problem("{} makes too long a text", call.what);
  }
  int64_t limit = is_given(given[2]) ? given_integer(call, given[2], -1) : -1;
  return call.heap.text(replace(text, from, to, limit));
}

Value indent(const Call& call) {
  auto given = call.bind({"width", "first", "blank"});
  std::string indentation = "    ";
  if (given[0] && given[0]->is(Kind::kString)) {
    indentation = given[0]->text();
  } else if (given[0]) {
    int64_t width = given_integer(call, given[0], 4);
    if (width > 10000) problem("{}: a width of more than 10000", call.what);
    indentation.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  bool blank = given_true(given[2]);
  std::vector<std::string> lines = split_lines(call.text() + "\n", false);
  std::string out = given_true(given[1]) ? indentation : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    call.heap.charge_text(lines[i].size() + indentation.size());
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indentation;
    out += lines[i];
    if (out.size() > call.heap.max_text()) call.heap.charge_text(out.size());
  }
  return call.heap.text(std::move(out), call.subject.escaped);
}

Value escape(const Call& call) {
  call.bind({});
  std::string text = call.text();
  call.heap.charge_text(text.size());
  return call.heap.text(call.subject.escaped ? text : escape_html(text), true);
}

std::string unchanged(std::string_view text) { return std::string(text); }

Value join(const Call& call) {
  auto given = call.bind({"d", "attribute"});
  std::string separator = given[0] ? to_text(call.heap, *given[0]) : "";
  std::string out;
  bool first = true;
  for (const Value& part : call.items()) {
    std::string text =
        to_text(call.heap, is_given(given[1]) ? attribute_path(call.heap, part, *given[1]) : part);
    call.heap.charge_text(text.size() + separator.size());
    if (!first) out += separator;
    first = false;
    out += text;
    if (out.size() > call.heap.max_text()) call.heap.charge_text(out.size());
  }
  return call.heap.text(std::move(out));
}

Value format_filter(const Call& call) {
  if (call.subject.escaped) problem("{} on escaped text is not supported", call.what);
  if (!call.arguments.named.empty() && !call.arguments.positional.empty()) {
    problem("{} takes either positional or named arguments", call.what);
  }
  if (call.arguments.named.empty())
    return percent_format(call.heap, call.text(), call.heap.tuple(call.arguments.positional));
  Value names = call.heap.dict();
  for (const auto& [name, value] : call.arguments.named) names.dict->set(constant_text(name), value);
  return percent_format(call.heap, call.text(), names);
}

Value tojson(const Call& call) {
  auto given = call.bind({"ensure_ascii", "indent", "separators", "sort_keys"});
  std::optional<std::string> indentation;
  if (is_given(given[1])) {
    if (given[1]->is(Kind::kString)) {
      indentation = given[1]->text();
    } else {
      int64_t width = given_integer(call, given[1], 0);
      if (width > 1000) problem("{}: an indent of more than 1000", call.what);
      indentation = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
    }
  }
  std::string item_separator = indentation ? "," : ", ";
  std::string key_separator = ": ";
  if (is_given(given[2])) {
    std::vector<Value> pair = items(call.heap, *given[2]);
    if (pair.size() != 2 || !pair[0].is(Kind::kString) || !pair[1].is(Kind::kString)) {
      problem("{}: separators are two texts", call.what);
    }
    item_separator = pair[0].text();
    key_separator = pair[1].text();
  }
  return call.heap.text(to_json(call.heap, call.subject, indentation, given_true(given[0]),
                                given_true(given[3]), item_separator, key_separator));
}

// --- numbers

// Python's int(text, base) and float(text): surrounding white space and single '_' between digits are
// allowed.
std::optional<std::string> number_text(const std::string& text) {
  std::string out = strip(text, std::nullopt, true, true);
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == '_' &&
        (i == 0 || i + 1 == out.size() || !isalnum(out[i - 1] & 0x7f) || !isalnum(out[i + 1] & 0x7f))) {
      return std::nullopt;
    }
  }
  std::erase(out, '_');
  if (out.starts_with('+') && !out.starts_with("+-")) out.erase(0, 1);
  return out;
}

std::optional<double> parse_real(const std::string& text) {
  std::optional<std::string> digits = number_text(text);
  if (!digits || digits->empty()) return std::nullopt;
  double value = 0;
  auto [end, error] = std::from_chars(digits->data(), digits->data() + digits->size(), value);
  if (end != digits->data() + digits->size() || digits->find('(') != digits->npos) return std::nullopt;
  if (error == std::errc::result_out_of_range) problem("the number '{}' is out of range", text);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::optional<int64_t> parse_integer(const std::string& text, int base) {
  std::optional<std::string> digits = number_text(text);
  if (!digits || digits->empty()) return std::nullopt;
  bool negative = digits->starts_with('-');
  size_t start = negative;
  if (digits->size() > start + 1 && (*digits)[start] == '0') {
    char letter = static_cast<char>((*digits)[start + 1] | 0x20);
    int named = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (named != 0 && named == base) start += 2;
  }
  if (start < digits->size() && (*digits)[start] == '-') return std::nullopt;
  int64_t value = 0;
  auto [end, error] = std::from_chars(digits->data() + start, digits->data() + digits->size(), value, base);
  if (error == std::errc::result_out_of_range) problem("the number '{}' has more than 64 bits", text);
  if (error != std::errc() || end != digits->data() + digits->size()) return std::nullopt;
  return negative ? -value : value;
}

Value truncated(const Call& call, double value) {
  if (std::isnan(value) || std::fabs(value) >= 9.2e18)
    problem("{}: {} is no number of at most 64 bits", call.what, value);
  return integer(static_cast<int64_t>(value));
}

Value to_integer(const Call& call) {
  auto given = call.bind({"default", "base"});
  int64_t base = given_integer(call, given[1], 10);
  if (base < 2 || base > 36) problem("{}: the base is 2 to 36", call.what);
  const Value& value = call.subject;
  if (value.is(Kind::kUndefined)) problem("{}", value.text());
  if (is_integral(value)) return integer(integral(value));
  if (value.is(Kind::kFloat) && !std::isnan(value.real)) return truncated(call, value.real);
  if (value.is(Kind::kString)) {
    if (auto number = parse_integer(value.text(), static_cast<int>(base))) return integer(*number);
    if (auto number = parse_real(value.text()); number && !std::isnan(*number))
      return truncated(call, *number);
  }
  return given[0].value_or(integer(0));
}

Value to_real(const Call& call) {
  auto given = call.bind({"default"});
  const Value& value = call.subject;
  if (value.is(Kind::kUndefined)) problem("{}", value.text());
  if (is_number(value)) return real(as_real(value));
  if (value.is(Kind::kString)) {
    if (auto number = parse_real(value.text())) return real(*number);
  }
  return given[0].value_or(real(0));
}

Value absolute(const Call& call) {
  call.bind({});
  if (!is_number(call.subject)) problem("{} needs a number, not {}", call.what, type_name(call.subject));
  if (call.subject.is(Kind::kFloat)) return real(std::fabs(call.subject.real));
  int64_t value = integral(call.subject);
  return value < 0 ? unary("-", call.subject) : integer(value);
}

// Common rounding is Python's: to the nearest, an exact half to the even digit.
double round_real(double value, int64_t digits) {
  if (!std::isfinite(value)) return value;
  if (digits >= 0) return std::stod(fmt::format("{:.{}f}", value, static_cast<int>(digits)));
  double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(value / unit) * unit;
}

Value round_filter(const Call& call) {
  auto given = call.bind({"precision", "method"});
  int64_t digits = given_integer(call, given[0], 0);
  if (std::abs(digits) > 300) problem("{}: a precision of more than 300", call.what);
  if (!is_number(call.subject)) problem("{} needs a number, not {}", call.what, type_name(call.subject));
  std::string method = given[1] ? to_text(call.heap, *given[1]) : "common";
  if (method == "common") {
    if (call.subject.is(Kind::kFloat)) return real(round_real(call.subject.real, digits));
    if (digits >= 0) return integer(integral(call.subject));
    problem("{} of an int to tens is not supported", call.what);
  }
  if (method != "ceil" && method != "floor") problem("{}: the method is common, ceil or floor", call.what);
  double unit = std::pow(10.0, static_cast<double>(digits));
  double scaled = as_real(call.subject) * unit;
  return real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

Value sum(const Call& call) {
  auto given = call.bind({"attribute", "start"});
  Value total = given[1].value_or(integer(0));
  for (const Value& part : call.items()) {
    total =
        binary(call.heap, "+", total, is_given(given[0]) ? attribute_path(call.heap, part, *given[0]) : part);
  }
  return total;
}

// --- sequences

// The key that sort, min, max and unique compare: an attribute, in lower case unless asked otherwise.
Value sort_key(const Call& call, const Value& part, const std::optional<Value>& attribute,
               bool case_sensitive) {
  Value key = is_given(attribute) ? attribute_path(call.heap, part, *attribute) : part;
  if (case_sensitive || !key.is(Kind::kString)) return key;
  return call.heap.text(lower(key.text()));
}

Value extreme(const Call& call, int sign) {
  auto given = call.bind({"case_sensitive", "attribute"});
  std::optional<std::pair<Value, Value>> best;  // key, item
  for (const Value& part : call.items()) {
    Value key = sort_key(call, part, given[1], given_true(given[0]));
    if (!best || compare(call.heap, key, best->first) * sign > 0) best = {key, part};
  }
  return best ? best->second : undefined("the sequence has no items, so no extreme one");
}

void sort_by_keys(const Call& call, std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    int order = compare(call.heap, a.first, b.first);
    return reverse ? order > 0 : order < 0;
  });
}

Value sort(const Call& call) {
  auto given = call.bind({"reverse", "case_sensitive", "attribute"});
  if (is_given(given[2]) && given[2]->is(Kind::kString) && given[2]->text().find(',') != std::string::npos) {
    problem("{} by several attributes is not supported", call.what);
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& part : call.items())
    keyed.emplace_back(sort_key(call, part, given[2], given_true(given[1])), part);
  sort_by_keys(call, keyed, given_true(given[0]));
  std::vector<Value> out;
  for (auto& pair : keyed) out.push_back(std::move(pair.second));
  return call.heap.list(std::move(out));
}

Value unique(const Call& call) {
  auto given = call.bind({"case_sensitive", "attribute"});
  std::unordered_map<std::string, bool> seen;
  std::vector<Value> out;
  for (const Value& part : call.items()) {
    if (seen.emplace(hash_key(sort_key(call, part, given[1], given_true(given[0]))), true).second)
      out.push_back(part);
  }
  return call.heap.iterator(std::move(out));
}

Value dictsort(const Call& call) {
  auto given = call.bind({"case_sensitive", "by", "reverse"});
  if (call.subject.is(Kind::kUndefined)) problem("{}", call.subject.text());
  if (!call.subject.is(Kind::kDict)) problem("{} needs a dict, not {}", call.what, type_name(call.subject));
  std::string by = given[1] ? to_text(call.heap, *given[1]) : "key";
  if (by != "key" && by != "value") problem("{}: by is 'key' or 'value'", call.what);
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : call.subject.dict->entries) {
    keyed.emplace_back(sort_key(call, by == "key" ? key : value, std::nullopt, given_true(given[0])),
                       call.heap.tuple({key, value}));
  }
  sort_by_keys(call, keyed, given_true(given[2]));
  std::vector<Value> out;
  for (auto& pair : keyed) out.push_back(std::move(pair.second));
  return call.heap.list(std::move(out));
}

Value items_filter(const Call& call) {
  call.bind({});
  std::vector<Value> out;
  if (call.subject.is(Kind::kDict)) {
    for (const auto& [key, value] : call.subject.dict->entries) out.push_back(call.heap.tuple({key, value}));
  } else if (!call.subject.is(Kind::kUndefined)) {
    problem("{} needs a dict, not {}", call.what, type_name(call.subject));
  }
  return call.heap.iterator(std::move(out));
}

Value reverse(const Call& call) {
  call.bind({});
  std::vector<Value> parts = call.items();
  std::reverse(parts.begin(), parts.end());
  if (!call.subject.is(Kind::kString)) return call.heap.iterator(std::move(parts));
  std::string out;
  for (const Value& part : parts) out += part.text();
  return call.heap.text(std::move(out), call.subject.escaped);
}

Value first(const Call& call) {
  call.bind({});
  if (call.subject.is(Kind::kIterator) && call.subject.sequence->next < call.subject.sequence->items.size()) {
    return call.subject.sequence->items[call.subject.sequence->next++];
  }
  std::vector<Value> parts = call.items();
  return parts.empty() ? undefined("the sequence has no first item") : parts.front();
}

Value last(const Call& call) {
  call.bind({});
  if (call.subject.is(Kind::kIterator)) problem("{} of an iterator: make it a list first", call.what);
  std::vector<Value> parts = call.items();
  return parts.empty() ? undefined("the sequence has no last item") : parts.back();
}

Value default_filter(const Call& call) {
  auto given = call.bind({"default_value", "boolean"});
  bool use = call.subject.is(Kind::kUndefined) || (given_true(given[1]) && !truthy(call.subject));
  return use ? given[0].value_or(constant_text("")) : call.subject;
}

// Removes and returns the first positional argument.
std::optional<Value> take_first(Arguments& arguments) {
  if (arguments.positional.empty()) return std::nullopt;
  Value out = arguments.positional.front();
  arguments.positional.erase(arguments.positional.begin());
  return out;
}

Value map_filter(const Call& call) {
  std::vector<Value> out;
  if (call.arguments.positional.empty()) {
    auto given = call.bind({"attribute", "default"});
    if (!given[0]) problem("{} needs a filter or attribute=", call.what);
    if (!truthy(call.subject)) return call.heap.iterator({});  // Jinja: even when it is None
    for (const Value& part : call.items()) {
      out.push_back(attribute_path(call.heap, part, *given[0], is_given(given[1]) ? given[1] : std::nullopt));
    }
    return call.heap.iterator(std::move(out));
  }
  Value name = *take_first(call.arguments);
  if (!truthy(call.subject)) return call.heap.iterator({});
  if (!name.is(Kind::kString) || !is_filter(name.text())) problem("{}: there is no such filter", call.what);
  for (const Value& part : call.items()) {
    Arguments arguments = call.arguments;
    out.push_back(apply_filter(call.heap, name.text(), part, arguments));
  }
  return call.heap.iterator(std::move(out));
}

Value select(const Call& call, bool by_attribute, bool wanted) {
  std::optional<Value> attribute;
  if (by_attribute && !(attribute = take_first(call.arguments))) problem("{} needs an attribute", call.what);
  std::optional<Value> test = take_first(call.arguments);
  if (test && (!test->is(Kind::kString) || !is_test(test->text())))
    problem("{}: there is no such test", call.what);
  std::vector<Value> out;
  if (!truthy(call.subject)) return call.heap.iterator({});  // Jinja: even when it is None
  for (const Value& part : call.items()) {
    Value value = attribute ? attribute_path(call.heap, part, *attribute) : part;
    Arguments arguments = call.arguments;
    bool passes = test ? apply_test(call.heap, test->text(), value, arguments) : truthy(value);
    if (passes == wanted) out.push_back(part);
  }
  return call.heap.iterator(std::move(out));
}

struct FilterRow {
  std::string_view name;
  Value (*function)(const Call& call);
};

constexpr auto kLength = [](const Call& c) { return c.bind({}), integer(length(c.subject)); };

constexpr FilterRow kFilters[] = {
    {"abs", absolute},
    {"attr",
     [](const Call& c) {
       return attribute(c.heap, c.subject, to_text(c.heap, c.bind({"name"})[0].value_or(none())));
     }},
    {"capitalize", text_filter<capitalize>},
    {"count", kLength},
    {"d", default_filter},
    {"default", default_filter},
    {"dictsort", dictsort},
    {"e", escape},
    {"escape", escape},
    {"first", first},
    {"float", to_real},
    {"format", format_filter},
    {"indent", indent},
    {"int", to_integer},
    {"items", items_filter},
    {"join", join},
    {"last", last},
    {"length", kLength},
    {"list", [](const Call& c) { return c.bind({}), c.heap.list(c.items()); }},
    {"lower", text_filter<lower>},
    {"map", map_filter},
    {"max", [](const Call& c) { return extreme(c, 1); }},
    {"min", [](const Call& c) { return extreme(c, -1); }},
    {"reject", [](const Call& c) { return select(c, false, false); }},
    {"rejectattr", [](const Call& c) { return select(c, true, false); }},
    {"replace", replace_filter},
    {"reverse", reverse},
    {"round", round_filter},
    {"safe", [](const Call& c) { return c.bind({}), c.heap.text(c.text(), true); }},
    {"select", [](const Call& c) { return select(c, false, true); }},
    {"selectattr", [](const Call& c) { return select(c, true, true); }},
    {"sort", sort},
    {"string", text_filter<unchanged>},
    {"sum", sum},
    {"title", [](const Call& c) { return c.bind({}), c.heap.text(title_words(c.text())); }},
    {"tojson", tojson},
    {"trim", trim},
    {"unique", unique},
    {"upper", text_filter<upper>},
    {"wordcount", [](const Call& c) { return c.bind({}), integer(count_words(c.text())); }},
};

const FilterRow* filter_row(std::string_view name) {
  auto found = std::find_if(std::begin(kFilters), std::end(kFilters),
                            [&](const FilterRow& row) { return row.name == name; });
  return found == std::end(kFilters) ? nullptr : found;
}

}  // namespace

bool is_filter(std::string_view name) { return filter_row(name) != nullptr; }

Value apply_filter(Heap& heap, const std::string& name, const Value& subject, Arguments& arguments) {
  heap.charge_text(subject.is(Kind::kString) ? subject.text().size() : 0);
  if (!is_filter(name)) problem("the filter '{}' is not supported", name);
  return filter_row(name)->function({heap, subject, arguments, fmt::format("the filter '{}'", name)});
}

}  // namespace longspan::jinja
