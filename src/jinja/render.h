// The values that only a running template has: loops and macros.
#pragma once

#include <vector>

#include "jinja/ast.h"

namespace longspan::jinja {

/// The running for loop. Items are filtered (for ... if ...) only when they are asked for, as Jinja does: the
/// condition may read what the body changes.
struct Loop {
  const Stmt* statement = nullptr;
  Scope* outer = nullptr;
  std::vector<Value> source;
  size_t next_source = 0;
  std::vector<Value> passed;  // the items that passed the filter so far
  size_t index0 = 0;
  std::vector<Value> last_changed;  // what loop.changed() was given last
  bool has_changed_value = false;
};

struct Macro {
  const Stmt* statement = nullptr;
  Scope* scope = nullptr;  // where it was defined
};

}  // namespace longspan::jinja
