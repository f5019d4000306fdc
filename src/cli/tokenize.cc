// tokenize, detokenize: text to ids and back.
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/plural.h"
#include "cli/commands.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "model/model_files.h"

namespace longspan::cli {

namespace {

struct TokenizeOptions : Options {
  std::string text;
  std::vector<std::string> files;
  bool no_special = false, only_ids = false;
  std::vector<std::string> ids;
};

/// What the token adds to a text, as a person reads it: control characters and quotes escaped, bytes that are
/// not UTF-8 by themselves as <0xE2>. Special tokens keep their spelling.
std::string readable_piece(const Tokenizer& tokenizer, int32_t id) {
  if (tokenizer.is_special(id) || tokenizer.is_added(id)) return tokenizer.token_text(id);
  std::string bytes = tokenizer.token_bytes(id), out;
  for (size_t i = 0; i < bytes.size();) {
    size_t begin = i;
    char32_t c = next_code_point(bytes, i);
    std::string_view part = std::string_view(bytes).substr(begin, i - begin);
    if (c == U'\uFFFD' && part != "\uFFFD")
      for (char byte : part) out += fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte));
    else if (std::string escaped = in_quotes(part); escaped.size() > 2)
      out += escaped.substr(1, escaped.size() - 2);
  }
  return out;
}

int tokenize(const TokenizeOptions& o) {
  Tokenizer tokenizer = load_tokenizer(open_metadata(resolve_model(o.model)));
  for (const std::string& sentence : tokenizer.specials().remarks) remark(o, "{}", sentence);
  std::vector<std::string> files = o.files;
  if (o.text == "-" && files.empty()) files = {"-"};
  std::string text = files.empty() ? o.text : read_text(o, files);
  std::vector<int32_t> ids = tokenizer.encode(text, {.add_special = !o.no_special, .parse_special = true});
  if (o.json) {
    print_json(Json::object({{"ids", ids}}));
    return kExitDone;
  }
  std::string lines;
  if (o.only_ids)
    lines = fmt::format("{}\n", fmt::join(ids, " "));
  else
    for (int32_t id : ids) lines += fmt::format("{:>8}  \"{}\"\n", id, readable_piece(tokenizer, id));
  print_now(lines);
  remark(o, "{}", counted(std::ssize(ids), "token"));
  return kExitDone;
}

constexpr const char* kIdForms =
    "expected numbers with blanks or commas between them, a JSON list, or {\"ids\": [...]}";

/// Numbers with blanks or commas between them, a JSON list, or an object with "ids" as tokenize --json prints
/// it.
std::vector<int32_t> parse_ids(std::string text, const std::string& source) {
  size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) fail("{}: there are no ids; {}", source, kIdForms);
  if (text[begin] == '{') {
    Json object = parse_json(text, source);
    if (!object.contains("ids")) fail("{}: {}", source, kIdForms);
    text = dump_json(object["ids"]);
  }
  for (char& c : text)
    if (std::string_view(",[]\t\r\n").find(c) != std::string_view::npos) c = ' ';
  std::vector<int32_t> ids;
  const char *at = text.data(), *end = at + text.size();
  while (true) {
    while (at < end && *at == ' ') ++at;
    if (at == end) return ids;
    int32_t id = 0;
    auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc{} || (next < end && *next != ' '))
      fail("{}: {} is not an id; {}", source, in_quotes(std::string_view(at, std::find(at, end, ' '))),
           kIdForms);
    ids.push_back(id);
    at = next;
  }
}

int detokenize(const TokenizeOptions& o) {
  std::string words = fmt::format("{}", fmt::join(o.ids, " "));
  bool piped = words.empty() || words == "-";
  std::vector<int32_t> ids = parse_ids(piped ? read_text(o, {"-"}) : words, piped ? "standard input" : "IDS");
  std::string text = load_tokenizer(open_metadata(resolve_model(o.model))).decode(ids, o.no_special);
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
  CLI::Option* text = app.add_option("TEXT", o->text, "the text; - is standard input");
  CLI::Option* file =
      add_file_option(app, *o, o->files, "the text of a file; - is standard input")->excludes(text);
  app.add_flag("--no-special", o->no_special, "no begin- or end-of-text tokens");
  app.add_flag("--ids", o->only_ids, "only the ids, on one line, as detokenize reads them");
  add_output_options(app, *o);
  app.callback([text, file] {
    if (text->count() + file->count() == 0) throw CLI::RequiredError("TEXT or --file");
  });
  return [o] { return tokenize(*o); };
}

Run define_detokenize(CLI::App& app) {
  auto o = std::make_shared<TokenizeOptions>();
  add_model_argument(app, *o);
  app.add_option("IDS", o->ids, "token ids, with blanks or commas; without any, or -, from standard input");
  app.add_flag("--no-special", o->no_special, "leave special tokens out of the text");
  add_output_options(app, *o);
  return [o] { return detokenize(*o); };
}

}  // namespace longspan::cli
