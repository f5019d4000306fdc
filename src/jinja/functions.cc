// The global functions: Jinja's own, and the ones transformers adds.
#include <algorithm>

#include "jinja/value.h"

namespace longspan::jinja {
namespace {

constexpr int64_t kMaxRange = 100000;  // as Jinja's sandbox

Value make_range(Heap& heap, Arguments& arguments) {
  if (!arguments.named.empty()) problem("range() takes no named arguments");
  if (arguments.positional.empty() || arguments.positional.size() > 3)
    problem("range() takes 1 to 3 arguments");
  int64_t bounds[3] = {0, 0, 1};
  size_t count = arguments.positional.size();
  for (size_t i = 0; i < count; ++i) {
    const Value& value = arguments.positional[i];
    if (!is_integral(value)) problem("range() needs ints, not {}", type_name(value));
    bounds[count == 1 ? 1 : i] = integral(value);
  }
  auto [start, stop, step] = bounds;
  if (step == 0) problem("range() with a step of 0");
  std::vector<Value> out;
  for (int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (static_cast<int64_t>(out.size()) >= kMaxRange) problem("a range of more than {} numbers", kMaxRange);
    out.push_back(integer(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  std::string label = step == 1 ? fmt::format("range({}, {})", start, stop)
                                : fmt::format("range({}, {}, {})", start, stop, step);
  return heap.sequence(Kind::kRange, std::move(out), label);
}

Value make_dict(Heap& heap, Arguments& arguments, Kind kind) {
  Value out = heap.dict(kind);
  if (arguments.positional.size() > 1) problem("{}() takes at most one positional argument", type_name(out));
  for (const Value& source : arguments.positional) {
    if (source.is(Kind::kDict)) {
      for (const auto& [key, value] : source.dict->entries) out.dict->set(key, value);
      continue;
    }
    for (const Value& pair : items(heap, source)) {
      std::vector<Value> parts = items(heap, pair);
      if (parts.size() != 2) problem("{}() needs pairs of key and value", type_name(out));
      out.dict->set(parts[0], parts[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) out.dict->set(constant_text(name), value);
  if (kind == Kind::kNamespace) {
    for (const auto& entry : out.dict->entries) {
      if (entry.first.is(Kind::kString) && entry.first.text().starts_with('_')) {
        problem("the name '{}' of an attribute starts with '_'", entry.first.text());
      }
    }
  }
  return out;
}

Value raise_exception(Heap& heap, Arguments& arguments) {
  auto given = bind_arguments(arguments, {"message"}, "raise_exception()");
  problem("the template refuses this conversation: {}", given[0] ? to_text(heap, *given[0]) : "");
}

Value show_time(Heap& heap, Arguments& arguments) {
  auto given = bind_arguments(arguments, {"format"}, "strftime_now()");
  if (!given[0] || !given[0]->is(Kind::kString)) problem("strftime_now() needs a str");
  const std::string& format = given[0]->text();
  // The C library's own extensions (flags, widths) stay out, but for "%-d" of 1 to 31.
  static constexpr std::string_view kLetters = "aAbBcdDeFgGHIjklmMnprRsStTuUVwWxXyYzZ%";
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') continue;
    if (++i < format.size() && format[i] == '-') ++i;
    if (i >= format.size() || kLetters.find(format[i]) == kLetters.npos)
      problem("strftime_now() does not know '{}'", format);
  }
  if (format.empty()) return heap.text("");
  std::tm now = heap.now();
  std::string out(format.size() * 16 + 64, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &now));
  return heap.text(std::move(out));
}

struct FunctionRow {
  std::string_view name;
  Value (*function)(Heap&, Arguments&);  // null: known to Jinja, not supported here
};

constexpr FunctionRow kFunctions[] = {
    {"range", make_range},
    {"dict", [](Heap& heap, Arguments& arguments) { return make_dict(heap, arguments, Kind::kDict); }},
    {"namespace",
     [](Heap& heap, Arguments& arguments) { return make_dict(heap, arguments, Kind::kNamespace); }},
    {"raise_exception", raise_exception},
    {"strftime_now", show_time},
    {"lipsum", nullptr},
    {"cycler", nullptr},
    {"joiner", nullptr},
};

}  // namespace

bool is_function(std::string_view name) {
  return std::any_of(std::begin(kFunctions), std::end(kFunctions),
                     [&](const FunctionRow& row) { return row.name == name; });
}

Value call_function(Heap& heap, const std::string& name, Arguments& arguments) {
  for (const FunctionRow& row : kFunctions) {
    if (row.name == name && row.function) return row.function(heap, arguments);
  }
  problem("the function {}() is not supported", name);
}

}  // namespace longspan::jinja
