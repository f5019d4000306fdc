// sql: a question about a database, answered by a statement that the model writes and the database runs.
#include "base/error.h"
#include "base/text.h"
#include "cli/answering.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/questions.h"
#include "cli/usage.h"
#include "cli/window.h"
#include "sql/database.h"
#include "sql/prompts.h"
#include "sql/select_grammar.h"
#include "sql/text_table.h"
#include "sql/writer.h"
#include "tokenizer/plain_text.h"

namespace longspan::cli {

namespace {

struct SqlOptions : Options {
  std::vector<std::string> words;
  std::vector<std::string> questions;
  std::string question_file, db, prompt = "plain";
  sql::SchemaWish wish;
  sql::QueryLimits limits;
  int64_t n = 256, tries = 3;
  bool explain = false, dry_run = false, free = false, show_prompt = false;
};

const sql::PromptForm& form_of(const SqlOptions& o) { return *sql::prompt_form(o.prompt); }

/// Of one question, up to where the statement begins.
std::vector<int32_t> prompt_ids(const Engine& engine, const SqlOptions& o, const sql::Schema& schema,
                                const std::string& question) {
  const sql::PromptForm& form = form_of(o);
  std::vector<ChatMessage> messages;
  if (!o.system.empty()) messages.push_back({"system", o.system});
  messages.push_back({"user", without_special_tokens(form.message(schema, question), engine.tokenizer())});
  std::vector<int32_t> ids = engine.prompts().encode(messages);
  std::vector<int32_t> lead =
      engine.tokenizer().encode(form.lead, {.add_special = false, .parse_special = false});
  ids.insert(ids.end(), lead.begin(), lead.end());
  return ids;
}

/// One for each question. Error when one does not fit the window or the memory.
std::vector<std::vector<int32_t>> all_prompts(Engine& engine, const SqlOptions& o,
                                              const sql::Schema& schema) {
  std::vector<std::vector<int32_t>> prompts;
  int64_t longest = 0;
  for (const std::string& question : o.questions) {
    prompts.push_back(prompt_ids(engine, o, schema, question));
    longest = std::max(longest, std::ssize(prompts.back()));
  }
  stretch(engine, o, longest + o.n);
  if (int64_t window = window_tokens(engine.config(), o); longest + o.n > window)
    fail(
        "the schema and the question are {} tokens and {} for the statement, the window is {}; name the "
        "tables that matter (--tables){}, or stretch the window (--position)",
        grouped(longest), grouped(o.n), grouped(window), o.wish.samples > 0 ? ", give fewer --samples" : "");
  check_memory(engine, {.tokens = longest + o.n});
  return prompts;
}

Json cell_json(const sql::Cell& cell) {
  if (const auto* whole = std::get_if<int64_t>(&cell)) return *whole;
  if (const auto* number = std::get_if<double>(&cell)) return *number;
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  return nullptr;
}

/// The result goes to stdout, or into `fields`.
void show_result(const SqlOptions& o, const sql::ResultTable& table, Json& fields) {
  if (!o.json) {
    print_now("\n" + sql::aligned_table(table));
    if (table.rows.empty()) remark(o, "the result has no rows");
    if (table.cut) remark(o, "there are more rows than the {} shown; --rows N shows more", table.rows.size());
    return;
  }
  Json rows = Json::array();
  for (const auto& row : table.rows) {
    Json& cells = rows.emplace_back(Json::array());
    for (const sql::Cell& cell : row) cells.push_back(cell_json(cell));
  }
  fields.update({{"columns", table.columns}, {"rows", std::move(rows)}, {"cut", table.cut}});
}

/// Lines stay lines, so that it can be copied; other controls are escaped.
std::string shown_statement(const std::string& statement) {
  std::string out;
  for (size_t at = 0; at <= statement.size();) {
    size_t end = std::min(statement.find('\n', at), statement.size());
    out += excerpt(statement.substr(at, end - at), 10000) + (end < statement.size() ? "\n" : ";\n");
    at = end + 1;
  }
  return out;
}

/// What --explain and --dry-run leave undone is not done.
void use_statement(const SqlOptions& o, const sql::Database& database, const std::string& statement,
                   Json& fields) {
  if (!o.json) print_now(shown_statement(statement));
  if (o.explain) {
    std::vector<std::string> plan = database.plan(statement);
    for (const std::string& line : plan)
      if (!o.json) print_now(line + "\n");
    fields["plan"] = plan;
  } else if (!o.dry_run) {
    show_result(o, database.run(statement, o.limits, [] { return !interrupted(); }), fields);
  }
}

std::string no_statement(const std::vector<sql::Refused>& refused) {
  const sql::Refused& last = refused.back();
  return fmt::format(
      "the model wrote no statement that the database accepts ({} tried); the last was {}: {}; ask in other "
      "words, with more --tries, or with an --adapter that knows SQL",
      refused.size(), in_quotes(last.statement, 200), last.fault);
}

/// False after Ctrl-C. With several questions a fault is reported, and the next one has its turn.
bool answer_question(const Engine& engine, const SqlOptions& o, const sql::Database& database,
                     const sql::WriteOptions& how, Sequence& sequence, const std::vector<int32_t>& prompt,
                     const std::string& question) {
  Prefill prefill = feed_prompt(sequence, prompt, o);
  if (!prefill.complete) return false;
  bool several = o.questions.size() > 1;
  if (several && !o.json) print_now(fmt::format("Question: {}\n", excerpt(question, 1000)));
  sql::WrittenStatement written =
      sql::write_statement(sequence, engine, how, database.check, [] { return !interrupted(); });
  if (written.generation.reason == StopReason::Interrupted) return false;
  Json refused = Json::array();
  for (const sql::Refused& one : written.refused)
    refused.push_back({{"statement", one.statement}, {"error", one.fault}});
  Json fields = {{"question", question},
                 {"statement", written.statement.empty() ? Json() : Json(written.statement)},
                 {"refused", std::move(refused)}};
  try {
    if (written.statement.empty()) fail("{}", no_statement(written.refused));
    use_statement(o, database, written.statement, fields);
  } catch (const Error& e) {
    if (interrupted()) return false;
    if (!several) throw;
    fields["error"] = e.what();
    if (!o.json) print_fault(e.what());
  }
  report_answer(o, std::move(fields), prefill, written.generation);
  if (several && !o.json) print_now("\n");
  return true;
}

int ask_database(SqlOptions& o) {
  o.questions =
      o.question_file.empty() ? typed_questions(o.words, {}) : read_questions(o.question_file, o.encoding);
  for (const std::string& question : o.questions)
    if (question.find_first_not_of(" \t\r\n") == question.npos)
      fail("a question is empty; ask one as in longspan sql MODEL --db FILE \"How many books are there?\"");
  sql::Database database = sql::open_database(o.db, o.wish);
  for (const std::string& sentence : database.schema.remarks) remark(o, "{}: {}", o.db, sentence);
  if (o.show_prompt) {
    for (const std::string& question : o.questions) {
      std::string message = form_of(o).message(database.schema, question);
      if (o.json)
        print_json({{"question", question}, {"prompt", message}});
      else
        print_now(message + "\n");
    }
    return kExitDone;
  }
  Engine engine = open_engine(o, Lengths::Known);
  std::vector<std::vector<int32_t>> prompts = all_prompts(engine, o, database.schema);
  sql::WriteOptions how{.most_tokens = o.n, .tries = o.tries, .stops = engine.chat().stops};
  if (*form_of(o).stop) how.stops.emplace_back(form_of(o).stop);
  if (!o.free) how.grammar = sql::select_grammar(database.schema);
  int64_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, std::ssize(prompt));
  Sequence sequence(engine, longest + o.n);
  arm_interrupt();
  for (size_t i = 0; i < prompts.size(); ++i)
    if (!answer_question(engine, o, database, how, sequence, prompts[i], o.questions[i]))
      return kExitInterrupted;
  return kExitDone;
}

}  // namespace

Run define_sql(CLI::App& app) {
  auto o = std::make_shared<SqlOptions>();
  add_model_argument(app, *o);
  CLI::Option* words = app.add_option("QUESTION", o->words, "the question; several in quotes each");
  CLI::Option* file =
      app.add_option("--questions", o->question_file, "a file of questions, one per line; - is stdin");
  app.parse_complete_callback([words, file] {
    if (words->count() + file->count() == 0) throw CLI::RequiredError("QUESTION");
    if (words->count() > 0 && file->count() > 0) throw CLI::ExcludesError("--questions", "QUESTION");
  });
  app.add_option("--db", o->db, "a SQLite file, or postgresql://USER@HOST/NAME")->required();
  app.add_option("--tables", o->wish.tables, "only these tables: NAME,NAME")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--samples", o->wish.samples, "show the model N values of each text column; default none")
      ->transform(whole_number(0, 20));
  app.add_option("--prompt", o->prompt, "plain (default), or aquila: that of AquilaSQL, in Chinese")
      ->transform(one_of(sql::prompt_form_names()));
  app.add_flag("--explain", o->explain, "show how the database would run the statement; do not run it");
  app.add_flag("--dry-run", o->dry_run, "show the statement; do not run it");
  app.add_flag("--show-prompt", o->show_prompt, "show what the model would be told, and end");
  app.add_option("--rows", o->limits.rows, "rows to show at most; default 100")
      ->transform(whole_number(1, 1000000));
  app.add_option("--seconds", o->limits.seconds, "time that a statement may take; default 5")
      ->check(CLI::Range(0.001, 86400.0).description(""));
  app.add_option("--tries", o->tries, "statements to try until the database accepts one; default 3")
      ->transform(whole_number(1, 100));
  app.add_flag("--free", o->free, "do not hold the model to the grammar of SELECT");
  app.add_option("-n", o->n, "tokens of a statement at most; default 256")->transform(whole_number(1, 4096));
  add_chat_options(app, *o);
  app.add_option("--context", o->context,
                 "use a window of N tokens (32k, 1M), even beyond what the model supports")
      ->transform(whole_number(1, int64_t{1} << 40));
  add_engine_options(app, *o);
  add_output_options(app, *o);
  for (const char* rare : {"--chunk", "--compute", "--kernels", "--weights"}) app.get_option(rare)->group("");
  return [o] { return ask_database(*o); };
}

}  // namespace longspan::cli
