#include "tokenizer/special_tokens.h"

#include <algorithm>
#include <limits>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/json_steps.h"

namespace longspan {

namespace {

using Token = SpecialTokens::Token;

constexpr const char* kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

bool flag(const Json& entry, const char* key, bool otherwise, const std::string& source) {
  auto& value = json_at(entry, key);
  if (value.is_null()) return otherwise;
  if (!value.is_boolean())
    fail("{}: \"{}\" should be true or false, not {}", source, key, excerpt_json(value));
  return value.get<bool>();
}

bool is_token_id(const Json& value) {
  return value.is_number_integer() && value.get<int64_t>() >= 0 &&
         value.get<int64_t>() <= std::numeric_limits<int32_t>::max();
}

bool is_token(const Json& value) {
  return value.is_string() || (value.is_object() && json_at(value, "content").is_string());
}

/// A special token as configs write it: its text, or an object with its text and flags.
AddedToken special_token(const Json& value, const std::string& source) {
  AddedToken token;
  if (value.is_object()) token = read_added_token(value, source);
  if (value.is_string()) token.content = value.get<std::string>();
  token.special = true;
  if (!value.is_object() || json_at(value, "normalized").is_null()) token.normalized = false;
  return token;
}

/// Named and further special tokens of tokenizer_config.json or special_tokens_map.json.
void add_named(const Json& file, const std::string& from, const std::string& source, SpecialTokens& out) {
  auto add = [&](const std::string& name, const Json& value) {
    if (is_token(value)) out.named.push_back({name, special_token(value, source), from});
  };
  for (const char* name : kNames) add(name, json_at(file, name));
  for (const auto& [key, value] : file.items()) {
    bool standard = std::find(std::begin(kNames), std::end(kNames), key) != std::end(kNames);
    if (key.ends_with("_token") && !standard) add(key, value);  // as image_token
    if (key != "additional_special_tokens" && key != "extra_special_tokens") continue;
    if (value.is_array())
      for (const Json& item : value) add(key, item);
    if (value.is_object())
      for (const auto& [name, item] : value.items()) add(name, item);
  }
}

void add_decoder(const Json& decoder, const std::string& source, SpecialTokens& out) {
  if (!decoder.is_object())
    fail("{}: added_tokens_decoder should be an object, not {}", source, excerpt_json(decoder));
  std::set<int64_t> seen;
  for (auto& [key, entry] : decoder.items()) {
    if (key.empty() || key.size() > 9 || key.find_first_not_of("0123456789") != std::string::npos)
      fail("{}: added_tokens_decoder has the key {}, which is no token id", source, in_quotes(key));
    if (!seen.insert(std::stoll(key)).second)
      fail("{}: added_tokens_decoder gives the id {} twice", source, std::stoll(key));
    AddedToken token = read_added_token(entry, source);
    token.id = static_cast<int32_t>(std::stoll(key));
    out.added.push_back({"", std::move(token), "tokenizer_config.json"});
  }
}

/// added_tokens.json: text -> id. A token is special when a config names it; others match normalized text.
void add_added(const Json& file, const std::string& source, SpecialTokens& out) {
  if (!file.is_object())
    fail("{}: added_tokens.json should hold an object of ids, not {}", source, excerpt_json(file));
  for (const auto& [text, id] : file.items()) {
    if (!is_token_id(id))
      fail("{}: added_tokens.json gives {} the id {}; a whole number from 0 on was expected", source,
           in_quotes(text), excerpt_json(id));
    AddedToken token{.id = id.get<int32_t>(), .content = text};
    token.special = std::any_of(out.named.begin(), out.named.end(),
                                [&text = text](const Token& t) { return t.token.content == text; });
    token.normalized = !token.special;
    out.added.push_back({"", std::move(token), "added_tokens.json"});
  }
  // transformers adds them in the order of their ids.
  std::stable_sort(out.added.begin(), out.added.end(),
                   [](const Token& a, const Token& b) { return a.token.id < b.token.id; });
}

/// eos_token_id: a number or a list of numbers.
void add_ends(const Json& file, const std::string& from, bool if_special, const std::string& source,
              SpecialTokens& out) {
  const Json& value = json_at(file, "eos_token_id");
  if (value.is_null()) return;
  Json list = value.is_array() ? value : Json::array({value});
  for (const Json& id : list) {
    if (id.is_number_integer() && id.get<int64_t>() == -1) continue;  // "none" of some converters
    if (!is_token_id(id))
      fail("{}: eos_token_id of {} should be a token id or a list of them, not {}", source, from,
           excerpt_json(value));
    out.ends.push_back({id.get<int32_t>(), from, if_special});
  }
}

}  // namespace

AddedToken read_added_token(const Json& entry, const std::string& source) {
  AddedToken token;
  if (!json_at(entry, "content").is_string())
    fail("{}: an added token without \"content\": {}", source, excerpt_json(entry, 200));
  token.content = entry["content"].get<std::string>();
  token.special = flag(entry, "special", false, source);
  token.single_word = flag(entry, "single_word", false, source);
  token.lstrip = flag(entry, "lstrip", false, source);
  token.rstrip = flag(entry, "rstrip", false, source);
  token.normalized = flag(entry, "normalized", !token.special, source);
  return token;
}

const Token* SpecialTokens::find(std::string_view name) const {
  auto at = std::find_if(named.begin(), named.end(), [&](const Token& t) { return t.name == name; });
  return at == named.end() ? nullptr : &*at;
}

SpecialTokens gather_special_tokens(const SpecialFiles& files, const std::string& source) {
  SpecialTokens out;
  const Json& decoder = json_at(files.tokenizer_config, "added_tokens_decoder");
  bool legacy = decoder.is_null();
  if (legacy && files.special_tokens_map.is_object())
    add_named(files.special_tokens_map, "special_tokens_map.json", source, out);
  if (files.tokenizer_config.is_object())
    add_named(files.tokenizer_config, "tokenizer_config.json", source, out);
  if (files.defaults.is_object()) add_named(files.defaults, "the tokenizer's class", source, out);
  // Of a name that two files give the first counts.
  std::set<std::string> names;
  std::erase_if(out.named, [&](const Token& t) {
    bool standard = std::find(std::begin(kNames), std::end(kNames), t.name) != std::end(kNames);
    return standard && !names.insert(t.name).second;
  });

  if (!legacy) add_decoder(decoder, source, out);
  if (legacy && !files.added_tokens.is_null()) add_added(files.added_tokens, source, out);

  add_ends(files.generation_config, "generation_config.json", false, source, out);
  // transformers asks config.json only without a generation_config.json; an older config.json may still name
  // an ordinary token of another vocabulary.
  add_ends(files.config, "config.json", !out.ends.empty(), source, out);
  return out;
}

SpecialTokens gather_special_tokens(const Json& metadata, size_t tokens, const std::string& source) {
  SpecialTokens out;
  for (auto [key, name] : {std::pair{"bos", "bos_token"},
                           {"eos", "eos_token"},
                           {"eot", "eot_token"},
                           {"eom", "eom_token"},
                           {"unknown", "unk_token"},
                           {"padding", "pad_token"}}) {
    std::string from = fmt::format("tokenizer.ggml.{}_token_id", key);
    const Json& value = json_at(metadata, from.c_str());
    if (value.is_null()) continue;
    if (!value.is_number_integer()) fail("{}: {} is no token id", source, from);
    auto id = value.get<int64_t>();
    if (id == -1 || id == 0xFFFFFFFF) continue;
    bool used = key[0] == 'b' || key[0] == 'e';
    if (id < 0 || static_cast<uint64_t>(id) >= tokens) {
      if (!used) continue;  // padding and unknown tokens are not needed
      fail("{}: {} is {}, outside the vocabulary of {}", source, from, id, tokens);
    }
    Token token{.name = name, .token = {}, .from = from};
    token.token.id = static_cast<int32_t>(id);
    out.named.push_back(token);
    if (key[0] == 'e') out.ends.push_back({token.token.id, from});
  }
  return out;
}

const std::vector<EndSpelling>& end_of_turn_spellings() {
  static const std::vector<EndSpelling> spellings = {{"<|im_end|>"},
                                                     {"<|eot_id|>"},
                                                     {"<|eom_id|>"},
                                                     {"<|end|>"},
                                                     {"<|endoftext|>"},
                                                     {"<|end_of_text|>"},
                                                     {"</s>", false},
                                                     {"<eos>", false},
                                                     {"<end_of_turn>"},
                                                     {"<|eot|>"},
                                                     {"<|end_of_turn|>"},
                                                     {"<EOT>", false},
                                                     {"<|endofpiece|>"},
                                                     {"<|END_OF_TURN_TOKEN|>"},
                                                     {"<end_of_utterance>"},
                                                     {"<｜end▁of▁sentence｜>"},
                                                     {"<|return|>"},
                                                     {"<|call|>"},
                                                     {"<|EOT|>"},
                                                     {"[|endofturn|]"},
                                                     {"< EOT >"},
                                                     {"_< EOT >"}};
  return spellings;
}

}  // namespace longspan
