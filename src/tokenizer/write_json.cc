#include "tokenizer/write_json.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/gguf_pre.h"
#include "tokenizer/json_steps.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

namespace {

const char kSpace[] = "\u2581";

/// The GGUF reader has checked this already: `tokenizer` was made from the same metadata.
struct Vocabulary {
  const Json& metadata;
  const std::string& source;
  const Tokenizer& tokenizer;

  const Json& at(const char* key) const {
    return json_at(metadata, (std::string("tokenizer.ggml.") + key).c_str());
  }
  int64_t size() const { return tokenizer.vocab_size(); }
  std::string text(int64_t id) const { return tokenizer.token_text(static_cast<int32_t>(id)); }
  PieceType type(int64_t id) const {
    const Json& types = at("token_type");
    auto type = types.is_array() ? static_cast<PieceType>(types[static_cast<size_t>(id)].get<int>())
                                 : PieceType::Normal;
    bool corrected = type == PieceType::Normal && tokenizer.is_special(static_cast<int32_t>(id));
    return corrected ? PieceType::Control : type;  // the end of a turn that the file calls ordinary text
  }
};

/// Text -> id. Where two ids have the same text, the later one counts, as it does for the reader.
Json vocab(const Vocabulary& v) {
  Json json = Json::object();
  auto& object = json.get_ref<Json::object_t&>();  // the ordered object itself would search at each insertion
  for (int64_t id = 0; id < v.size(); ++id)
    if (std::string text = v.text(id); v.tokenizer.token_id(text) == id) object.emplace_back(text, id);
  return json;
}

Json added_tokens(const Vocabulary& v) {
  Json list = Json::array();
  for (int64_t id = 0; id < v.size(); ++id) {
    PieceType type = v.type(id);
    if (type == PieceType::Normal || type == PieceType::Byte || type == PieceType::Unused) continue;
    list.push_back({{"id", id},
                    {"content", v.text(id)},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", type != PieceType::UserDefined}});
  }
  return list;
}

/// The ids around every text: found by encoding an empty one.
Json post_processor(const Vocabulary& v) {
  std::vector<int32_t> around = v.tokenizer.encode("");
  if (around.empty()) return nullptr;
  Json single = Json::array(), pair = Json::array(), tokens = Json::object();
  auto add = [&](Json& list, int32_t id, int type) {
    std::string text = v.text(id);
    list.push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
    tokens[text] = {{"id", text}, {"ids", Json::array({id})}, {"tokens", Json::array({text})}};
  };
  size_t before = around[0] == v.tokenizer.bos_id() ? 1 : 0;
  for (int type : {0, 1}) {
    for (size_t i = 0; i < before; ++i) add(pair, around[i], type);
    pair.push_back({{"Sequence", {{"id", type == 0 ? "A" : "B"}, {"type_id", type}}}});
    for (size_t i = before; i < around.size(); ++i) add(pair, around[i], type);
    if (type == 0) single = pair;
  }
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

Json bpe(const Vocabulary& v, Json merges) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", vocab(v)},
          {"merges", std::move(merges)}};
}

Json byte_level_json(const Vocabulary& v) {
  const Json& name = v.at("pre");
  auto pre = gguf_pre_tokenizer(name.is_string() ? name.get<std::string>() : "", v.source);
  Json merges = Json::array();
  for (const Json& merge : v.at("merges")) {
    auto text = merge.get<std::string>();
    size_t space = text.find(' ', 1);  // a merge may begin with a space that is part of a token
    merges.push_back({text.substr(0, space), text.substr(space + 1)});
  }
  Json model = bpe(v, std::move(merges));
  model["ignore_merges"] = pre.ignore_merges;
  return {{"normalizer", pre.normalizer.empty() ? Json() : Json{{"type", "NFC"}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", *pre.json}}},
          {"decoder",
           {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
          {"model", std::move(model)}};
}

/// Every split of every piece into two, best score first, then by ids as in transformers' converter.
Json merges_by_score(const Vocabulary& v) {
  struct Merge {
    double score;
    int64_t left, right;
  };
  std::unordered_map<std::string, int64_t> ids;
  for (int64_t id = 0; id < v.size(); ++id)
    if (v.type(id) == PieceType::Normal) ids[v.text(id)] = id;
  std::vector<Merge> found;
  for (const auto& [text, id] : ids) {
    size_t cut = 0;
    for (next_code_point(text, cut); cut < text.size(); next_code_point(text, cut)) {
      auto left = ids.find(text.substr(0, cut)), right = ids.find(text.substr(cut));
      if (left != ids.end() && right != ids.end())
        found.push_back({v.at("scores")[static_cast<size_t>(id)].get<double>(), left->second, right->second});
    }
  }
  std::sort(found.begin(), found.end(), [](const Merge& a, const Merge& b) {
    return std::tuple(-a.score, a.left, a.right) < std::tuple(-b.score, b.left, b.right);
  });
  Json merges = Json::array();
  for (const Merge& m : found) merges.push_back({v.text(m.left), v.text(m.right)});
  return merges;
}

/// What SentencePiece does and tokenizer.json cannot express.
void refuse_pieces(const Vocabulary& v) {
  auto flag = [&](const char* key) { return v.at(key).is_boolean() && v.at(key).get<bool>(); };
  std::string reason;
  if (flag("remove_extra_whitespaces")) reason = "it drops superfluous spaces";
  if (v.at("precompiled_charsmap").is_array()) reason = "it rewrites characters";
  for (int64_t id = 0; id < v.size(); ++id)
    if (v.type(id) == PieceType::UserDefined || v.type(id) == PieceType::Unused)
      reason = fmt::format("it holds user-defined or unused pieces, such as {}", dump_json(v.text(id)));
  if (!reason.empty())
    fail(
        "{}: its SentencePiece vocabulary has no equal as tokenizer.json ({}); extend the model's Hugging "
        "Face "
        "directory instead",
        v.source, reason);
}

Json sentencepiece_json(const Vocabulary& v) {
  refuse_pieces(v);
  Json model = bpe(v, merges_by_score(v));
  bool bytes = v.tokenizer.token_id("<0x00>") >= 0;
  model["byte_fallback"] = bytes;
  model["fuse_unk"] = true;
  for (int64_t id = 0; id < v.size(); ++id)
    if (v.type(id) == PieceType::Unknown) model["unk_token"] = v.text(id);
  Json spaces = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}};
  Json back = {{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}};
  bool prefix = !v.at("add_space_prefix").is_boolean() || v.at("add_space_prefix").get<bool>();
  Json normalizers = Json::array(), decoders = {back, Json{{"type", "ByteFallback"}}, Json{{"type", "Fuse"}}};
  if (prefix) {
    normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  normalizers.push_back(spaces);
  return {{"normalizer", {{"type", "Sequence"}, {"normalizers", normalizers}}},
          {"pre_tokenizer", nullptr},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
          {"model", std::move(model)}};
}

Json config_json(const Vocabulary& v) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  for (auto [name, key] : {std::pair{"bos_token", "bos_token_id"},
                           {"eos_token", "eos_token_id"},
                           {"unk_token", "unknown_token_id"},
                           {"pad_token", "padding_token_id"}})
    if (const Json& id = v.at(key);
        id.is_number_integer() && id.get<int64_t>() >= 0 && id.get<int64_t>() < v.size() &&
        v.tokenizer.is_added(
            static_cast<int32_t>(id.get<int64_t>())))  // transformers makes it a special token
      config[name] = v.text(id.get<int64_t>());
  const Json& chat_template = json_at(v.metadata, "tokenizer.chat_template");
  if (chat_template.is_string()) config["chat_template"] = chat_template;
  return config;
}

}  // namespace

TokenizerFiles tokenizer_files_from_gguf(const Json& metadata, const std::string& source) {
  Tokenizer tokenizer = tokenizer_from_gguf(metadata, source);
  Vocabulary v{metadata, source, tokenizer};
  auto model = v.at("model").get<std::string>();
  if (model != "gpt2" && model != "llama")
    fail("{}: a vocabulary of kind {} cannot be written as tokenizer.json yet; gpt2 and llama can", source,
         excerpt(model));
  Json parts = model == "gpt2" ? byte_level_json(v) : sentencepiece_json(v);
  Json json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["added_tokens"] = added_tokens(v);
  json["normalizer"] = std::move(parts["normalizer"]);
  json["pre_tokenizer"] = std::move(parts["pre_tokenizer"]);
  json["post_processor"] = post_processor(v);
  json["decoder"] = std::move(parts["decoder"]);
  json["model"] = std::move(parts["model"]);
  return {std::move(json), config_json(v)};
}

}  // namespace longspan
