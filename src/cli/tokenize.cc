// tokenize, detokenize: text to ids and back.
#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "model/model_files.h"

namespace longspan::cli {

namespace {

struct TokenizeOptions : Options {
  std::string text;
  std::vector<std::string> files;
  bool no_special = false;
  std::vector<int32_t> ids;
};

int tokenize(const TokenizeOptions& o) {
  Tokenizer tokenizer = load_tokenizer(open_metadata(resolve_model(o.model)));
  for (const std::string& sentence : tokenizer.specials().remarks) remark(o, "{}", sentence);
  std::string text = o.files.empty() ? o.text : read_text(o, o.files);
  std::vector<int32_t> ids = tokenizer.encode(text, {.add_special = !o.no_special, .parse_special = true});
  if (o.json) {
    print_json(Json::object({{"ids", ids}}));
    return kExitDone;
  }
  std::string lines;
  for (int32_t id : ids) lines += fmt::format("{:>8}  {}\n", id, tokenizer.token_text(id));
  print_now(lines);
  remark(o, "{} tokens", grouped(static_cast<int64_t>(ids.size())));
  return kExitDone;
}

int detokenize(const TokenizeOptions& o) {
  std::string text = load_tokenizer(open_metadata(resolve_model(o.model))).decode(o.ids, o.no_special);
  if (o.json)
    print_json(Json::object({{"text", text}}));
  else
    print_now(text + "\n");
  return kExitDone;
}

}  // namespace

Run define_tokenize(CLI::App& app) {
  auto o = std::make_shared<TokenizeOptions>();
  add_model_argument(app, *o);
  CLI::Option* text = app.add_option("TEXT", o->text, "the text");
  CLI::Option* file =
      add_file_option(app, *o, o->files, "the text of a file; - is standard input")->excludes(text);
  app.add_flag("--no-special", o->no_special, "add no tokens for begin or end of text");
  add_output_options(app, *o);
  app.callback([text, file] {
    if (text->count() + file->count() == 0) throw CLI::RequiredError("TEXT or --file");
  });
  return [o] { return tokenize(*o); };
}

Run define_detokenize(CLI::App& app) {
  auto o = std::make_shared<TokenizeOptions>();
  add_model_argument(app, *o);
  app.add_option("IDS", o->ids, "token ids")->required();
  app.add_flag("--no-special", o->no_special, "leave special tokens out of the text");
  add_output_options(app, *o);
  return [o] { return detokenize(*o); };
}

}  // namespace longspan::cli
