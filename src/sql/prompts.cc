#include "sql/prompts.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"

namespace longspan::sql {

namespace {

/// On one line, whatever it holds.
std::string shown_name(const std::string& name, Dialect dialect) {
  return bare(name, dialect) ? name : excerpt(quoted_name(name), 200);
}

const char* system_name(Dialect dialect) { return dialect == Dialect::Sqlite ? "SQLite" : "PostgreSQL"; }

/// "author_id integer references authors(id)"
std::string plain_column(const Schema& schema, const Table& table, const Column& column) {
  std::string out = shown_name(column.name, schema.dialect);
  if (!column.type.empty()) out += " " + excerpt(lower(column.type), 60);
  if (column.primary_key) out += " primary key";
  for (const Relation& r : relations_of(schema, table))
    if (r.column == column.name)
      out += fmt::format(" references {}({})", shown_name(r.other_table, schema.dialect),
                         shown_name(r.other_column, schema.dialect));
  std::string samples;
  for (const std::string& sample : column.samples)
    samples += (samples.empty() ? "" : ", ") + in_quotes(sample);
  return samples.empty() ? out : out + " (such as " + samples + ")";
}

std::string plain_message(const Schema& schema, const std::string& question) {
  std::string out = fmt::format("Tables of a {} database:\n", system_name(schema.dialect));
  for (const Table& table : schema.tables) {
    std::string columns;
    for (const Column& column : table.columns)
      columns += (columns.empty() ? "" : ", ") + plain_column(schema, table, column);
    out += fmt::format("{}({})\n", shown_name(table.name, schema.dialect), columns);
  }
  return out + "Write one SELECT statement that answers the question.\nQuestion: " + question;
}

/// As "city(San Jose)" in AquilaSQL's data.
std::string aquila_sample(const Column& column) {
  return column.samples.empty() ? "" : "(" + excerpt(column.samples.front()) + ")";
}

std::string aquila_single(const Schema& schema, const std::string& question) {
  std::string names, types;
  for (const Column& column : schema.tables.front().columns) {
    const char* between = names.empty() ? "" : "，";
    names += between + shown_name(column.name, schema.dialect) + aquila_sample(column);
    types += between + (column.type.empty() ? "text" : excerpt(lower(column.type), 60));
  }
  return fmt::format(
      "如果你是一个数据专家，我这里有一个数据表，结构为： {}；单位为: {}\n输出下面问题的sql查询语句：{}",
      names, types, question);
}

std::string aquila_several(const Schema& schema, const std::string& question) {
  std::string tables, relations;
  for (const Table& table : schema.tables) {
    std::string name = shown_name(table.name, schema.dialect), columns;
    for (const Column& column : table.columns)
      columns += fmt::format("{}{}.{}{}", columns.empty() ? "" : ",", name,
                             shown_name(column.name, schema.dialect), aquila_sample(column));
    tables += fmt::format("{}表名为{}，包含的属性为{}", tables.empty() ? "" : ";", name, columns);
    for (const Relation& r : relations_of(schema, table))
      relations += fmt::format(
          "{}{}.{} = {}.{}", relations.empty() ? "" : " , ", name, shown_name(r.column, schema.dialect),
          shown_name(r.other_table, schema.dialect), shown_name(r.other_column, schema.dialect));
  }
  if (!relations.empty()) tables += "，它们之间的关系为 " + relations;
  return fmt::format("有多个数据库表，信息如下：\n{}\n请为下面的问题编写sql查询语句：\n{} ", tables,
                     question);
}

std::string aquila_message(const Schema& schema, const std::string& question) {
  return schema.tables.size() == 1 ? aquila_single(schema, question) : aquila_several(schema, question);
}

}  // namespace

const std::vector<PromptForm>& prompt_forms() {
  static const std::vector<PromptForm> table = {
      {"plain", plain_message, "", ""},
      {"aquila", aquila_message, "根据数据库信息和问题生成如下查询语句:\n```sql\n", "\n```"},
  };
  return table;
}

const PromptForm* prompt_form(std::string_view name) {
  for (const PromptForm& form : prompt_forms())
    if (name == form.name) return &form;
  return nullptr;
}

std::vector<std::string> prompt_form_names() {
  std::vector<std::string> names;
  for (const PromptForm& form : prompt_forms()) names.emplace_back(form.name);
  return names;
}

}  // namespace longspan::sql
