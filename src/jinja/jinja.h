// A small Jinja2 interpreter for chat templates: the language as Jinja's documentation describes it, set up
// as transformers does (trim_blocks, lstrip_blocks, loop controls, {% generation %}, its tojson,
// raise_exception, strftime_now; no autoescape). Values behave as Python's. What is not supported is an Error
// that names source, line and construct; templates are untrusted, so steps, memory and depth are limited.
// parser.cc reads, render.cc runs, value.h holds the values; filters.cc, functions.cc and tests.cc hold the
// built-in names.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace longspan {

struct JinjaOptions {
  int64_t max_steps = 20'000'000;  // one for each node evaluated, element made, or 32 bytes of text made
  size_t max_output = size_t{64} << 20;  // bytes, of the result and of every single string
  std::optional<std::tm> now;            // what strftime_now() shows; empty: the local time
};

class Jinja {
 public:
  /// Parses; `source` (a file or model name) opens every Error sentence of this object.
  Jinja(std::string_view text, std::string source);
  /// `variables` is an object whose keys are the template's global names. Thread-safe.
  std::string render(const Json& variables, const JinjaOptions& options = {}) const;

 private:
  struct Program;
  std::string source_;
  std::shared_ptr<const Program> program_;
};

}  // namespace longspan
