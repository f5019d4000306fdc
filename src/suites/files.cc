// The maker "file": cases from records of a file. What [task.make] may hold:
//
//   file = "{task}.jsonl"      # searched for in --data (records.h); {task}: the row's name
//   format = "jsonl"           # or "json": one list of records
//   where = { evaluation = ["f1", "rouge"] }     # only records whose field has one of these values
//   each = ["instructions", "outputs"]           # lists of equal length: a case for each position, in which
//                              # each of these fields is its element at that position
//   replace = { instructions = [["from", "to"]] }   # in a field, before all that follows
//   references = "answers"     # of the metric: texts, numbers, lists of them; several paths may be named
//   messages = "prompt"        # earlier turns and the user's, instead of the row's prompt: a list of
//                              # {role, content}, or the JSON text of one
//   fields = ["all_classes"]   # handed to the metric under their name
//   [task.make.cell]           # what tables group by
//   language = "language"      # a field
//   depth = 50                 # a constant
//   topic = "@index"           # the position in `each`, from 1
//   words = { field = "length", bins = [4000] }     # the bin of a number: "0-3999", "4000-"
//   [task.make.slots]          # for the prompt, beside the record's own fields
//   question = "conversations.0.value"           # a path: names of fields, and places in lists from 0
//   text = { strip = "context" }                 # without white space at both ends
//   n = { words = "outputs" }                    # its number of words
//   call = { match = 'f\(\d+\)', of = "input", lower = false }      # first match of a regular expression
//   docs = { list = "ctxs", item = "[{i}] {title}", join = "; " }    # the items of a list, each filled
//                              # and joined. Slots: its fields or, of a list, {0}, {1}; {i} counts from 1.
//                              # first = "key", at = 24: the item whose {0} is the field `key` stands there
//
// Cases that share a document (the row's `document`) follow each other, so that its keys and values are
// reused. Everything is checked when the cases are planned; the text of a case is read again when it runs.
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"
#include "score/words.h"
#include "suites/cases.h"
#include "suites/prompt.h"
#include "suites/records.h"
#include "tokenizer/regex.h"

namespace longspan {

namespace {

constexpr const char* kIndex = "@index";

/// One value of a case: see the head of this file.
struct Slot {
  enum class Kind { Field, Strip, Words, Match, List } kind = Kind::Field;
  std::string name, of;
  std::shared_ptr<const Regex> match;
  bool lower = false;
  std::string item, join, first;
  int64_t at = 0;
};

struct CellRule {
  std::string name;
  Json value;  // a path, "@index", a number, or {field, bins}
};

/// [task.make], read.
struct Reading {
  std::string file = "{task}.jsonl", format = "jsonl", messages;
  std::vector<std::string> each, references, fields;
  Json where, replace;
  std::vector<Slot> slots;
  std::vector<CellRule> cells;
};

std::string spelled(const Json& value) {
  return value.is_string() ? value.get<std::string>() : dump_json(value);
}

Slot read_slot(const std::string& name, const Json& value, const Settings& make) {
  Slot slot;
  slot.name = name;
  if (value.is_string()) {
    slot.of = value.get<std::string>();
    return slot;
  }
  std::string key = "slots." + name;
  if (!value.is_object()) make.refuse(key, "expected a path or a table");
  Settings row = make.inside(key, value);
  std::string pattern;
  if (row.read("strip", slot.of)) slot.kind = Slot::Kind::Strip;
  if (row.read("words", slot.of)) slot.kind = Slot::Kind::Words;
  if (row.read("match", pattern)) {
    slot.kind = Slot::Kind::Match;
    slot.match = std::make_shared<Regex>(pattern, row.where("match"));
    row.read("of", slot.of);
    row.read("lower", slot.lower);
  }
  if (row.read("list", slot.of)) {
    slot.kind = Slot::Kind::List;
    row.read("item", slot.item);
    row.read("join", slot.join);
    row.read("first", slot.first);
    row.read("at", slot.at, 0);
  }
  row.done();
  if (slot.of.empty()) make.refuse(key, "which field is it made of?");
  return slot;
}

Reading read_make(const Task& task) {
  Reading how;
  Settings row = make_settings(task);
  row.read("file", how.file);
  row.read("format", how.format, {"jsonl", "json"});
  row.read("each", how.each);
  row.read("references", how.references);
  row.read("messages", how.messages);
  row.read("fields", how.fields);
  how.where = row.object("where");
  how.replace = row.object("replace");
  const Json &cells = row.object("cell"), &slots = row.object("slots");
  row.done();
  if (how.references.empty()) row.refuse("references", "which field holds them?");
  for (const auto& [field, pairs] : how.replace.items())
    for (const Json& pair : pairs)
      if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string() ||
          pair[0] == "")
        row.refuse("replace." + field, "expected pairs of strings, as [[\"from\", \"to\"]]");
  for (const auto& [name, value] : slots.items()) how.slots.push_back(read_slot(name, value, row));
  for (const auto& [name, value] : cells.items()) {
    bool binned = value.is_object() && value.contains("field") && value["field"].is_string() &&
                  value.contains("bins") && value["bins"].is_array() && value.size() == 2;
    if (!value.is_string() && !value.is_number() && !binned)
      row.refuse("cell." + name, "expected a field, a number or { field = \"...\", bins = [...] }");
    how.cells.push_back({name, value});
  }
  return how;
}

/// A field by its path, "conversations.1.value". Error when it does not exist.
const Json& at_path(const Json& record, const std::string& path, const std::string& where) {
  const Json* at = &record;
  for (size_t begin = 0; begin <= path.size();) {
    size_t end = std::min(path.find('.', begin), path.size());
    std::string step = path.substr(begin, end - begin);
    begin = end + 1;
    const Json* next = nullptr;
    size_t index = 0;
    if (at->is_object() && at->contains(step)) next = &(*at)[step];
    auto [stop, error] = std::from_chars(step.data(), step.data() + step.size(), index);
    if (at->is_array() && error == std::errc() && stop == step.data() + step.size() && index < at->size())
      next = &(*at)[index];
    if (!next || next->is_null()) fail("{}: there is no field {}", where, in_quotes(path));
    at = next;
  }
  return *at;
}

const std::string& text_at(const Json& record, const std::string& path, const std::string& where) {
  const Json& value = at_path(record, path, where);
  if (!value.is_string()) fail("{}: the field {} is no text", where, in_quotes(path));
  return value.get_ref<const std::string&>();
}

/// The items of a list, filled and joined.
std::string listed(const Slot& slot, const Json& record, const std::string& where) {
  const Json& list = at_path(record, slot.of, where);
  if (!list.is_array()) fail("{}: the field {} is no list", where, in_quotes(slot.of));
  std::vector<Json> items;
  for (const Json& item : list) {
    Json fields = Json::object();
    if (item.is_object()) fields = item;
    for (size_t i = 0; item.is_array() && i < item.size(); ++i) fields[std::to_string(i)] = item[i];
    if (!item.is_structured()) fields["0"] = item;
    items.push_back(std::move(fields));
  }
  if (!slot.first.empty()) {
    const Json& wanted = at_path(record, slot.first, where);
    auto found = std::find_if(items.begin(), items.end(),
                              [&](const Json& item) { return item.contains("0") && item["0"] == wanted; });
    if (found == items.end()) fail("{}: {} has no item {}", where, in_quotes(slot.of), excerpt_json(wanted));
    if (slot.at >= std::ssize(items)) fail("{}: {} has no place {}", where, in_quotes(slot.of), slot.at);
    Json moved = std::move(*found);
    items.erase(found);
    items.insert(items.begin() + slot.at, std::move(moved));
  }
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    items[i]["i"] = i + 1;
    out +=
        (i ? slot.join : "") + fill_slots(slot.item, items[i], fmt::format("{}: {}.{}", where, slot.of, i));
  }
  return out;
}

Json value_of(const Slot& slot, const Json& record, const std::string& where) {
  switch (slot.kind) {
    case Slot::Kind::Field:
      return at_path(record, slot.of, where);
    case Slot::Kind::List:
      return listed(slot, record, where);
    case Slot::Kind::Words:
      return split_words(code_points(spelled(at_path(record, slot.of, where)))).size();
    default:
      break;
  }
  const std::string& text = text_at(record, slot.of, where);
  if (slot.kind == Slot::Kind::Strip) return to_utf8(strip(code_points(text)));
  size_t begin = 0, end = 0;
  if (!slot.match->search(text, 0, begin, end))
    fail("{}: {} does not hold what the slot {} looks for", where, in_quotes(slot.of), slot.name);
  std::string found = text.substr(begin, end - begin);
  return slot.lower ? to_utf8(lower(code_points(found))) : found;
}

bool is_wanted(const Reading& how, const Json& record, const std::string& where) {
  for (const auto& [field, values] : how.where.items()) {
    const Json& value = at_path(record, field, where);
    bool one_of =
        values.is_array() ? std::find(values.begin(), values.end(), value) != values.end() : values == value;
    if (!one_of) return false;
  }
  return true;
}

/// How many cases a record makes; 0 when it has no lists to split.
size_t places(const Reading& how, const Json& record, const std::string& where) {
  size_t n = 0;
  for (size_t i = 0; i < how.each.size(); ++i) {
    const Json& list = at_path(record, how.each[i], where);
    if (!list.is_array()) fail("{}: the field {} is no list", where, in_quotes(how.each[i]));
    if (i > 0 && list.size() != n)
      fail("{}: {} has {} elements, {} has {}", where, in_quotes(how.each[0]), n, in_quotes(how.each[i]),
           list.size());
    n = list.size();
  }
  return n;
}

/// The record of one case: each list replaced by its element at `index` (0: none are split), with
/// replacements and slots applied.
Json fields_of(const Reading& how, Json record, size_t index, const std::string& where) {
  if (index > 0)
    for (const std::string& name : how.each) record[name] = Json(record[name].at(index - 1));
  for (const auto& [field, pairs] : how.replace.items()) {
    std::string text = text_at(record, field, where);
    for (const Json& pair : pairs)
      text = replaced(std::move(text), pair[0].get<std::string>(), pair[1].get<std::string>());
    record[field] = text;
  }
  Json slots = Json::object();
  for (const Slot& slot : how.slots) slots[slot.name] = value_of(slot, record, where);
  record.update(slots);
  return record;
}

void append_references(const Json& value, const std::string& path, const std::string& where,
                       std::vector<std::string>& out) {
  if (value.is_array()) {
    for (const Json& one : value) append_references(one, path, where, out);
  } else if (value.is_string() || value.is_number()) {
    out.push_back(spelled(value));
  } else {
    fail("{}: the field {} is no text, number or list of these", where, in_quotes(path));
  }
}

/// [{role, content}, ...]: the last is the user's turn; a leading system message is the system turn.
void take_messages(const Json& value, const std::string& where, CaseText& text) {
  Json list = value;
  if (value.is_string()) list = parse_json(value.get_ref<const std::string&>(), where);
  if (!list.is_array() || list.empty()) fail("{}: a list of messages was expected", where);
  for (const Json& one : list)
    text.turns.push_back({text_at(one, "role", where), text_at(one, "content", where)});
  if (text.turns.back().role != "user") fail("{}: the last message is not the user's", where);
  text.user = std::move(text.turns.back().content);
  text.turns.pop_back();
  if (text.turns.empty() || text.turns.front().role != "system") return;
  text.system = std::move(text.turns.front().content);
  text.turns.erase(text.turns.begin());
}

CaseText case_text(const Task& task, const Reading& how, const Json& fields, const std::string& where) {
  CaseText text = fill_task(task, fields, where);
  if (!how.messages.empty()) take_messages(at_path(fields, how.messages, where), where, text);
  for (const std::string& path : how.references)
    append_references(at_path(fields, path, where), path, where, text.references);
  if (text.references.empty()) fail("{}: {} is empty", where, in_quotes(how.references[0]));
  for (const std::string& path : how.fields) text.fields[path] = at_path(fields, path, where);
  return text;
}

std::string bin_of(const Json& value, const Json& bins, const std::string& where) {
  if (!value.is_number()) fail("{}: {} is no number to be put into a bin", where, excerpt_json(value));
  std::string from = "0";
  for (const Json& bin : bins) {
    if (!bin.is_number_integer()) fail("bins: whole numbers were expected, not {}", excerpt_json(bin));
    if (value < bin) return fmt::format("{}-{}", from, bin.get<int64_t>() - 1);
    from = dump_json(bin);
  }
  return from + "-";
}

CellValue cell_value_of(const Json& rule, const Json& fields, size_t index, const std::string& where) {
  if (rule.is_number()) return cell_value(rule);
  if (rule.is_object())
    return bin_of(at_path(fields, rule["field"].get<std::string>(), where), rule["bins"], where);
  if (rule == kIndex) return index;
  const Json& value = at_path(fields, rule.get<std::string>(), where);
  return value.is_number() ? cell_value(value) : CellValue(spelled(value));
}

Cell cell_of(const Reading& how, const Json& fields, size_t index, const std::string& where) {
  Cell cell;
  for (const CellRule& rule : how.cells) cell.add(rule.name, cell_value_of(rule.value, fields, index, where));
  return cell;
}

/// Stable: groups are in the order of their first case.
void put_together(std::vector<Case>& cases, const std::vector<size_t>& documents) {
  std::unordered_map<size_t, size_t> rank;
  for (size_t d : documents) rank.try_emplace(d, rank.size());
  std::vector<size_t> order(cases.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return rank[documents[a]] < rank[documents[b]]; });
  std::vector<Case> sorted;
  for (size_t i : order) sorted.push_back(std::move(cases[i]));
  cases = std::move(sorted);
}

}  // namespace

std::vector<Case> make_file_cases(const Task& task, const MakeContext& context) {
  auto how = std::make_shared<const Reading>(read_make(task));
  std::string name = fill_slots(how->file, {{"task", task.name}}, task.name + ": make.file");
  auto file = std::make_shared<RecordFile>(find_data(context.data, name), how->format == "json");
  std::vector<Case> cases;
  std::vector<size_t> documents;  // hashes
  auto full = [&] { return context.limit > 0 && std::ssize(cases) >= context.limit; };
  file->each([&](Json&& record, int64_t number) {
    std::string where = file->where(number);
    if (!is_wanted(*how, record, where)) return true;
    bool apart = !how->each.empty();
    size_t first = apart ? 1 : 0, last = apart ? places(*how, record, where) : 0;
    for (size_t index = first; index <= last && !full(); ++index) {
      Json fields = fields_of(*how, record, index, where);
      CaseText text = case_text(task, *how, fields, where);  // for its errors
      Case c;
      c.id = fmt::format("{}/{}", task.name, number);
      c.source = where;
      if (apart) c.id += fmt::format("/{}", index);
      c.cell = cell_of(*how, fields, index, where);
      c.text = [&task, how, file, number, index, where] {
        return case_text(task, *how, fields_of(*how, file->at(number), index, where), where);
      };
      std::string_view document =
          std::string_view(text.user).substr(0, text.document_end).substr(text.document_begin);
      documents.push_back(document.empty() ? cases.size() : std::hash<std::string_view>{}(document));
      cases.push_back(std::move(c));
    }
    return !full();
  });
  if (cases.empty()) fail("{}: has no record for the task {}", name, task.name);
  put_together(cases, documents);
  return cases;
}

}  // namespace longspan
