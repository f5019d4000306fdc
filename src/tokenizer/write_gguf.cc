#include "tokenizer/write_gguf.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/gguf_pre.h"
#include "tokenizer/json_steps.h"
#include "tokenizer/sentencepiece.h"

namespace longspan {

namespace {

constexpr const char* kPrefix = "tokenizer.ggml.";
constexpr std::string_view kSpace = "\u2581";

/// Texts on which the written vocabulary has to agree with the original: spaces, digits, scripts, code,
/// marks, emoji, contractions.
const char* const kProbes[] = {
    "Hello, world! It's 2026-11-28 and we've read 1234567 words.",
    "  two spaces   three\ttab\n\nnew paragraph \r\n  indented",
    "def fibonacci(n):\n    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)\n",
    "Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "今天天气很好，我们去公园散步吧。第12345号。 日本語のテキスト、カタカナ。 한국어 문장입니다.",
    "مرحبا بالعالم ١٢٣ हिन्दी में कुछ शब्द แบบทดสอบ",
    "emoji 👩‍👩‍👧 🙂 and symbols ≤ ∑ € £ ½ … “quotes” — dash",
    "CamelCaseWords snake_case_words SCREAMING don't won't I'LL THEY'RE x²+y³",
    "",
    " ",
    "\n",
};

struct Vocabulary {
  const Tokenizer& tokenizer;
  const VocabularyFiles& files;
  int64_t rows;
  const std::string& source;

  /// "" where the id has no token.
  std::string text(int64_t id) const {
    return id < tokenizer.vocab_size() ? tokenizer.token_text(static_cast<int32_t>(id)) : "";
  }
};

/// Types that both kinds of vocabularies share.
PieceType type_of(const Vocabulary& v, int64_t id) {
  auto token = static_cast<int32_t>(id);
  if (v.text(id).empty()) return PieceType::Unused;
  if (v.tokenizer.is_special(token)) return PieceType::Control;
  return v.tokenizer.is_added(token) ? PieceType::UserDefined : PieceType::Normal;
}

Json token_list(const Vocabulary& v) {
  Json tokens = Json::array();
  for (int64_t id = 0; id < v.rows; ++id) {
    std::string text = v.text(id);
    tokens.push_back(text.empty() ? fmt::format("[PAD{}]", id) : text);
  }
  return tokens;
}

/// NFC, or nothing; Error otherwise.
bool has_nfc(const Vocabulary& v) {
  const Json& normalizer = json_at(v.files.tokenizer, "normalizer");
  if (normalizer.is_null()) return false;
  const Json& parts = json_at(normalizer, "normalizers");
  if (parts.is_array() && parts.empty()) return false;
  const Json& only = parts.is_array() && parts.size() == 1 ? parts[0] : normalizer;
  if (json_at(only, "type") != "NFC")
    fail("{}: its normalizer {} has no equal in GGUF", v.source, excerpt_json(normalizer, 200));
  return true;
}

Json merge_list(const Json& model) {
  Json merges = Json::array();
  for (const Json& merge : json_at(model, "merges"))
    merges.push_back(merge.is_array() ? merge[0].get<std::string>() + " " + merge[1].get<std::string>()
                                      : merge.get<std::string>());
  return merges;
}

void put_byte_level(const Vocabulary& v, Json& keys) {
  const Json& model = json_at(v.files.tokenizer, "model");
  bool ignore_merges = json_at(model, "ignore_merges") == true;
  std::string pre = gguf_pre_name(json_at(v.files.tokenizer, "pre_tokenizer"), has_nfc(v), ignore_merges);
  if (pre.empty())
    fail("{}: its pre-tokenizer {} has no name in GGUF; convert to a directory instead", v.source,
         excerpt_json(json_at(v.files.tokenizer, "pre_tokenizer"), 300));
  Json types = Json::array();
  for (int64_t id = 0; id < v.rows; ++id) types.push_back(static_cast<int>(type_of(v, id)));
  keys["tokenizer.ggml.model"] = "gpt2";
  keys["tokenizer.ggml.pre"] = pre;
  keys["tokenizer.ggml.tokens"] = token_list(v);
  keys["tokenizer.ggml.token_type"] = std::move(types);
  keys["tokenizer.ggml.merges"] = merge_list(model);
}

/// Rank of the merge that makes a piece; a piece that nothing makes is never joined.
std::unordered_map<std::string, double> scores_by_merges(const Vocabulary& v) {
  std::unordered_map<std::string, double> scores;
  double rank = 0;
  for (const Json& merge : json_at(json_at(v.files.tokenizer, "model"), "merges")) {
    std::string text = merge.is_array() ? merge[0].get<std::string>() + merge[1].get<std::string>()
                                        : merge.get<std::string>();
    if (!merge.is_array()) text.erase(text.find(' '), 1);
    scores.try_emplace(text, --rank);
  }
  return scores;
}

/// Whether a space precedes every text.
bool adds_space(const Vocabulary& v, const SentencePieceModel* model) {
  if (model && v.files.tokenizer.is_null()) return model->add_dummy_prefix;
  std::vector<int32_t> ids = v.tokenizer.encode("a", {.add_special = false});
  return !ids.empty() && v.text(ids[0]).starts_with(kSpace);
}

void put_sentencepiece(const Vocabulary& v, Json& keys) {
  SentencePieceModel model;
  bool by_model = !v.files.sentencepiece.empty();
  if (by_model) model = parse_sentencepiece(v.files.sentencepiece, v.source);
  std::unordered_map<std::string, double> ranks;
  if (!by_model) ranks = scores_by_merges(v);
  constexpr double kNeverJoined = -1e9, kAdded = -1000;
  const Json& unknown = json_at(json_at(v.files.tokenizer, "model"), "unk_token");
  Json types = Json::array(), scores = Json::array();
  for (int64_t id = 0; id < v.rows; ++id) {
    PieceType type = type_of(v, id);
    double score = kAdded;
    std::string text = v.text(id);
    auto at = static_cast<size_t>(id);
    if (by_model && at < model.pieces.size() && model.pieces[at] == text) {
      score = model.scores[at];
      // A special token keeps its role whatever the piece was trained as.
      bool role = model.types[at] == PieceType::Control || model.types[at] == PieceType::Unknown;
      if (type == PieceType::Normal || role) type = model.types[at];
    } else if (type == PieceType::Normal) {
      auto rank = ranks.find(text);
      score = rank == ranks.end() ? kNeverJoined : rank->second;
      bool byte = text.size() == 6 && text.starts_with("<0x") && text.ends_with(">");
      if (byte && json_at(json_at(v.files.tokenizer, "model"), "byte_fallback") == true)
        type = PieceType::Byte;
    }
    if (unknown.is_string() && text == unknown.get<std::string>()) type = PieceType::Unknown;
    types.push_back(static_cast<int>(type));
    scores.push_back(score);
  }
  keys["tokenizer.ggml.model"] = "llama";
  keys["tokenizer.ggml.pre"] = "default";
  keys["tokenizer.ggml.tokens"] = token_list(v);
  keys["tokenizer.ggml.scores"] = std::move(scores);
  keys["tokenizer.ggml.token_type"] = std::move(types);
  keys["tokenizer.ggml.add_space_prefix"] = adds_space(v, by_model ? &model : nullptr);
}

/// bos, eos, the other ends, and what surrounds a text.
void put_specials(const Vocabulary& v, TokenizerKeys& out) {
  const Tokenizer& t = v.tokenizer;
  auto put = [&](const char* key, int32_t id) {
    if (id >= 0 && id < v.rows) out.keys[kPrefix + std::string(key) + "_token_id"] = id;
  };
  // What surrounds every text is the begin and end token even where no file calls it so.
  auto named_or_around = [](int32_t named, const std::vector<int32_t>& around) {
    return named < 0 && around.size() == 1 ? around[0] : named;
  };
  int32_t begin = named_or_around(t.bos_id(), t.prefix()), end = named_or_around(t.eos_id(), t.suffix());
  put("bos", begin), put("eos", end);
  for (auto [name, key] : {std::pair{"unk_token", "unknown"}, {"pad_token", "padding"}})
    if (const SpecialTokens::Token* named = t.specials().find(name)) put(key, named->token.id);
  std::vector<int32_t> ends = t.stop_ids();
  std::erase(ends, end);
  if (!ends.empty()) put("eot", ends[0]);
  if (ends.size() > 1) put("eom", ends[1]);
  auto is = [](const std::vector<int32_t>& around, int32_t id) {
    return around.size() == 1 && around[0] == id;
  };
  bool bos = is(t.prefix(), begin), eos = is(t.suffix(), end);
  out.keys["tokenizer.ggml.add_bos_token"] = bos;
  out.keys["tokenizer.ggml.add_eos_token"] = eos;
  if ((!bos && !t.prefix().empty()) || (!eos && !t.suffix().empty()))
    out.remarks.push_back(
        "the tokenizer puts more around a text than a begin and an end token, which GGUF cannot say: other "
        "readers will leave it out");
}

/// Where the written vocabulary reads a probe in another way; "" when it agrees everywhere.
std::string disagreement(const Vocabulary& v, const Tokenizer& written) {
  for (const char* probe : kProbes)
    if (v.tokenizer.encode(probe, {.add_special = false}) != written.encode(probe, {.add_special = false}))
      return in_quotes(probe);
  for (int64_t id = 0; id < std::min(v.rows, v.tokenizer.vocab_size()); ++id)
    if (auto token = static_cast<int32_t>(id);
        v.tokenizer.is_added(token) && written.encode(v.text(id), {.add_special = false}) !=
                                           v.tokenizer.encode(v.text(id), {.add_special = false}))
      return "the added token " + in_quotes(v.text(id));
  return "";
}

void check(const Vocabulary& v, TokenizerKeys& out) {
  Tokenizer written = tokenizer_from_gguf(out.keys, v.source);
  if (std::string text = disagreement(v, written); !text.empty())
    fail("{}: its vocabulary has no equal in GGUF: {} would become other tokens", v.source, text);
  std::vector<int32_t> after = written.stop_ids();
  for (int32_t id : v.tokenizer.stop_ids())
    if (std::find(after.begin(), after.end(), id) == after.end())
      out.remarks.push_back(
          fmt::format("GGUF has no place for the end token {}: readers of the file will "
                      "not stop there",
                      in_quotes(v.text(id))));
}

}  // namespace

TokenizerKeys tokenizer_keys_for_gguf(const Tokenizer& tokenizer, const VocabularyFiles& files, int64_t rows,
                                      const std::string& source) {
  if (tokenizer.vocab_size() > rows)
    fail("{}: has {} tokens, the model's embedding {} rows", source, tokenizer.vocab_size(), rows);
  Vocabulary v{tokenizer, files, rows, source};
  TokenizerKeys out{Json::object(), {}};
  if (tokenizer.kind() == "byte-level BPE") {
    put_byte_level(v, out.keys);
  } else if (tokenizer.kind() == "SentencePiece BPE") {
    put_sentencepiece(v, out.keys);
  } else {
    fail("{}: a vocabulary of kind {} cannot be written as GGUF yet; byte-level and SentencePiece BPE can",
         source, tokenizer.kind());
  }
  put_specials(v, out);
  check(v, out);
  return out;
}

}  // namespace longspan
