#include "jinja/value.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "jinja/render.h"
#include "jinja/text.h"

namespace longspan::jinja {
namespace {

constexpr int kMaxDepth = 100;

void check_depth(int depth) {
  if (depth > kMaxDepth) problem("a value nested more than {} deep", kMaxDepth);
}

bool has_items(const Value& value) { return value.kind >= Kind::kList && value.kind <= Kind::kIterator; }

// std::partial_ordering is no help: Python's lists compare by the first difference.
int compare_numbers(const Value& a, const Value& b) {
  if (is_integral(a) && is_integral(b)) return integral(a) < integral(b) ? -1 : integral(a) > integral(b);
  return as_real(a) < as_real(b) ? -1 : as_real(a) > as_real(b);
}

bool equal_dicts(Heap& heap, const Dict& a, const Dict& b, int depth) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, position] : a.index) {
    const Value* other = b.find(key);
    if (!other || !equal(heap, a.entries[position].second, *other, depth + 1)) return false;
  }
  return true;
}

std::string sequence_repr(Heap& heap, const Value& value, int depth) {
  const std::vector<Value>& parts = value.sequence->items;
  std::string out = value.is(Kind::kTuple) ? "(" : "[";
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += ", ";
    out += repr(heap, parts[i], depth + 1);
    heap.charge_text(out.size() / (i + 1));
  }
  if (!value.is(Kind::kTuple)) return out + "]";
  return out + (parts.size() == 1 ? ",)" : ")");
}

std::string dict_repr(Heap& heap, const Dict& dict, int depth) {
  std::string out = "{";
  for (const auto& [key, value] : dict.entries) {
    if (out.size() > 1) out += ", ";
    size_t before = out.size();
    out += repr(heap, key, depth + 1) + ": " + repr(heap, value, depth + 1);
    heap.charge_text(out.size() - before);
  }
  return out + "}";
}

}  // namespace

Value none() {
  Value value;
  value.kind = Kind::kNone;
  return value;
}

Value boolean(bool truth) {
  Value value;
  value.kind = Kind::kBool;
  value.boolean = truth;
  return value;
}

Value integer(int64_t number) {
  Value value;
  value.kind = Kind::kInt;
  value.integer = number;
  return value;
}

Value real(double number) {
  Value value;
  value.kind = Kind::kFloat;
  value.real = number;
  return value;
}

static Value with_text(Kind kind, std::string text) {
  Value value;
  value.kind = kind;
  value.shared = std::make_shared<const std::string>(std::move(text));
  return value;
}

Value undefined(std::string why) { return with_text(Kind::kUndefined, std::move(why)); }
Value function(std::string name) { return with_text(Kind::kFunction, std::move(name)); }
Value constant_text(std::string text) { return with_text(Kind::kString, std::move(text)); }

const Value* Dict::find(const std::string& hashed) const {
  auto found = index.find(hashed);
  return found == index.end() ? nullptr : &entries[found->second].second;
}

const Value* Dict::find_text(std::string_view key) const { return find(fmt::format("s{}", key)); }

void Dict::set(const Value& key, Value value) {
  auto [found, is_new] = index.emplace(hash_key(key), entries.size());
  if (is_new) {
    entries.emplace_back(key, std::move(value));
  } else {
    entries[found->second].second = std::move(value);
  }
}

void Heap::charge(int64_t steps) {
  steps_ -= steps;
  if (steps_ < 0) problem("it takes more than {} steps", all_steps_);
}

void Heap::charge_text(size_t bytes) {
  if (bytes > max_text_)
    problem("it makes a text of more than {}", human_bytes(static_cast<double>(max_text_)));
  charge(1 + static_cast<int64_t>(bytes / 32));
}

void Heap::charge_search(size_t text, size_t needle) {
  double comparisons =
      needle > text ? 0 : static_cast<double>(text - needle + 1) * static_cast<double>(needle);
  charge(1 + static_cast<int64_t>(text / 32) + static_cast<int64_t>(comparisons / 512));
}

Value Heap::text(std::string text, bool escaped) {
  charge_text(text.size());
  Value value = with_text(Kind::kString, std::move(text));
  value.escaped = escaped;
  return value;
}

Value Heap::sequence(Kind kind, std::vector<Value> items, std::string label) {
  charge(2 + static_cast<int64_t>(items.size()));
  sequences_.push_back({std::move(items), 0, std::move(label)});
  Value value;
  value.kind = kind;
  value.sequence = &sequences_.back();
  return value;
}

Value Heap::dict(Kind kind) {
  charge(4);
  dicts_.emplace_back();
  Value value;
  value.kind = kind;
  value.dict = &dicts_.back();
  return value;
}

Value Heap::method(const Value& self, std::string_view name) {
  charge(2);
  methods_.push_back({self, std::string(name)});
  Value value;
  value.kind = Kind::kMethod;
  value.method = &methods_.back();
  return value;
}

Value Heap::macro(Macro macro) {
  charge(4);
  macros_.push_back(std::make_shared<Macro>(std::move(macro)));
  Value value;
  value.kind = Kind::kMacro;
  value.macro = macros_.back().get();
  return value;
}

Value Heap::loop(Loop loop) {
  charge(4);
  loops_.push_back(std::make_shared<Loop>(std::move(loop)));
  Value value;
  value.kind = Kind::kLoop;
  value.loop = loops_.back().get();
  return value;
}

Scope* Heap::scope(Scope* parent) {
  charge(4);
  scopes_.push_back({{}, parent});
  return &scopes_.back();
}

Value Heap::from_json(const Json& json, int depth) {
  check_depth(depth);
  charge(1);
  switch (json.type()) {
    case Json::value_t::boolean:
      return boolean(json.get<bool>());
    case Json::value_t::number_integer:
      return integer(json.get<int64_t>());
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > INT64_MAX)
        problem("the number {} has more than 64 bits", json.get<uint64_t>());
      return integer(json.get<int64_t>());
    case Json::value_t::number_float:
      return real(json.get<double>());
    case Json::value_t::string:
      return with_text(Kind::kString, valid_utf8(json.get_ref<const std::string&>()));
    case Json::value_t::array: {
      std::vector<Value> parts;
      for (const Json& part : json) parts.push_back(from_json(part, depth + 1));
      return list(std::move(parts));
    }
    case Json::value_t::object: {
      Value object = dict();
      for (const auto& [key, value] : json.items()) {
        object.dict->set(with_text(Kind::kString, valid_utf8(key)), from_json(value, depth + 1));
      }
      return object;
    }
    default:
      return none();
  }
}

std::tm Heap::now() const {
  if (now_) return *now_;
  std::time_t seconds = std::time(nullptr);
  std::tm local{};
  localtime_r(&seconds, &local);
  return local;
}

std::string type_name(const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined:
      return "an undefined value";
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kRange:
      return "range";
    case Kind::kView:
      return value.sequence->label;
    case Kind::kIterator:
      return "an iterator";
    case Kind::kDict:
      return "dict";
    case Kind::kNamespace:
      return "namespace";
    case Kind::kLoop:
      return "loop";
    case Kind::kMacro:
      return "macro";
    case Kind::kFunction:
      return "function";
    case Kind::kMethod:
      return "method";
  }
  return "";
}

bool is_integral(const Value& value) { return value.is(Kind::kInt) || value.is(Kind::kBool); }
bool is_number(const Value& value) { return is_integral(value) || value.is(Kind::kFloat); }
int64_t integral(const Value& value) { return value.is(Kind::kBool) ? value.boolean : value.integer; }
double as_real(const Value& value) {
  return value.is(Kind::kFloat) ? value.real : static_cast<double>(integral(value));
}

bool truthy(const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return value.boolean;
    case Kind::kInt:
      return value.integer != 0;
    case Kind::kFloat:
      return value.real != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange:
    case Kind::kView:
      return !value.sequence->items.empty();
    case Kind::kDict:
      return !value.dict->entries.empty();
    default:
      return true;
  }
}

bool equal(Heap& heap, const Value& a, const Value& b, int depth) {
  check_depth(depth);
  heap.charge(1);
  if (is_number(a) && is_number(b)) {
    if (is_integral(a) && is_integral(b)) return integral(a) == integral(b);
    return as_real(a) == as_real(b);
  }
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      heap.charge_text(a.text().size());
      return a.text() == b.text();
    case Kind::kFunction:
      return a.text() == b.text();
    case Kind::kDict:
      return equal_dicts(heap, *a.dict, *b.dict, depth);
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange: {
      const auto& left = a.sequence->items;
      const auto& right = b.sequence->items;
      return left.size() == right.size() &&
             std::equal(left.begin(), left.end(), right.begin(),
                        [&](const Value& x, const Value& y) { return equal(heap, x, y, depth + 1); });
    }
    case Kind::kMethod:
      return a.method == b.method;
    default:
      return a.sequence == b.sequence;  // identity
  }
}

int compare(Heap& heap, const Value& a, const Value& b, int depth) {
  check_depth(depth);
  heap.charge(1);
  if (is_number(a) && is_number(b)) return compare_numbers(a, b);
  if (a.kind == b.kind && a.is(Kind::kString)) {
    heap.charge_text(a.text().size());
    return a.text().compare(b.text());
  }
  if (a.kind == b.kind && (a.is(Kind::kList) || a.is(Kind::kTuple))) {
    const auto& left = a.sequence->items;
    const auto& right = b.sequence->items;
    for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
      if (!equal(heap, left[i], right[i], depth + 1)) return compare(heap, left[i], right[i], depth + 1);
    }
    return left.size() < right.size() ? -1 : left.size() > right.size();
  }
  for (const Value* side : {&a, &b}) {
    if (side->is(Kind::kUndefined)) problem("{}", side->text());
  }
  problem("{} and {} have no order", type_name(a), type_name(b));
}

bool contains(Heap& heap, const Value& container, const Value& key) {
  if (container.is(Kind::kString)) {
    if (!key.is(Kind::kString)) problem("'in' looks for a str in a str, not for {}", type_name(key));
    heap.charge_search(container.text().size(), key.text().size());
    return container.text().find(key.text()) != std::string::npos;
  }
  if (key.is(Kind::kString)) heap.charge_text(key.text().size());
  if (container.is(Kind::kDict)) return container.dict->find(hash_key(key)) != nullptr;
  for (const Value& candidate : items(heap, container)) {
    if (equal(heap, candidate, key)) return true;
  }
  return false;
}

std::string hash_key(const Value& value, int depth) {
  check_depth(depth);
  switch (value.kind) {
    case Kind::kUndefined:
      return "u";
    case Kind::kNone:
      return "n";
    case Kind::kBool:
    case Kind::kInt:
      return fmt::format("i{}", integral(value));
    case Kind::kFloat:
      if (std::floor(value.real) == value.real && std::fabs(value.real) < 9e18) {
        return fmt::format("i{}", static_cast<int64_t>(value.real));
      }
      return fmt::format("f{}", value.real);
    case Kind::kString:
      return "s" + value.text();
    case Kind::kTuple: {
      std::string out = "t";
      for (const Value& part : value.sequence->items) {
        std::string key = hash_key(part, depth + 1);
        out += fmt::format("{}:", key.size()) + key;
      }
      return out;
    }
    default:
      problem("{} cannot be a key of a dict", type_name(value));
  }
}

int64_t length(const Value& value) {
  switch (value.kind) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(code_points(value.text()));
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange:
    case Kind::kView:
      return static_cast<int64_t>(value.sequence->items.size());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict->entries.size());
    default:
      problem("{} has no length", type_name(value));
  }
}

bool is_iterable(const Value& value) {
  return value.is(Kind::kUndefined) || value.is(Kind::kString) || value.is(Kind::kDict) || has_items(value);
}

std::vector<Value> items(Heap& heap, const Value& value) {
  std::vector<Value> out;
  if (value.is(Kind::kString)) {
    for (std::string_view letter : characters(value.text())) out.push_back(heap.text(std::string(letter)));
  } else if (value.is(Kind::kDict)) {
    for (const auto& entry : value.dict->entries) out.push_back(entry.first);
  } else if (has_items(value)) {
    Sequence& sequence = *value.sequence;
    out.assign(sequence.items.begin() + static_cast<ptrdiff_t>(sequence.next), sequence.items.end());
    if (value.is(Kind::kIterator)) sequence.next = sequence.items.size();
  } else if (!value.is(Kind::kUndefined)) {
    problem("{} cannot be iterated over", type_name(value));
  }
  heap.charge(1 + static_cast<int64_t>(out.size()));
  return out;
}

std::string to_text(Heap& heap, const Value& value) {
  if (value.is(Kind::kString)) return value.text();
  if (value.is(Kind::kUndefined)) return "";
  return repr(heap, value);
}

std::string real_repr(double value) {
  if (std::isnan(value)) return "nan";
  std::string out = fmt::format("{}", value);
  return out.find_first_of(".en") == out.npos ? out + ".0" : out;  // "inf" has an n
}

std::string repr(Heap& heap, const Value& value, int depth) {
  check_depth(depth);
  heap.charge(1);
  switch (value.kind) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.boolean ? "True" : "False";
    case Kind::kInt:
      return std::to_string(value.integer);
    case Kind::kFloat:
      return real_repr(value.real);
    case Kind::kString:
      heap.charge_text(value.text().size());
      return value.escaped ? "Markup(" + python_quoted(value.text()) + ")" : python_quoted(value.text());
    case Kind::kList:
    case Kind::kTuple:
      return sequence_repr(heap, value, depth);
    case Kind::kRange:
      return value.sequence->label;
    case Kind::kView: {
      Value as_list = heap.list(value.sequence->items);
      return value.sequence->label + "(" + sequence_repr(heap, as_list, depth) + ")";
    }
    case Kind::kDict:
      return dict_repr(heap, *value.dict, depth);
    case Kind::kNamespace:
      return "<Namespace " + dict_repr(heap, *value.dict, depth) + ">";
    case Kind::kMacro:
      return "<Macro " + python_quoted(value.macro->statement->name) + ">";
    default:
      problem("{} cannot be printed (in Python it would show a memory address)", type_name(value));
  }
}

std::vector<std::optional<Value>> bind_arguments(const Arguments& arguments,
                                                 const std::vector<std::string_view>& names,
                                                 std::string_view what) {
  std::vector<std::optional<Value>> out(names.size());
  if (arguments.positional.size() > names.size()) {
    problem("{} takes at most {} arguments, not {}", what, names.size(), arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) out[i] = arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) problem("{} has no argument '{}'", what, name);
    std::optional<Value>& slot = out[static_cast<size_t>(found - names.begin())];
    if (slot) problem("{} gets the argument '{}' twice", what, name);
    slot = value;
  }
  return out;
}

}  // namespace longspan::jinja
