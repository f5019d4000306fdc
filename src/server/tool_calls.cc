#include "server/tool_calls.h"

#include <algorithm>

#include "base/error.h"

namespace longspan::server {

namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kOpenings[] = {"<tool_call>", "[TOOL_CALLS]", "<function="};

std::string_view trimmed(std::string_view text) {
  size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

/// Appends the calls of a JSON value, an object or a list; false when it is something else.
bool add_json(const Json& value, const std::set<std::string>& names, std::vector<ToolCall>& calls) {
  if (value.is_array()) {
    size_t before = calls.size();
    for (const Json& one : value)
      if (!add_json(one, names, calls)) return calls.resize(before), false;
    return !value.empty();
  }
  if (!value.is_object()) return false;
  const Json* object = &value;
  if (auto inner = value.find("function"); inner != value.end() && inner->is_object()) object = &*inner;
  auto name = object->find("name");
  if (name == object->end() || !name->is_string() || !names.contains(name->get<std::string>())) return false;
  auto arguments = object->find("arguments");
  if (arguments == object->end()) arguments = object->find("parameters");
  Json given = arguments == object->end() ? Json::object() : *arguments;
  calls.push_back(
      {name->get<std::string>(), given.is_string() ? given.get<std::string>() : dump_json(given)});
  return true;
}

bool add_text(std::string_view text, const std::set<std::string>& names, std::vector<ToolCall>& calls) {
  text = trimmed(text);
  if (text.empty() || (text[0] != '{' && text[0] != '[')) return false;
  try {
    return add_json(parse_json(text, "tool call"), names, calls);
  } catch (const Error&) {
    return false;
  }
}

/// Takes every OPENING...CLOSING whose inside `read` understands out of the text; an answer may end before
/// its last closing.
template <class Read>
void take_out(std::string& text, std::string_view opening, std::string_view closing, const Read& read) {
  for (size_t from = 0; (from = text.find(opening, from)) != std::string::npos;) {
    size_t inside = from + opening.size(), end = text.find(closing, inside);
    size_t last = end == std::string::npos ? text.size() : end;
    if (!read(std::string_view(text).substr(inside, last - inside))) {
      from = inside;
      continue;
    }
    text.erase(from, (end == std::string::npos ? text.size() : end + closing.size()) - from);
  }
}

}  // namespace

std::set<std::string> tool_names(const Json& tools) {
  std::set<std::string> names;
  if (tools.is_array())
    for (const Json& tool : tools) names.insert(tool.at("function").at("name").get<std::string>());
  return names;
}

ReadAnswer read_tool_calls(const std::string& answer, const std::set<std::string>& names) {
  ReadAnswer read{.content = answer, .calls = {}};
  if (names.empty()) return read;
  std::string_view whole = trimmed(answer);
  if (whole.starts_with("[TOOL_CALLS]")) whole.remove_prefix(12);
  if (add_text(whole, names, read.calls)) {
    read.content.clear();
    return read;
  }
  take_out(read.content, "<tool_call>", "</tool_call>",
           [&](std::string_view inside) { return add_text(inside, names, read.calls); });
  take_out(read.content, "<function=", "</function>", [&](std::string_view inside) {
    size_t end = inside.find('>');
    if (end == std::string_view::npos) return false;
    std::string name(inside.substr(0, end));
    std::string_view arguments = trimmed(inside.substr(end + 1));
    if (!names.contains(name) || (!arguments.empty() && arguments[0] != '{')) return false;
    read.calls.push_back({name, arguments.empty() ? "{}" : std::string(arguments)});
    return true;
  });
  if (!read.calls.empty()) read.content = std::string(trimmed(read.content));
  return read;
}

size_t shown_before_calls(std::string_view answer) {
  size_t first = answer.find_first_not_of(kSpace);
  if (first == std::string_view::npos || answer[first] == '{' || answer[first] == '[') return 0;
  size_t shown = answer.size();
  for (std::string_view opening : kOpenings) {
    shown = std::min(shown, answer.find(opening));
    for (size_t n = std::min(opening.size() - 1, answer.size()); n > 0; --n)
      if (answer.ends_with(opening.substr(0, n))) {
        shown = std::min(shown, answer.size() - n);
        break;
      }
  }
  return shown;
}

}  // namespace longspan::server
