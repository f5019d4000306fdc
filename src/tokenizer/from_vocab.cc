// vocab.json with merges.txt, as the slow tokenizers save them: byte-level BPE without a word about how text
// is split. That is known from the tokenizer's class, so the two files become the tokenizer.json that
// transformers' class builds, and are read as such.
#include "base/error.h"
#include "base/text.h"
#include "tokenizer/gguf_pre.h"
#include "tokenizer/json_steps.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

namespace {

struct ClassRow {
  const char* name;         // of transformers, without "Fast"
  const char* pre;          // its pre-tokenizer, as gguf_pre.h names it
  bool encloses = false;    // cls and sep around every text
  const char *begin, *end;  // bos (and cls), eos (and sep) where the files name none; null: none
};
constexpr ClassRow kClasses[] = {
    {"GPT2Tokenizer", "gpt-2", false, "<|endoftext|>", "<|endoftext|>"},
    {"CodeGenTokenizer", "gpt-2", false, "<|endoftext|>", "<|endoftext|>"},
    {"GPTNeoXTokenizer", "olmo", false, "<|endoftext|>", "<|endoftext|>"},
    {"Qwen2Tokenizer", "qwen2", false, nullptr, "<|endoftext|>"},
    {"RobertaTokenizer", "gpt-2", true, "<s>", "</s>"},
    {"BartTokenizer", "gpt-2", true, "<s>", "</s>"},
    {"LongformerTokenizer", "gpt-2", true, "<s>", "</s>"},
    {"LEDTokenizer", "gpt-2", true, "<s>", "</s>"},
};

/// transformers' AutoTokenizer, where tokenizer_config.json names no class.
constexpr std::pair<const char*, const char*> kClassOfModel[] = {
    {"qwen2", "Qwen2Tokenizer"},      {"qwen3", "Qwen2Tokenizer"},     {"qwen2_moe", "Qwen2Tokenizer"},
    {"qwen3_moe", "Qwen2Tokenizer"},  {"gpt2", "GPT2Tokenizer"},       {"aquila", "GPT2Tokenizer"},
    {"gpt_neox", "GPTNeoXTokenizer"}, {"codegen", "CodeGenTokenizer"}, {"phi", "CodeGenTokenizer"},
    {"starcoder2", "GPT2Tokenizer"},  {"opt", "GPT2Tokenizer"},        {"roberta", "RobertaTokenizer"},
};

std::string text_of(const Json& json, const char* key) {
  const Json& value = json_at(json, key);
  return value.is_string() ? value.get<std::string>() : "";
}

const ClassRow& class_of(const SpecialFiles& files, const std::string& source) {
  std::string name = text_of(files.tokenizer_config, "tokenizer_class"), known;
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name.empty())
    for (auto [type, tokenizer] : kClassOfModel)
      if (text_of(files.config, "model_type") == type) name = tokenizer;
  for (const ClassRow& row : kClasses) {
    if (name == row.name) return row;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  fail(
      "{}: has vocab.json and merges.txt, but how text is split is known only for the tokenizer_class {}{}; "
      "save the tokenizer with transformers, which writes tokenizer.json",
      source, known, name.empty() ? ", and none is given" : ", not for " + in_quotes(name));
}

/// The lines "left right" of merges.txt; "#version" lines and empty ones are not merges.
Json merges_of(std::string_view text) {
  Json merges = Json::array();
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty() && !line.starts_with("#version")) merges.push_back(std::string(line));
  }
  return merges;
}

Json pre_tokenizer_of(const ClassRow& row, const Json& config, const std::string& source) {
  Json steps = *gguf_pre_tokenizer(row.pre, source).json;
  const Json& prefix = json_at(config, "add_prefix_space");
  for (Json& step : steps)
    if (step.contains("add_prefix_space") && prefix.is_boolean()) step["add_prefix_space"] = prefix;
  return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

/// The id of a token of the vocabulary or an added one; null when there is none.
Json id_of(const std::string& text, const Json& vocab, const SpecialTokens& specials) {
  if (const Json& id = json_at(vocab, text.c_str()); !id.is_null()) return id;
  for (const SpecialTokens::Token& t : specials.added)
    if (t.token.content == text) return static_cast<uint64_t>(t.token.id);
  return nullptr;
}

/// cls before and sep after every text, as RoBERTa has them.
Json post_processor_of(const ClassRow& row, const Json& vocab, const SpecialTokens& specials) {
  if (!row.encloses) return nullptr;
  auto token = [&](const char* name) -> Json {
    const SpecialTokens::Token* named = specials.find(name);
    std::string text = named ? named->token.content : "";
    return Json::array({text, id_of(text, vocab, specials)});
  };
  return {{"type", "RobertaProcessing"}, {"sep", token("sep_token")}, {"cls", token("cls_token")}};
}

}  // namespace

Json tokenizer_json_of_vocab(const Json& vocab, std::string_view merges, SpecialFiles& files,
                             const std::string& source) {
  const ClassRow& row = class_of(files, source);
  if (!vocab.is_object()) fail("{}: vocab.json should hold an object of ids", source);
  files.defaults = Json::object();
  SpecialTokens given = gather_special_tokens(files, source);
  auto defaulted = [&](const char* name, const char* text) {
    if (text && !id_of(text, vocab, given).is_null()) files.defaults[name] = text;
  };
  defaulted("bos_token", row.begin), defaulted("eos_token", row.end);
  if (row.encloses) {
    defaulted("cls_token", row.begin), defaulted("sep_token", row.end), defaulted("unk_token", "<unk>");
    defaulted("pad_token", "<pad>"), defaulted("mask_token", "<mask>");
  }
  bool nfc = !gguf_pre_tokenizer(row.pre, source).normalizer.empty();
  Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  return {{"normalizer", nfc ? Json{{"type", "NFC"}} : Json()},
          {"pre_tokenizer", pre_tokenizer_of(row, files.tokenizer_config, source)},
          {"post_processor", post_processor_of(row, vocab, gather_special_tokens(files, source))},
          {"decoder", byte_level},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges_of(merges)}}}};
}

Tokenizer tokenizer_from_vocab(const Json& vocab, std::string_view merges, SpecialFiles files,
                               const std::string& source) {
  Json json = tokenizer_json_of_vocab(vocab, merges, files, source);
  return tokenizer_from_json(json, files, source);
}

}  // namespace longspan
