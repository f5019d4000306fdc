// How a model is asked for a statement: rows of a table, each with the message that shows the schema and the
// question, what the answer begins with, and what ends it. The schema and its values are data: names stand in
// quotes where they are not plain words, escaped and on one line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sql/schema.h"

namespace longspan::sql {

struct PromptForm {
  const char* name;
  std::string (*message)(const Schema& schema, const std::string& question);
  const char* lead;  // the answer up to the statement, given to the model
  const char* stop;  // the answer ends before it, beside the model's own ends; "": nothing more
};

/// "plain": ours, in English. "aquila": AquilaSQL's two (FlagAI, examples/Aquila/Aquila-sql: its training
/// data and infer_sample.txt), one for a single table and one for several.
const std::vector<PromptForm>& prompt_forms();
/// Null when there is none of that name.
const PromptForm* prompt_form(std::string_view name);
std::vector<std::string> prompt_form_names();

}  // namespace longspan::sql
