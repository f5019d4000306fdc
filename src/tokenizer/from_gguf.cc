// The tokenizer.ggml.* keys of a GGUF file. "gpt2" is byte-level BPE with its pre-tokenizer named, not
// described; "llama" is SentencePiece BPE by score; "t5" SentencePiece unigram; "bert" WordPiece whose tokens
// begin with U+2581 where a word begins, and do not carry "##" where it goes on. token_type has the numbers
// of PieceType.
#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/gguf_pre.h"
#include "tokenizer/impl.h"
#include "tokenizer/json_steps.h"

namespace longspan {

namespace {

/// The value of tokenizer.ggml.`key`, or null.
const Json& key_at(const Json& metadata, const std::string& key) {
  return json_at(metadata, ("tokenizer.ggml." + key).c_str());
}

bool flag(const Json& metadata, const char* key, bool otherwise) {
  auto& value = key_at(metadata, key);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

const Json& list(const Json& metadata, const char* key, const std::string& source) {
  auto& value = key_at(metadata, key);
  if (!value.is_array()) fail("{}: tokenizer.ggml.{} is missing or no array", source, key);
  return value;
}

std::string text_in(const Json& value, const char* key, const std::string& source) {
  if (!value.is_string()) fail("{}: tokenizer.ggml.{} should hold strings only", source, key);
  return value.get<std::string>();
}

/// "<|im_end|>", "[EOS]": no word is spelt like this.
bool looks_like_control(const std::string& text) {
  return text.size() > 2 &&
         ((text.starts_with('<') && text.ends_with('>')) || (text.starts_with('[') && text.ends_with(']')));
}

/// Ends of turns whose type says that they are text become control tokens, with a remark, as in llama.cpp:
/// known spellings, and what the file itself names as an end.
void correct_types(const std::vector<std::string>& tokens, SpecialTokens& specials,
                   std::vector<PieceType>& types) {
  std::vector<std::string> corrected;
  auto correct = [&](size_t id) {
    if (types[id] != PieceType::Normal) return;
    types[id] = PieceType::Control;
    corrected.push_back(tokens[id]);
  };
  for (const SpecialTokens::End& end : specials.ends)
    if (looks_like_control(tokens[static_cast<size_t>(end.id)])) correct(static_cast<size_t>(end.id));
  for (size_t id = 0; id < tokens.size(); ++id)
    for (const EndSpelling& spelling : end_of_turn_spellings())
      if (spelling.unmistakable && tokens[id] == spelling.text) correct(id);
  for (const std::string& text : corrected)
    specials.remarks.push_back(fmt::format(
        "the file calls the token {} ordinary text; it is read as a control token", in_quotes(text)));
}

std::vector<std::string> read_tokens(const Json& metadata, const std::string& source) {
  std::vector<std::string> tokens;
  for (const Json& token : list(metadata, "tokens", source))
    tokens.push_back(text_in(token, "tokens", source));
  return tokens;
}

std::vector<PieceType> read_types(const Json& metadata, size_t count, const std::string& source) {
  std::vector<PieceType> types(count, PieceType::Normal);
  auto& values = key_at(metadata, "token_type");
  if (values.is_null()) return types;
  if (!values.is_array() || values.size() != count)
    fail("{}: tokenizer.ggml.token_type should hold {} numbers, one for each token", source, count);
  for (size_t k = 0; k < count; ++k) {
    int64_t type = values[k].is_number_integer() ? values[k].get<int64_t>() : 0;
    if (type < 1 || type > 6) fail("{}: tokenizer.ggml.token_type[{}] should be 1 to 6", source, k);
    types[k] = static_cast<PieceType>(type);
  }
  return types;
}

void read_byte_level(const Json& metadata, Tokenizer::Impl& impl, bool& add_bos) {
  auto tokens = read_tokens(metadata, impl.source);
  auto types = read_types(metadata, tokens.size(), impl.source);
  correct_types(tokens, impl.specials, types);
  for (size_t k = 0; k < tokens.size(); ++k)
    set_token(impl, static_cast<int64_t>(k), tokens[k], tokens.size());

  auto& name = key_at(metadata, "pre");
  auto pre = gguf_pre_tokenizer(name.is_string() ? name.get<std::string>() : "", impl.source);
  impl.normalizer = std::move(pre.normalizer);
  impl.pre_tokenizer = std::move(pre.steps);
  add_bos = pre.add_bos;
  std::vector<std::pair<std::string, std::string>> merges;
  for (auto& merge : list(metadata, "merges", impl.source)) {
    auto text = text_in(merge, "merges", impl.source);
    size_t space = text.find(' ', 1);  // a merge may begin with a space that is part of a token
    if (text.empty() || space == std::string::npos)
      fail("{}: tokenizer.ggml.merges[{}] should be \"left right\"", impl.source, merges.size());
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  build_bpe(impl, merges, pre.ignore_merges);
  impl.kind = "byte-level BPE";
  impl.decoder.resize(1);
  impl.decoder[0].kind = DecoderStep::Kind::ByteLevel;

  for (size_t k = 0; k < tokens.size(); ++k) {
    if (types[k] == PieceType::Normal || types[k] == PieceType::Byte || types[k] == PieceType::Unused)
      continue;
    AddedToken token;
    token.id = static_cast<int32_t>(k);
    token.content = impl.tokens[k];
    token.special = types[k] != PieceType::UserDefined;
    add_added_token(impl, token);
  }
}

void read_sentencepiece(const Json& metadata, SentencePieceModel::Kind kind, Tokenizer::Impl& impl) {
  SentencePieceModel model;
  model.kind = kind;
  model.pieces = read_tokens(metadata, impl.source);
  auto& tokens = model.pieces;
  auto& scores = list(metadata, "scores", impl.source);
  if (scores.size() != tokens.size())
    fail("{}: tokenizer.ggml.scores holds {} numbers for {} tokens", impl.source, scores.size(),
         tokens.size());
  for (size_t k = 0; k < tokens.size(); ++k) {
    if (!scores[k].is_number()) fail("{}: tokenizer.ggml.scores[{}] is no number", impl.source, k);
    model.scores.push_back(scores[k].get<float>());
  }
  model.types = read_types(metadata, tokens.size(), impl.source);
  correct_types(tokens, impl.specials, model.types);
  for (auto type : model.types) model.byte_fallback = model.byte_fallback || type == PieceType::Byte;
  model.add_dummy_prefix = flag(metadata, "add_space_prefix", true);
  model.remove_extra_whitespaces = flag(metadata, "remove_extra_whitespaces", false);
  auto& charsmap = key_at(metadata, "precompiled_charsmap");
  if (charsmap.is_array())
    for (auto& byte : charsmap)
      model.charsmap.push_back(static_cast<char>(byte.is_number_integer() ? byte.get<int64_t>() : 0));
  build_sentencepiece(impl, model);
}

/// Files do not say whether text is lower-cased: it is, as llama.cpp does.
void read_wordpiece(const Json& metadata, Tokenizer::Impl& impl) {
  constexpr std::string_view kSpace = "\u2581";
  auto tokens = read_tokens(metadata, impl.source);
  auto types = read_types(metadata, tokens.size(), impl.source);
  auto id_of = [&](const char* key, const char* otherwise) {
    auto& value = key_at(metadata, key);
    if (value.is_number_unsigned() && value.get<uint64_t>() < tokens.size()) return value.get<size_t>();
    auto found = std::find(tokens.begin(), tokens.end(), otherwise);
    if (found == tokens.end())
      fail("{}: tokenizer.ggml.{} is not the id of one of the {} tokens, and {} is not among them",
           impl.source, key, tokens.size(), otherwise);
    return static_cast<size_t>(found - tokens.begin());
  };
  // Newer converters call the token that begins a text the one that begins a sequence.
  const char* begin = key_at(metadata, "cls_token_id").is_null() ? "bos_token_id" : "cls_token_id";
  size_t cls = id_of(begin, "[CLS]"), sep = id_of("seperator_token_id", "[SEP]"),
         unknown = id_of("unknown_token_id", "[UNK]");
  std::vector<AddedToken> control;
  for (size_t k = 0; k < tokens.size(); ++k) {
    std::string text = tokens[k];
    bool word = text.starts_with(kSpace);
    bool special = types[k] == PieceType::Control || k == cls || k == sep || k == unknown;
    // The converter leaves control tokens as they are spelt.
    if (word && text.size() > kSpace.size())
      text.erase(0, kSpace.size());
    else if (!word && !special && types[k] == PieceType::Normal && !looks_like_control(text))
      text.insert(0, "##");
    set_token(impl, static_cast<int64_t>(k), text, tokens.size());
    if (special) control.push_back({.id = static_cast<int32_t>(k), .content = text, .special = true});
  }
  add_bert_normalizer({}, impl.normalizer);
  add_bert_pre_tokenizer(impl.pre_tokenizer);
  impl.decoder = {wordpiece_decoder("##", true)};
  build_wordpiece(impl, "##", impl.tokens[unknown]);
  for (const AddedToken& token : control) add_added_token(impl, token);
  impl.prefix = {static_cast<int32_t>(cls)};
  impl.suffix = {static_cast<int32_t>(sep)};
}

}  // namespace

Tokenizer tokenizer_from_gguf(const Json& metadata, const std::string& source) {
  auto impl = std::make_shared<Tokenizer::Impl>();
  impl->source = source;
  auto& model = key_at(metadata, "model");
  std::string name = model.is_string() ? model.get<std::string>() : "";
  bool add_bos = false, add_eos = false;
  impl->specials = gather_special_tokens(metadata, key_at(metadata, "tokens").size(), source);
  if (name == "gpt2") {
    read_byte_level(metadata, *impl, add_bos);
  } else if (name == "llama") {
    read_sentencepiece(metadata, SentencePieceModel::Kind::Bpe, *impl);
    add_bos = true;
  } else if (name == "t5") {
    read_sentencepiece(metadata, SentencePieceModel::Kind::Unigram, *impl);
    add_eos = true;
  } else if (name == "bert") {
    read_wordpiece(metadata, *impl);
  } else {
    fail("{}: tokenizer.ggml.model is {}; supported are gpt2, llama, t5 and bert", source, in_quotes(name));
  }
  for (SpecialTokens::Token& t : impl->specials.named) {
    t.token.content = impl->tokens[static_cast<size_t>(t.token.id)];
    if (t.name == "bos_token") impl->bos = t.token.id;
    if (t.name == "eos_token") impl->eos = t.token.id;
  }
  if (impl->bos >= 0 && flag(metadata, "add_bos_token", add_bos)) impl->prefix = {impl->bos};
  if (impl->eos >= 0 && flag(metadata, "add_eos_token", add_eos)) impl->suffix = {impl->eos};
  return finish(std::move(impl));
}

}  // namespace longspan
