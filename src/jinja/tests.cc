// Jinja's tests ("x is defined"), as rows of a table.
#include <algorithm>
#include <cmath>

#include "jinja/text.h"
#include "jinja/value.h"

namespace longspan::jinja {
namespace {

using Test = bool (*)(Heap&, const Value&, const Value&);

template <Kind... kinds>
bool is_kind(Heap&, const Value& value, const Value&) {
  return (value.is(kinds) || ...);
}

bool divisible(Heap& heap, const Value& value, const Value& by) {
  return equal(heap, binary(heap, "%", value, by), integer(0));
}

bool is_callable(Heap&, const Value& value, const Value&) {
  // Jinja's Undefined has a __call__ (that fails), so Python finds it callable.
  return value.is(Kind::kUndefined) || value.kind >= Kind::kLoop;
}

bool has_index_and_length(Heap&, const Value& value, const Value&) {
  return value.is(Kind::kUndefined) || value.is(Kind::kString) || value.is(Kind::kList) ||
         value.is(Kind::kTuple) || value.is(Kind::kRange) || value.is(Kind::kDict);
}

bool same(Heap& heap, const Value& a, const Value& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kNone:
      return true;
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
    case Kind::kString:
    case Kind::kFunction:
      return equal(heap, a, b);
    case Kind::kUndefined:
      return a.shared == b.shared;
    default:
      return a.sequence == b.sequence;
  }
}

struct TestRow {
  std::string_view name;
  int arguments;
  Test test;
};

constexpr TestRow kTests[] = {
    {"!=", 1, [](Heap& h, const Value& a, const Value& b) { return !equal(h, a, b); }},
    {"<", 1, [](Heap& h, const Value& a, const Value& b) { return compare(h, a, b) < 0; }},
    {"<=", 1, [](Heap& h, const Value& a, const Value& b) { return compare(h, a, b) <= 0; }},
    {"==", 1, [](Heap& h, const Value& a, const Value& b) { return equal(h, a, b); }},
    {">", 1, [](Heap& h, const Value& a, const Value& b) { return compare(h, a, b) > 0; }},
    {">=", 1, [](Heap& h, const Value& a, const Value& b) { return compare(h, a, b) >= 0; }},
    {"boolean", 0, is_kind<Kind::kBool>},
    {"callable", 0, is_callable},
    {"defined", 0, [](Heap&, const Value& a, const Value&) { return !a.is(Kind::kUndefined); }},
    {"divisibleby", 1, divisible},
    {"eq", 1, [](Heap& h, const Value& a, const Value& b) { return equal(h, a, b); }},
    {"equalto", 1, [](Heap& h, const Value& a, const Value& b) { return equal(h, a, b); }},
    {"escaped", 0, [](Heap&, const Value& a, const Value&) { return a.escaped; }},
    {"even", 0, [](Heap& h, const Value& a, const Value&) { return divisible(h, a, integer(2)); }},
    {"false", 0, [](Heap&, const Value& a, const Value&) { return a.is(Kind::kBool) && !a.boolean; }},
    {"float", 0, is_kind<Kind::kFloat>},
    {"ge", 1, [](Heap& h, const Value& a, const Value& b) { return compare(h, a, b) >= 0; }},
    {"greaterthan", 1, [](Heap& h, const Value& a, const Value& b) { return compare(h, a, b) > 0; }},
    {"gt", 1, [](Heap& h, const Value& a, const Value& b) { return compare(h, a, b) > 0; }},
    {"in", 1, [](Heap& h, const Value& a, const Value& b) { return contains(h, b, a); }},
    {"integer", 0, is_kind<Kind::kInt>},
    {"iterable", 0, [](Heap&, const Value& a, const Value&) { return is_iterable(a); }},
    {"le", 1, [](Heap& h, const Value& a, const Value& b) { return compare(h, a, b) <= 0; }},
    {"lessthan", 1, [](Heap& h, const Value& a, const Value& b) { return compare(h, a, b) < 0; }},
    {"lower", 0, [](Heap& h, const Value& a, const Value&) { return is_lower(to_text(h, a)); }},
    {"lt", 1, [](Heap& h, const Value& a, const Value& b) { return compare(h, a, b) < 0; }},
    {"mapping", 0, is_kind<Kind::kDict>},
    {"ne", 1, [](Heap& h, const Value& a, const Value& b) { return !equal(h, a, b); }},
    {"none", 0, is_kind<Kind::kNone>},
    {"number", 0, is_kind<Kind::kBool, Kind::kInt, Kind::kFloat>},
    {"odd", 0,
     [](Heap& h, const Value& a, const Value&) {
       return equal(h, binary(h, "%", a, integer(2)), integer(1));
     }},
    {"sameas", 1, same},
    {"sequence", 0, has_index_and_length},
    {"string", 0, is_kind<Kind::kString>},
    {"true", 0, [](Heap&, const Value& a, const Value&) { return a.is(Kind::kBool) && a.boolean; }},
    {"undefined", 0, is_kind<Kind::kUndefined>},
    {"upper", 0, [](Heap& h, const Value& a, const Value&) { return is_upper(to_text(h, a)); }},
};

const TestRow* test_row(std::string_view name) {
  auto found = std::find_if(std::begin(kTests), std::end(kTests),
                            [&](const TestRow& row) { return row.name == name; });
  return found == std::end(kTests) ? nullptr : found;
}

}  // namespace

bool is_test(std::string_view name) { return test_row(name) != nullptr; }

bool apply_test(Heap& heap, const std::string& name, const Value& subject, Arguments& arguments) {
  heap.charge_text(subject.is(Kind::kString) ? subject.text().size() : 0);
  if (!is_test(name)) problem("the test '{}' is not supported", name);
  const TestRow& row = *test_row(name);
  if (static_cast<int>(arguments.positional.size()) != row.arguments || !arguments.named.empty()) {
    problem("the test '{}' takes {} arguments, not {}", name, row.arguments,
            arguments.positional.size() + arguments.named.size());
  }
  return row.test(heap, subject, row.arguments > 0 ? arguments.positional[0] : none());
}

}  // namespace longspan::jinja
