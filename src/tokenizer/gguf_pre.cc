#include "tokenizer/gguf_pre.h"

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "tokenizer/json_steps.h"

namespace longspan {

namespace {

// Regular expressions, named after the models that introduced them.
const char kLlama3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+";
const char kQwen2[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+";
const char kQwen35[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
    "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char kTekken[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char kGpt4o[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'"
    "ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'"
    "ve|'m|'ll|'d)?|"
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char kDeepseekHan[] = "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+";
const char kDeepseekLetters[] =
    "\\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370"
    "-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-"
    "\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF"
    "\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50"
    "-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC"
    "\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115"
    "\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183"
    "\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F"
    "\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400"
    "-\U0001044F\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-"
    "\U00010CF2\U000118A0"
    "-\U000118DF\U0001E900-\U0001E943]+";
const char kDeepseekMarks[] = "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+";
const char kDeepseek3Cjk[] = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
const char kDeepseek3[] =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char kBloom[] = " ?[^(\\s|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+";

Json split(const char* regex) {
  return Json{
      {"type", "Split"}, {"pattern", Json{{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
}
Json digits(bool each) { return Json{{"type", "Digits"}, {"individual_digits", each}}; }
Json byte_level(bool use_regex) {
  return Json{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}
Json punctuation() { return Json{{"type", "Punctuation"}, {"behavior", "Contiguous"}}; }

struct Row {
  std::vector<const char*> names;
  std::vector<Json> steps;  // as in tokenizer.json
  bool nfc = false, ignore_merges = false, add_bos = false;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> kRows = {
      {{"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "jina-v2-code", "jina-v1-en",
        "roberta-bpe", "gigachat", "exaone4", "jais"},
       {byte_level(true)}},
      {{"mpt", "olmo", "modern-bert"}, {byte_level(true)}, true},
      {{"smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b"},
       {digits(true), byte_level(true)}},
      {{"command-r"}, {digits(true), byte_level(true)}, true},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2"},
       {split(kLlama3), byte_level(false)},
       false,
       true,
       true},
      {{"glm4", "chatglm-bpe"}, {split(kLlama3), byte_level(false)}, false, true},
      {{"dbrx", "smaug-bpe"}, {split(kLlama3), byte_level(false)}},
      {{"qwen2", "deepseek-r1-qwen", "megrez"}, {split(kQwen2), byte_level(false)}, true},
      {{"qwen35"}, {split(kQwen35), byte_level(false)}, true},
      {{"stablelm2", "hunyuan", "solar-open", "grok-2"}, {split(kQwen2), byte_level(false)}},
      {{"deepseek-llm"},
       {split("[\\r\\n]"), split(kDeepseekLetters), split(kDeepseekMarks), split("\\s+$"),
        split(kDeepseekHan), digits(true), byte_level(false)}},
      {{"deepseek-coder"},
       {split("[\\r\\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), split(kDeepseekHan), digits(true),
        byte_level(false)}},
      {{"deepseek-v3", "hunyuan-dense"},
       {split("\\p{N}{1,3}"), split(kDeepseek3Cjk), split(kDeepseek3), byte_level(false)}},
      {{"falcon"}, {punctuation(), byte_level(true), digits(false), split("[0-9][0-9][0-9]")}},
      {{"tekken"}, {split(kTekken), byte_level(false)}, false, true, true},
      {{"gpt-4o", "llama4"}, {split(kGpt4o), byte_level(false)}},
      {{"bloom", "poro-chat", "gpt3-finnish"}, {split(kBloom), byte_level(false)}},
      {{"viking"}, {split(kBloom), digits(true), byte_level(false)}},
      // Written by converters that did not know the model; read as llama.cpp reads it.
      {{"default"},
       {split("[\\p{P}\\$\\+<=>\\^~\\|]+"), split(kGpt2Pattern), split("\\p{N}+"), split("[0-9][0-9][0-9]"),
        byte_level(false)}},
  };
  return kRows;
}

std::string known_names() {
  std::string out;
  for (auto& row : rows())
    for (const char* name : row.names) out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

/// The steps of a section without nesting, and without what has no effect: offsets, defaults.
void flatten(const Json& step, std::vector<Json>& out) {
  const Json& parts = json_at(step, "pretokenizers");
  if (parts.is_array()) {
    for (const Json& part : parts) flatten(part, out);
    return;
  }
  if (step.is_null()) return;
  auto flag = [&](const char* key, bool otherwise) {
    const Json& value = json_at(step, key);
    return value.is_boolean() ? value.get<bool>() : otherwise;
  };
  const Json& type = json_at(step, "type");
  if (type == "ByteLevel") {
    out.push_back({type, flag("add_prefix_space", true), flag("use_regex", true)});
  } else if (type == "Digits") {
    out.push_back({type, flag("individual_digits", false)});
  } else {
    out.push_back({type, json_at(step, "pattern"), json_at(step, "behavior"), flag("invert", false)});
  }
}

}  // namespace

std::string gguf_pre_name(const Json& pre_tokenizer, bool nfc, bool ignore_merges) {
  std::vector<Json> wanted;
  flatten(pre_tokenizer, wanted);
  for (const Row& row : rows()) {
    std::vector<Json> steps;
    for (const Json& step : row.steps) flatten(step, steps);
    if (row.nfc == nfc && row.ignore_merges == ignore_merges && steps == wanted) return row.names[0];
  }
  return "";
}

GgufPreTokenizer gguf_pre_tokenizer(const std::string& given, const std::string& source) {
  std::string name = given.empty() ? "gpt-2" : given;
  for (auto& row : rows()) {
    bool here = false;
    for (const char* known : row.names) here = here || name == known;
    if (!here) continue;
    GgufPreTokenizer out;
    out.json = &row.steps;
    for (auto& step : row.steps) read_pre_tokenizer(step, source, out.steps);
    if (row.nfc) out.normalizer.emplace_back();
    out.ignore_merges = row.ignore_merges;
    out.add_bos = row.add_bos;
    return out;
  }
  fail("{}: tokenizer.ggml.pre is {}, which is not known here; known are {}", source, in_quotes(name),
       known_names());
}

}  // namespace longspan
