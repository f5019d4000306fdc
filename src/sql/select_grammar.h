// The statements that a model may write about a schema: SELECT with joins, conditions, grouping, sub-queries
// and set operations, keywords in either case, and the schema's own names (resources/sql/select.gbnf).
//
// A grammar cannot know at SELECT which tables FROM will name. So it holds the rules of a query once for
// every scope: each table, each two or three tables that relations join, and a loose one for everything else
// (aliases, other joins), whose columns may be those of any table. Under a scope, columns are its own. What
// the loose one lets through, the database's check finds.
#pragma once

#include <memory>
#include <string_view>

#include "grammar/matcher.h"
#include "grammar/notation.h"
#include "sql/schema.h"

namespace longspan::sql {

/// At most so many scopes; beyond kMostScopedTables tables there is the loose one only.
constexpr int64_t kMostScopes = 40, kMostScopedTables = 16;

/// The schema has a table, and every name is usable (schema.h). Error for more names than a grammar holds.
GrammarText select_grammar_text(const Schema& schema);
std::shared_ptr<const Grammar> select_grammar(const Schema& schema);

/// Whether the text is one of the grammar's.
bool grammar_accepts(const std::shared_ptr<const Grammar>& grammar, std::string_view text);

}  // namespace longspan::sql
