#include "sql/database.h"

#include "base/error.h"
#include "base/text.h"

namespace longspan::sql {

Database open_database(const std::string& name, const SchemaWish& wish) {
  bool postgres = name.starts_with("postgresql://") || name.starts_with("postgres://");
  Database database = postgres ? open_postgres(name, wish) : open_sqlite(name, wish);
  if (database.schema.tables.empty())
    fail("{}: the database has no tables that can be read, so there is nothing to ask about", database.name);
  return database;
}

std::string sample_text(const std::string& value) {
  constexpr int kMostCharacters = 40;
  std::string out;
  int characters = 0;
  for (size_t i = 0; i < value.size() && characters < kMostCharacters; ++characters) {
    char32_t c = next_code_point(value, i);
    if (c < 0x20 || c == 0x7F) c = ' ';
    if (c != ' ' || (!out.empty() && out.back() != ' ')) append_utf8(out, c);
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

}  // namespace longspan::sql
