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

/// The vocabulary as an object of ids.
void read_vocab(const Json& model, const char* kind, Tokenizer::Impl& impl) {
  auto& vocab = json_at(model, "vocab");
  if (!vocab.is_object()) fail("{}: the {} model has no \"vocab\"", impl.source, kind);
  for (auto& [text, id] : vocab.items()) {
    if (!id.is_number_integer())
      fail("{}: the id of the token {} is not a number", impl.source, in_quotes(text));
    set_token(impl, id.get<int64_t>(), text, vocab.size());
  }
}

void read_wordpiece(const Json& model, Tokenizer::Impl& impl) {
  read_vocab(model, "WordPiece", impl);
  auto text = [&](const char* key, const char* otherwise) {
    auto& value = json_at(model, key);
    if (!value.is_null() && !value.is_string())
      fail("{}: \"{}\" should be a string, not {}", impl.source, key, excerpt_json(value));
    return value.is_null() ? otherwise : value.get<std::string>();
  };
  build_wordpiece(impl, text("continuing_subword_prefix", "##"), text("unk_token", "[UNK]"));
  if (auto& most = json_at(model, "max_input_chars_per_word"); !most.is_null()) {
    if (!most.is_number_integer() || most.get<int64_t>() < 0 || most.get<int64_t>() > 1'000'000)
      fail("{}: max_input_chars_per_word should be a count, not {}", impl.source, excerpt_json(most));
    impl.wordpiece.longest_word = most.get<int64_t>();
  }
}

void read_bpe(const Json& model, Tokenizer::Impl& impl) {
  refuse_options(model, impl.source);
  read_vocab(model, "BPE", impl);
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
  impl.algorithm = Algorithm::Unigram;
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
  if (name == "WordPiece") return read_wordpiece(model, impl);
  fail("{}: the model type {} is not supported, only BPE, Unigram and WordPiece", impl.source,
       in_quotes(name));
}

std::vector<AddedToken> read_added_tokens(const Json& json, const std::string& source) {
  std::vector<AddedToken> added;
  auto& list = json_at(json, "added_tokens");
  if (!list.is_null() && !list.is_array())
    fail("{}: added_tokens should be a list, not {}", source, excerpt_json(list));
  std::set<int64_t> seen;
  for (auto& entry : list) {
    auto& id = json_at(entry, "id");
    if (!is_token_id(id))
      fail("{}: the \"id\" of an added token should be a whole number from 0 on: {}", source,
           excerpt_json(entry, 200));
    if (!seen.insert(id.get<int64_t>()).second)
      fail("{}: added_tokens gives the id {} twice", source, id.get<int64_t>());
    added.push_back(read_added_token(entry, source));
    added.back().id = id.get<int32_t>();
  }
  return added;
}

/// Rows of the model's embedding as config.json has them; 0 when it does not say.
int64_t embedding_rows(const Json& config) {
  const Json& rows = json_at(config, "vocab_size");
  return rows.is_number_integer() ? rows.get<int64_t>() : 0;
}

void read_config_specials(const Json& config, bool bos_by_default, Tokenizer::Impl& impl) {
  auto take = [&](const char* name, int32_t& id) {
    if (const SpecialTokens::Token* t = impl.specials.find(name); t && t->token.id >= 0) id = t->token.id;
  };
  take("bos_token", impl.bos), take("eos_token", impl.eos);
  if (!impl.prefix.empty() || !impl.suffix.empty()) return;
  auto& add_bos = json_at(config, "add_bos_token");
  bool bos = add_bos.is_null() ? bos_by_default : flag(config, "add_bos_token", impl.source);
  if (bos && impl.bos >= 0) impl.prefix = {impl.bos};
  if (flag(config, "add_eos_token", impl.source) && impl.eos >= 0) impl.suffix = {impl.eos};
}

}  // namespace

Tokenizer tokenizer_from_json(const Json& json, const SpecialFiles& files, const std::string& source) {
  auto impl = std::make_shared<Tokenizer::Impl>();
  impl->source = source;
  if (!json.is_object()) fail("{}: should hold a JSON object", source);
  read_normalizer(json_at(json, "normalizer"), source, impl->normalizer);
  read_pre_tokenizer(json_at(json, "pre_tokenizer"), source, impl->pre_tokenizer);
  read_decoder(json_at(json, "decoder"), source, impl->decoder);
  read_model(json_at(json, "model"), *impl);
  impl->specials = gather_special_tokens(files, source);
  place_special_tokens(*impl, read_added_tokens(json, source), embedding_rows(files.config));
  SpecialAround around;
  read_post_processor(json_at(json, "post_processor"), source, around);
  for (auto* ids : {&around.prefix, &around.suffix})
    for (int32_t id : *ids)
      if (static_cast<size_t>(id) >= impl->tokens.size())
        fail("{}: the post_processor adds the id {}, outside the vocabulary", source, id);
  impl->prefix = around.prefix;
  impl->suffix = around.suffix;
  read_config_specials(files.tokenizer_config, false, *impl);
  return finish(std::move(impl));
}

Tokenizer tokenizer_from_sentencepiece(std::string_view bytes, const SpecialFiles& files,
                                       const std::string& source) {
  auto impl = std::make_shared<Tokenizer::Impl>();
  impl->source = source;
  auto model = parse_sentencepiece(bytes, source);
  build_sentencepiece(*impl, model);
  impl->specials = gather_special_tokens(files, source);
  place_special_tokens(*impl, {}, embedding_rows(files.config));
  auto control = [&](const std::string& text) {
    auto found = impl->ids.find(text);
    return found != impl->ids.end() && impl->special[static_cast<size_t>(found->second)] ? found->second : -1;
  };
  impl->bos = control(model.bos);
  impl->eos = control(model.eos);
  read_config_specials(files.tokenizer_config, true, *impl);  // as LlamaTokenizer does, whose files these are
  return finish(std::move(impl));
}

/// BERT's own files: everything but the vocabulary is a matter of the tokenizer's class.
Tokenizer tokenizer_from_vocab_txt(std::string_view vocab, const SpecialFiles& files,
                                   const std::string& source) {
  auto impl = std::make_shared<Tokenizer::Impl>();
  impl->source = source;
  size_t lines = static_cast<size_t>(std::count(vocab.begin(), vocab.end(), '\n')) + 1;
  int64_t id = 0;
  for (size_t at = 0; at < vocab.size(); ++id) {
    size_t end = std::min(vocab.find('\n', at), vocab.size());
    std::string text(vocab.substr(at, end - at));
    if (text.ends_with('\r')) text.pop_back();
    if (!text.empty()) set_token(*impl, id, text, lines);
    at = end + 1;
  }
  const Json& config = files.tokenizer_config;
  auto option = [&](const char* key, bool otherwise) {
    return json_at(config, key).is_null() ? otherwise : flag(config, key, source);
  };
  BertNormalization bert;
  bert.lowercase = option("do_lower_case", true);
  bert.han = option("tokenize_chinese_chars", true);
  bert.strip_accents = option("strip_accents", bert.lowercase);
  add_bert_normalizer(bert, impl->normalizer);
  add_bert_pre_tokenizer(impl->pre_tokenizer);
  impl->decoder = {wordpiece_decoder("##", true)};
  impl->specials = gather_special_tokens(files, source);
  auto named = [&](const char* name, const char* otherwise) {
    const SpecialTokens::Token* token = impl->specials.find(name);
    return token ? token->token.content : std::string(otherwise);
  };
  std::string cls = named("cls_token", "[CLS]"), sep = named("sep_token", "[SEP]"),
              unknown = named("unk_token", "[UNK]");
  build_wordpiece(*impl, "##", unknown);
  std::vector<AddedToken> listed;
  for (const std::string& text :
       {named("pad_token", "[PAD]"), unknown, cls, sep, named("mask_token", "[MASK]")})
    if (impl->ids.contains(text)) listed.push_back({.id = -1, .content = text, .special = true});
  place_special_tokens(*impl, listed, embedding_rows(files.config));
  for (const std::string& text : {cls, sep})
    if (!impl->ids.contains(text)) fail("{}: the vocabulary lacks the token {}", source, in_quotes(text));
  impl->prefix = {impl->ids.at(cls)};
  impl->suffix = {impl->ids.at(sep)};
  return finish(std::move(impl));
}

}  // namespace longspan
