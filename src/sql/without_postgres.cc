// Stands for postgres.cc in a build without libpq.
#include "base/error.h"
#include "sql/database.h"

namespace longspan::sql {

Database open_postgres(const std::string&, const SchemaWish&) {
  fail(
      "--db: this build knows SQLite only, since libpq was not found; build it where libpq-dev is installed, "
      "or give the file of a SQLite database");
}

}  // namespace longspan::sql
