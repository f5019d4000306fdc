// tokenizer.json of the `tokenizers` library, with tokenizer_config.json for what it leaves open.
// "truncation" and "padding" are deliberately ignored: they concern batching, not the text.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/impl.h"
#include "tokenizer/json_steps.h"

namespace longspan {

namespace {

std::vector<std::pair<std::string, std::string>> read_merges(const Json& merges, const std::string& source) {
  std::vector<std::pair<std::string, std::string>> out;
  if (!merges.is_array()) fail("{}: the model has no list \"merges\"", source);
  out.reserve(merges.size());
  for (auto& merge : merges) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      out.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());  // since tokenizers 0.20
      continue;
    }
    auto text = merge.is_string() ? merge.get<std::string>() : "";
    size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
      fail("{}: merge {} should be \"left right\" or [\"left\", \"right\"], not {}", source, out.size(),
           excerpt_json(merge, 100));
    out.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return out;
}

/// Absent and null are false.
bool flag(const Json& model, const char* key, const std::string& source) {
  auto& value = json_at(model, key);
  if (value.is_null()) return false;
  if (!value.is_boolean())
    fail("{}: \"{}\" should be true or false, not {}", source, key, excerpt_json(value));
  return value.get<bool>();
}

bool is_token_id(const Json& value) {
  constexpr auto kMost = std::numeric_limits<int32_t>::max();
  if (value.is_number_unsigned()) return value.get<uint64_t>() <= kMost;
  return value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<int64_t>() <= kMost;
}

void refuse_options(const Json& model, const std::string& source) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    auto& value = json_at(model, key);
    if (value.is_string() && !value.get<std::string>().empty())
      fail("{}: a BPE model with {} {} is not supported", source, key, in_quotes(value.get<std::string>()));
  }
  auto& dropout = json_at(model, "dropout");
  if (dropout.is_number() && dropout.get<double>() != 0)
    fail("{}: BPE dropout ({}) makes encoding random; set it to null", source, dropout.get<double>());
}

void read_bpe(const Json& model, Tokenizer::Impl& impl) {
  refuse_options(model, impl.source);
  auto& vocab = json_at(model, "vocab");
  if (!vocab.is_object()) fail("{}: the BPE model has no \"vocab\"", impl.source);
  for (auto& [text, id] : vocab.items()) {
    if (!id.is_number_integer())
      fail("{}: the id of the token {} is no number", impl.source, in_quotes(text));
    set_token(impl, id.get<int64_t>(), text, vocab.size());
  }
  Bpe& bpe = impl.bpe;
  bpe.byte_fallback = flag(model, "byte_fallback", impl.source);
  bpe.fuse_unknown = flag(model, "fuse_unk", impl.source);
  if (auto& text = json_at(model, "unk_token"); !text.is_null()) {
    auto unknown = text.is_string() ? impl.ids.find(text.get<std::string>()) : impl.ids.end();
    if (unknown == impl.ids.end())
      fail("{}: unk_token {} is not in the vocabulary", impl.source, excerpt_json(text));
    bpe.unknown = unknown->second;
  }
  bool bytes =
      std::any_of(impl.pre_tokenizer.begin(), impl.pre_tokenizer.end(),
                  [](const PreTokenizerStep& step) { return step.kind == PreTokenizerStep::Kind::ByteMap; });
  impl.kind = bytes ? "byte-level BPE" : "SentencePiece BPE";
  build_bpe(impl, read_merges(json_at(model, "merges"), impl.source),
            flag(model, "ignore_merges", impl.source));
  find_byte_tokens(impl, bpe.byte_token);
}

/// A score as the library reads it: serde_json divides the decimal digits by a power of ten, which is not
/// always the nearest double, and the last bit decides between segmentations that tie.
double as_the_library_reads(double value) {
  char text[40];
  auto end = std::to_chars(text, text + sizeof text, std::abs(value), std::chars_format::scientific).ptr;
  uint64_t digits = 0;
  int exponent = 0, seen = 0;
  for (const char* p = text; p < end; ++p) {
    if (*p == 'e') {
      std::from_chars(p[1] == '+' ? p + 2 : p + 1, end, exponent);
      break;
    }
    if (*p != '.') digits = digits * 10 + static_cast<uint64_t>(*p - '0'), ++seen;
  }
  exponent -= seen - 1;
  if (!std::isfinite(value) || exponent < -300 || exponent > 0) return value;
  double result = static_cast<double>(digits) / std::pow(10.0, -exponent);
  return value < 0 ? -result : result;
}

void read_unigram(const Json& model, Tokenizer::Impl& impl) {
  auto& vocab = json_at(model, "vocab");
  if (!vocab.is_array()) fail("{}: the unigram model has no list \"vocab\"", impl.source);
  Unigram& unigram = impl.unigram;
  impl.is_unigram = true;
  unigram.min_score = INFINITY;
  for (auto& entry : vocab) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      fail("{}: entry {} of the unigram vocabulary should be [text, score]", impl.source,
           unigram.scores.size());
    auto id = static_cast<int32_t>(unigram.scores.size());
    auto text = entry[0].get<std::string>();
    set_token(impl, id, text, vocab.size());
    unigram.tokens.insert(text, id);
    unigram.scores.push_back(as_the_library_reads(entry[1].get<double>()));
    unigram.min_score = std::min(unigram.min_score, unigram.scores.back());
  }
  auto& unknown = json_at(model, "unk_id");
  if (!unknown.is_null()) {
    if (!is_token_id(unknown) || unknown.get<uint64_t>() >= vocab.size())
      fail("{}: unk_id is {}, no id of the {} tokens of the vocabulary", impl.source, excerpt_json(unknown),
           vocab.size());
    unigram.unknown = unknown.get<int32_t>();
  }
  unigram.byte_fallback = flag(model, "byte_fallback", impl.source);
  find_byte_tokens(impl, unigram.byte_token);
  impl.kind = "SentencePiece unigram";
}

void read_model(const Json& model, Tokenizer::Impl& impl) {
  auto& type = json_at(model, "type");
  // Files of early versions omit the type; only BPE has merges.
  std::string name = type.is_string()                      ? type.get<std::string>()
                     : json_at(model, "merges").is_array() ? "BPE"
                                                           : "";
  if (name == "BPE") return read_bpe(model, impl);
  if (name == "Unigram") return read_unigram(model, impl);
  fail("{}: the model type {} is not supported, only BPE and Unigram", impl.source, in_quotes(name));
}

AddedToken read_added(const Json& entry, const std::string& source) {
  AddedToken token;
  if (!json_at(entry, "content").is_string())
    fail("{}: an added token without \"content\": {}", source, excerpt_json(entry, 200));
  token.content = entry["content"].get<std::string>();
  token.special = flag(entry, "special", source);
  token.single_word = flag(entry, "single_word", source);
  token.lstrip = flag(entry, "lstrip", source);
  token.rstrip = flag(entry, "rstrip", source);
  token.normalized =
      json_at(entry, "normalized").is_null() ? !token.special : flag(entry, "normalized", source);
  return token;
}

/// A token that is in the vocabulary keeps its id, whatever the entry says; the library does the same.
void place_added(AddedToken token, int64_t id, size_t expected, Tokenizer::Impl& impl,
                 std::vector<AddedToken>& added) {
  auto known = impl.ids.find(token.content);
  if (known == impl.ids.end()) {
    set_token(impl, id, token.content, expected);
    token.id = static_cast<int32_t>(id);
  } else {
    token.id = known->second;
  }
  auto same = [&](const AddedToken& a) { return a.content == token.content; };
  if (std::find_if(added.begin(), added.end(), same) == added.end()) added.push_back(std::move(token));
}

void read_added_tokens(const Json& json, const Json& config, Tokenizer::Impl& impl) {
  std::vector<AddedToken> added;
  auto& list = json_at(json, "added_tokens");
  auto& decoder = json_at(config, "added_tokens_decoder");
  size_t expected = impl.tokens.size() + list.size() + decoder.size();
  if (!list.is_null() && !list.is_array())
    fail("{}: added_tokens should be a list, not {}", impl.source, excerpt_json(list));
  if (!decoder.is_null() && !decoder.is_object())
    fail("{}: added_tokens_decoder should be an object, not {}", impl.source, excerpt_json(decoder));
  std::set<int64_t> seen;
  for (auto& entry : list) {
    auto& id = json_at(entry, "id");
    if (!is_token_id(id))
      fail("{}: the \"id\" of an added token should be a whole number from 0 on: {}", impl.source,
           excerpt_json(entry, 200));
    if (!seen.insert(id.get<int64_t>()).second)
      fail("{}: added_tokens gives the id {} twice", impl.source, id.get<int64_t>());
    place_added(read_added(entry, impl.source), id.get<int64_t>(), expected, impl, added);
  }
  seen.clear();
  for (auto& [key, entry] : decoder.items()) {
    if (key.empty() || key.size() > 9 || key.find_first_not_of("0123456789") != std::string::npos)
      fail("{}: added_tokens_decoder has the key {}, which is no token id", impl.source, in_quotes(key));
    if (!seen.insert(std::stoll(key)).second)
      fail("{}: added_tokens_decoder gives the id {} twice", impl.source, std::stoll(key));
    place_added(read_added(entry, impl.source), std::stoll(key), expected, impl, added);
  }
  // The library matches special tokens first, so where two have the same spelling after normalization the
  // special one wins.
  std::stable_partition(added.begin(), added.end(), [](const AddedToken& t) { return t.special; });
  for (auto& token : added) add_added_token(impl, token);
}

int32_t named_token(const Json& config, const char* key, const Tokenizer::Impl& impl) {
  const Json* value = &json_at(config, key);
  if (value->is_object()) value = &json_at(*value, "content");
  if (!value->is_string()) return -1;
  auto found = impl.ids.find(value->get<std::string>());
  return found == impl.ids.end() ? -1 : found->second;
}

void read_config_specials(const Json& config, bool bos_by_default, Tokenizer::Impl& impl) {
  if (int32_t id = named_token(config, "bos_token", impl); id >= 0) impl.bos = id;
  if (int32_t id = named_token(config, "eos_token", impl); id >= 0) impl.eos = id;
  if (!impl.prefix.empty() || !impl.suffix.empty()) return;
  auto& add_bos = json_at(config, "add_bos_token");
  bool bos = add_bos.is_null() ? bos_by_default : flag(config, "add_bos_token", impl.source);
  if (bos && impl.bos >= 0) impl.prefix = {impl.bos};
  if (flag(config, "add_eos_token", impl.source) && impl.eos >= 0) impl.suffix = {impl.eos};
}

}  // namespace

Tokenizer tokenizer_from_json(const Json& json, const Json& config, const std::string& source) {
  auto impl = std::make_shared<Tokenizer::Impl>();
  impl->source = source;
  if (!json.is_object()) fail("{}: should hold a JSON object", source);
  read_normalizer(json_at(json, "normalizer"), source, impl->normalizer);
  read_pre_tokenizer(json_at(json, "pre_tokenizer"), source, impl->pre_tokenizer);
  read_decoder(json_at(json, "decoder"), source, impl->decoder);
  read_model(json_at(json, "model"), *impl);
  read_added_tokens(json, config, *impl);
  SpecialAround around;
  read_post_processor(json_at(json, "post_processor"), source, around);
  for (auto* ids : {&around.prefix, &around.suffix})
    for (int32_t id : *ids)
      if (static_cast<size_t>(id) >= impl->tokens.size())
        fail("{}: the post_processor adds the id {}, outside the vocabulary", source, id);
  impl->prefix = around.prefix;
  impl->suffix = around.suffix;
  read_config_specials(config, false, *impl);
  return finish(std::move(impl));
}

Tokenizer tokenizer_from_sentencepiece(std::string_view bytes, const Json& config,
                                       const std::string& source) {
  auto impl = std::make_shared<Tokenizer::Impl>();
  impl->source = source;
  auto model = parse_sentencepiece(bytes, source);
  build_sentencepiece(*impl, model);
  read_added_tokens(Json(), config, *impl);
  auto control = [&](const std::string& text) {
    auto found = impl->ids.find(text);
    return found != impl->ids.end() && impl->special[static_cast<size_t>(found->second)] ? found->second : -1;
  };
  impl->bos = control(model.bos);
  impl->eos = control(model.eos);
  read_config_specials(config, true, *impl);  // as LlamaTokenizer does, whose files these are
  return finish(std::move(impl));
}

}  // namespace longspan
