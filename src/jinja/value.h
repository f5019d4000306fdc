// Values of the template language: Python's None, bool, int, float, str, list, tuple, dict and what Jinja
// adds. Text is shared and immutable; everything that can hold other values lives in the Heap of one
// rendering and is referred to by plain pointers, so a list that contains itself is harmless and is freed
// with the rest.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <ctime>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"

namespace longspan::jinja {

/// What went wrong, without the location: Jinja's two public functions add source and line and throw Error.
struct Problem : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <typename... Args>
[[noreturn]] void problem(fmt::format_string<Args...> format, Args&&... args) {
  throw Problem(fmt::format(format, std::forward<Args>(args)...));
}

enum class Kind : uint8_t {
  kUndefined,  // text: the error sentence for when it is used
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kRange,
  kView,      // dict.items() and its like: a length and an order, no index
  kIterator,  // what map, select, ... give: read once
  kDict,
  kNamespace,
  kLoop,
  kMacro,
  kFunction,  // text: its global name
  kMethod,
};

struct Sequence;
struct Dict;
struct Loop;
struct Macro;
struct Method;

struct Value {
  Kind kind = Kind::kUndefined;
  bool escaped = false;  // kString: the filters safe and escape made it; '+' then escapes what it joins
  union {
    bool boolean;
    int64_t integer = 0;
    double real;
    Sequence* sequence;
    Dict* dict;  // also the attributes of a namespace
    Loop* loop;
    const Macro* macro;
    const Method* method;
  };
  std::shared_ptr<const std::string> shared;

  const std::string& text() const { return *shared; }
  bool is(Kind wanted) const { return kind == wanted; }
};

Value none();
Value boolean(bool value);
Value integer(int64_t value);
Value real(double value);
/// An undefined value; `why` is the error sentence for when it is used.
Value undefined(std::string why);
Value function(std::string name);
/// Text that a parser made: not charged to any Heap.
Value constant_text(std::string text);

struct Sequence {
  std::vector<Value> items;
  size_t next = 0;    // kIterator: the first item not read yet
  std::string label;  // kView: "dict_items"; kRange: "range(0, 3)"
};

/// Keeps the order of insertion; looks up by the text of hash_key().
struct Dict {
  std::vector<std::pair<Value, Value>> entries;
  std::unordered_map<std::string, size_t> index;

  const Value* find(const std::string& hashed) const;
  const Value* find_text(std::string_view key) const;
  void set(const Value& key, Value value);
};

struct Method {
  Value self;
  std::string name;
};

/// A scope: names set in it, then its parent's.
struct Scope {
  std::vector<std::pair<std::string, Value>> names;
  Scope* parent = nullptr;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Everything that one rendering allocates, and how much it may still allocate and compute.
class Heap {
 public:
  Heap(int64_t steps, size_t max_text, std::optional<std::tm> now)
      : max_text_(max_text), now_(now), steps_(steps), all_steps_(steps) {}

  /// Problem when the rendering has used up its steps.
  void charge(int64_t steps);
  /// To call before making `bytes` of text.
  void charge_text(size_t bytes);
  /// To call before searching for `needle` in `text`: in the worst case every position is compared.
  void charge_search(size_t text, size_t needle);

  Value text(std::string text, bool escaped = false);
  Value sequence(Kind kind, std::vector<Value> items, std::string label = "");
  Value list(std::vector<Value> items) { return sequence(Kind::kList, std::move(items)); }
  Value tuple(std::vector<Value> items) { return sequence(Kind::kTuple, std::move(items)); }
  Value iterator(std::vector<Value> items) { return sequence(Kind::kIterator, std::move(items)); }
  Value dict(Kind kind = Kind::kDict);
  Value method(const Value& self, std::string_view name);
  Value macro(Macro macro);
  Value loop(Loop loop);
  Scope* scope(Scope* parent);
  Value from_json(const Json& json, int depth = 0);

  size_t max_text() const { return max_text_; }
  std::tm now() const;

 private:
  size_t max_text_;
  std::optional<std::tm> now_;
  int64_t steps_;
  int64_t all_steps_;
  std::deque<Sequence> sequences_;
  std::deque<Dict> dicts_;
  std::deque<Method> methods_;
  std::deque<std::shared_ptr<Macro>> macros_;
  std::deque<std::shared_ptr<Loop>> loops_;
  std::deque<Scope> scopes_;
};

// Python's view of a value. `depth` guards against lists that contain themselves.

/// "str", "list", "dict", "None", ...: for error sentences.
std::string type_name(const Value& value);
bool is_number(const Value& value);    // bool, int, float
bool is_integral(const Value& value);  // bool, int
int64_t integral(const Value& value);
double as_real(const Value& value);
bool truthy(const Value& value);
bool equal(Heap& heap, const Value& a, const Value& b, int depth = 0);
/// Negative, 0, positive; Problem when Python cannot order the two.
int compare(Heap& heap, const Value& a, const Value& b, int depth = 0);
/// key in container
bool contains(Heap& heap, const Value& container, const Value& key);
/// Two values have the same text exactly when they are one key of a Python dict. Problem when unhashable.
std::string hash_key(const Value& value, int depth = 0);
/// len(); Problem when there is none.
int64_t length(const Value& value);
/// All items in order (an iterator is used up); Problem when not iterable.
std::vector<Value> items(Heap& heap, const Value& value);
bool is_iterable(const Value& value);
/// str() and repr(). Problem for what Python would print with a memory address.
std::string to_text(Heap& heap, const Value& value);
std::string repr(Heap& heap, const Value& value, int depth = 0);
std::string real_repr(double value);

// attributes.cc: a.b, a[b], a[b:c:d], and the methods of Python's types.
Value attribute(Heap& heap, const Value& object, const std::string& name);
Value item(Heap& heap, const Value& object, const Value& key);
Value slice(Heap& heap, const Value& object, const Value& start, const Value& stop, const Value& step);
/// "a.b.0" as the attribute= of filters reads it; `preset` replaces every undefined part.
Value attribute_path(Heap& heap, const Value& object, const Value& path,
                     const std::optional<Value>& preset = std::nullopt);
Value call_method(Heap& heap, const Method& method, Arguments& arguments);

// operators.cc
Value unary(const std::string& op, const Value& a);
Value binary(Heap& heap, const std::string& op, const Value& a, const Value& b);
/// Python's "format" % arguments.
Value percent_format(Heap& heap, const std::string& format, const Value& arguments);

// functions.cc: range, dict, namespace, raise_exception, strftime_now, ...
bool is_function(std::string_view name);
Value call_function(Heap& heap, const std::string& name, Arguments& arguments);

// filters.cc, tests.cc
bool is_filter(std::string_view name);
Value apply_filter(Heap& heap, const std::string& name, const Value& subject, Arguments& arguments);
bool is_test(std::string_view name);
bool apply_test(Heap& heap, const std::string& name, const Value& subject, Arguments& arguments);

/// Puts positional and named arguments into the order of `names`; absent ones are empty. Problem for too many
/// or unknown.
std::vector<std::optional<Value>> bind_arguments(const Arguments& arguments,
                                                 const std::vector<std::string_view>& names,
                                                 std::string_view what);

/// json.dumps(). indent: none, a number or a text.
std::string to_json(Heap& heap, const Value& value, const std::optional<std::string>& indent, bool ascii,
                    bool sort_keys, std::string_view item_separator, std::string_view key_separator);

}  // namespace longspan::jinja
