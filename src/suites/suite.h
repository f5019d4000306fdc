// A suite is a TOML file: defaults, and a row for each task that says where its cases come from, what is
// asked, how many tokens the answer may take, how it is cut and how it is scored. A task is added without
// code, in a file of the user's or of resources/suites. docs/evaluation.md is the reference of the keys.
//
//   name = "longbench"
//   dialects = ["official", "index"]        # ways to ask the same; the first is the default
//   [defaults]                              # keys of every row
//   [dialect.index]                         # keys that this dialect changes in every row
//   [[task]]
//   name = "qasper"                         # and the keys of Task below
//   only = ["official"]                     # the dialects that have this row; without it all have
//   [task.make]                             # keys of its maker
//   [task.dialect.index]                    # keys that this dialect changes in this row
//
// Later ones win: defaults, dialect, task, task's dialect, --set KEY=VALUE.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/settings.h"

namespace longspan {

/// What happens to a prompt that with its answer exceeds the window.
enum class Truncation {
  Refuse,      // "refuse": an error with the numbers
  Middle,      // "middle": of the ids, template included, the first and the last half of the budget stay
               // (OpenCompass's mode mid, the Index report)
  TextMiddle,  // "text-middle": the same before the template is applied: ids of the prompt's text without the
               // template are cut to window - reserve, decoded and read again (LongBench's own script)
  Left,        // "left", "right": the document loses tokens at that side until all fits
  Right,
  Words,  // "words": the document loses its last 250 blank-separated words until it has at most window -
          // 512 tokens (L-Eval's own script)
};
/// Error lists the names.
Truncation truncation_of(const std::string& name);
const char* name_of(Truncation truncation);

/// One row. Slots in system, prompt and prefix are {field}; "{{" and "}}" are braces.
struct Task {
  std::string name;
  std::string what;                  // one line for the report
  std::string category;              // tasks of one category are averaged first; "": a category of its own
  std::string maker = "file";        // a row of case_makers(): where cases come from
  Json make = Json::object();        // [task.make]: what that maker reads
  std::string system, prompt;        // the turns of the system and of the user
  std::string prefix;                // the beginning of the answer, given
  std::string document;              // the slot that truncation may cut; "": none
  bool chat = true;                  // through the model's chat template, if it has one
  int64_t new_tokens = 64;           // that an answer may have
  std::vector<std::string> stop;     // strings that end an answer
  std::string postprocess;           // "", "first_line": before the metric
  std::vector<std::string> metrics;  // rows of metrics()
  std::string combine;               // of several metrics one score: "" (the first), "geometric_mean", "mean"
  Truncation truncate = Truncation::Refuse;
  int64_t reserve = 0;  // Truncation::TextMiddle
  Json row;             // the whole merged row, for the report
  std::string file;     // of the suite
  Places places;        // where the keys of `row` stand
};
/// Reads [task.make]. The task outlives the reader.
Settings make_settings(const Task& task);

struct Suite {
  std::string name, what, paper, data;  // data: how the user gets the files
  std::string dialect;                  // "" when there is one way only
  std::vector<std::string> dialects;
  std::vector<Task> tasks;
};

/// `suite`: a name of suite_names(), or a file ending in .toml. `dialect` "": the first. `tasks`: names to
/// keep in this order, empty: all. `overrides`: "KEY=VALUE" for every row or "TASK.KEY=VALUE" for one
/// (base/settings.h); keys of the maker are written make.KEY. Error names the file, the task and the key; an
/// unknown suite, dialect or task lists those there are.
Suite read_suite(const std::string& suite, const std::string& dialect, const std::vector<std::string>& tasks,
                 const std::vector<std::string>& overrides);

/// Those built into the program.
std::vector<std::string> suite_names();

/// "{a} of {b}" with values put in; an unknown slot is an error that names it and `where`. `begin` and `end`
/// receive the byte range of the first slot named `mark`, if given; equal when there is none.
std::string fill_slots(std::string_view text, const Json& fields, const std::string& where,
                       const std::string& mark = "", size_t* begin = nullptr, size_t* end = nullptr);

}  // namespace longspan
