// What the readers of tokenizer.json, GGUF and SentencePiece share: it turns lists of tokens into the tables
// of the models.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/impl.h"

namespace longspan {

namespace {

constexpr std::string_view kSpace = "\u2581";
constexpr size_t kMaxPiece = 4096;  // bytes; bounds the number of splits of a hostile piece

/// Whether "▁" follows another character somewhere in `text`.
bool space_inside(std::string_view text) {
  while (text.starts_with(kSpace)) text.remove_prefix(kSpace.size());
  return text.find(kSpace) != std::string_view::npos;
}

bool is_one_character(std::string_view text) {
  size_t i = 0;
  if (text.empty()) return false;
  next_code_point(text, i);
  return i == text.size();
}

char32_t only_character(std::string_view text) {
  size_t i = 0;
  return next_code_point(text, i);
}

/// The bytes a byte-level token stands for; false when a character is outside the alphabet.
bool raw_bytes(std::string_view token, std::string& bytes) {
  bytes.clear();
  for (size_t i = 0; i < token.size();) {
    int b = char_to_byte(next_code_point(token, i));
    if (b < 0) return false;
    bytes.push_back(static_cast<char>(b));
  }
  return true;
}

}  // namespace

void set_token(Tokenizer::Impl& impl, int64_t id, const std::string& text, size_t expected_tokens) {
  auto most = static_cast<int64_t>(expected_tokens * 2 + 65536);
  if (id < 0 || id >= most)
    fail("{}: the token {} has the id {}, outside 0..{} for {} tokens", impl.source, in_quotes(text), id,
         most - 1, expected_tokens);
  auto index = static_cast<size_t>(id);
  if (index >= impl.tokens.size()) {
    impl.tokens.resize(index + 1);
    impl.special.resize(index + 1);
    impl.added.resize(index + 1);
  }
  if (!impl.tokens[index].empty() && impl.tokens[index] != text)
    fail("{}: the id {} belongs to two tokens, {} and {}", impl.source, id, in_quotes(impl.tokens[index]),
         in_quotes(text));
  impl.tokens[index] = text;
  impl.ids[text] = static_cast<int32_t>(id);
}

void add_added_token(Tokenizer::Impl& impl, const AddedToken& token) {
  if (token.content.empty()) return;
  impl.added[static_cast<size_t>(token.id)] = true;
  if (token.special) impl.special[static_cast<size_t>(token.id)] = true;
  if (token.normalized) {
    std::string pattern = impl.normalize_text(token.content);
    impl.normalized_added.add(token, pattern);
    impl.tokens[static_cast<size_t>(token.id)] =
        pattern;  // the library decodes such tokens to their normalized form
  } else {
    impl.raw_added.add(token, token.content);
  }
}

void find_byte_tokens(const Tokenizer::Impl& impl, std::array<int32_t, 256>& byte_token) {
  for (int b = 0; b < 256; ++b) {
    auto found = impl.ids.find(fmt::format("<0x{:02X}>", b));
    byte_token[static_cast<size_t>(b)] = found == impl.ids.end() ? -1 : found->second;
  }
}

void build_bpe(Tokenizer::Impl& impl, const std::vector<std::pair<std::string, std::string>>& merges,
               bool ignore_merges) {
  Bpe& bpe = impl.bpe;
  auto& steps = impl.pre_tokenizer;
  // With byte fallback an unmapped character falls back to the bytes of its printable form, so it must be
  // spelled out.
  bpe.byte_level =
      !bpe.byte_fallback && !steps.empty() && steps.back().kind == PreTokenizerStep::Kind::ByteMap;
  if (bpe.byte_level) steps.pop_back();
  std::string bytes;
  for (auto& [text, id] : impl.ids) {
    if (bpe.byte_level && raw_bytes(text, bytes)) {
      if (bytes.size() == 1) bpe.byte_symbol[static_cast<unsigned char>(bytes[0])] = id;
      if (ignore_merges) bpe.whole_pieces[bytes] = id;
    } else if (!bpe.byte_level) {
      if (is_one_character(text)) bpe.characters[only_character(text)] = id;
      if (ignore_merges) bpe.whole_pieces[text] = id;
    }
  }
  bpe.pairs.reserve(merges.size());
  auto id_of = [&](const std::string& text, size_t k) {
    auto found = impl.ids.find(text);
    if (found == impl.ids.end())
      fail("{}: merge {} ({} with {}) needs the token {}, which the vocabulary lacks", impl.source, k,
           in_quotes(merges[k].first), in_quotes(merges[k].second), in_quotes(text));
    return found->second;
  };
  bpe.cut_before_spaces = !bpe.byte_level && !ignore_merges && impl.ids.contains(std::string(kSpace));
  for (size_t k = 0; k < merges.size(); ++k) {
    auto& [left, right] = merges[k];
    std::string joined = left + right;
    bpe.pairs.set(id_of(left, k), id_of(right, k), static_cast<uint32_t>(k), id_of(joined, k));
    if (bpe.cut_before_spaces && space_inside(joined)) bpe.cut_before_spaces = false;
  }
}

void build_wordpiece(Tokenizer::Impl& impl, const std::string& prefix, const std::string& unknown) {
  impl.algorithm = Algorithm::WordPiece;
  impl.kind = "WordPiece";
  auto found = impl.ids.find(unknown);
  if (found == impl.ids.end())
    fail("{}: the vocabulary lacks its unknown token {}", impl.source, in_quotes(unknown));
  impl.wordpiece.unknown = found->second;
  for (const auto& [text, id] : impl.ids) {
    impl.wordpiece.first.insert(text, id);
    if (text.starts_with(prefix))
      impl.wordpiece.following.insert(std::string_view(text).substr(prefix.size()), id);
  }
}

namespace {

bool joinable(PieceType type) { return type == PieceType::Normal || type == PieceType::Unused; }

/// Ranks by score, best first; equal scores get equal ranks.
std::vector<uint32_t> rank_scores(const SentencePieceModel& model) {
  std::vector<float> order = model.scores;
  std::sort(order.begin(), order.end(), std::greater<>());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  std::vector<uint32_t> ranks;
  for (float score : model.scores) {
    auto at = std::lower_bound(order.begin(), order.end(), score, std::greater<>());
    ranks.push_back(static_cast<uint32_t>(at - order.begin()));
  }
  return ranks;
}

/// SentencePiece joins any two neighbours whose text together is a piece, so every split of every piece into
/// two is a pair.
void build_sentencepiece_bpe(Tokenizer::Impl& impl, const SentencePieceModel& model) {
  Bpe& bpe = impl.bpe;
  bpe.unknown_after_joining = true;
  bpe.byte_fallback = model.byte_fallback;
  bpe.tokens = static_cast<int32_t>(model.pieces.size());
  bpe.cut_before_spaces = true;
  std::unordered_map<std::string_view, int32_t> symbols;
  int32_t next_symbol = bpe.tokens;
  for (size_t k = 0; k < model.pieces.size(); ++k) {
    auto id = static_cast<int32_t>(k);
    if (model.types[k] == PieceType::UserDefined) impl.frozen.insert(model.pieces[k], id);
    if (model.types[k] == PieceType::Unused) bpe.unused.insert(id);
    if (joinable(model.types[k])) symbols[model.pieces[k]] = id;
  }
  auto for_each_character = [](std::string_view text, auto visit) {
    for (size_t i = 0; i < text.size();) {
      size_t at = i;
      char32_t c = next_code_point(text, i);
      visit(c, at, i);
    }
  };
  for (size_t k = 0; k < model.pieces.size(); ++k) {
    if (!joinable(model.types[k])) continue;
    std::string_view piece = model.pieces[k];
    if (piece.size() > kMaxPiece)
      fail("{}: piece {} is {} bytes long; at most {} make sense", impl.source, k, piece.size(), kMaxPiece);
    if (space_inside(piece)) bpe.cut_before_spaces = false;
    for_each_character(piece, [&](char32_t c, size_t begin, size_t end) {
      auto [at, added] = symbols.try_emplace(piece.substr(begin, end - begin), next_symbol);
      if (added) ++next_symbol;
      bpe.characters[c] = at->second;
    });
  }
  if (!bpe.unused.empty() || !symbols.contains(kSpace) || symbols[kSpace] >= bpe.tokens)
    bpe.cut_before_spaces = false;

  auto ranks = rank_scores(model);
  for (size_t k = 0; k < model.pieces.size(); ++k) {
    if (!joinable(model.types[k])) continue;
    std::string_view piece = model.pieces[k];
    for_each_character(piece, [&](char32_t, size_t cut, size_t) {
      if (cut == 0) return;
      auto left = symbols.find(piece.substr(0, cut)), right = symbols.find(piece.substr(cut));
      if (left != symbols.end() && right != symbols.end())
        bpe.pairs.set(left->second, right->second, ranks[k], static_cast<int32_t>(k));
    });
  }
}

void build_sentencepiece_unigram(Tokenizer::Impl& impl, const SentencePieceModel& model) {
  Unigram& unigram = impl.unigram;
  impl.algorithm = Algorithm::Unigram;
  unigram.single_precision = true;
  unigram.byte_fallback = model.byte_fallback;
  unigram.scores.assign(model.scores.begin(), model.scores.end());
  unigram.user_defined.resize(model.pieces.size());
  float low = INFINITY;
  for (size_t k = 0; k < model.pieces.size(); ++k) {
    auto type = model.types[k];
    unigram.user_defined[k] = type == PieceType::UserDefined;
    if (type == PieceType::Normal) low = std::min(low, model.scores[k]);
    if (type == PieceType::Normal || type == PieceType::UserDefined)
      unigram.tokens.insert(model.pieces[k], static_cast<int32_t>(k));
  }
  unigram.min_score = std::isfinite(low) ? low : 0;
}

void build_sentencepiece_normalizer(Tokenizer::Impl& impl, const SentencePieceModel& model) {
  auto normalizer = std::make_unique<SentencePieceNormalizer>();
  if (!model.charsmap.empty()) normalizer->charsmap = std::make_shared<Charsmap>(model.charsmap, impl.source);
  normalizer->add_dummy_prefix = model.add_dummy_prefix;
  normalizer->remove_extra_whitespaces = model.remove_extra_whitespaces;
  normalizer->escape_whitespaces = model.escape_whitespaces;
  normalizer->whitespace_as_suffix = model.whitespace_as_suffix;
  for (size_t k = 0; k < model.pieces.size(); ++k)
    if (model.types[k] == PieceType::UserDefined) normalizer->user_defined.insert(model.pieces[k], 0);
  impl.sentencepiece = std::move(normalizer);
}

std::vector<DecoderStep> sentencepiece_decoder(const SentencePieceModel& model) {
  using Kind = DecoderStep::Kind;
  std::vector<DecoderStep> steps(4);
  steps[0].kind = Kind::Replace;
  steps[0].pattern = literal_pattern(std::string(kSpace));
  steps[0].content = " ";
  steps[1].kind = Kind::ByteFallback;
  steps[2].kind = Kind::Fuse;
  steps[3].kind = Kind::Strip;
  steps[3].content = " ";
  (model.whitespace_as_suffix ? steps[3].stop : steps[3].start) = model.add_dummy_prefix ? 1 : 0;
  return steps;
}

}  // namespace

void build_sentencepiece(Tokenizer::Impl& impl, const SentencePieceModel& model) {
  for (size_t k = 0; k < model.pieces.size(); ++k) {
    if (std::isnan(model.scores[k])) fail("{}: the score of piece {} is not a number", impl.source, k);
    set_token(impl, static_cast<int64_t>(k), model.pieces[k], model.pieces.size());
  }
  build_sentencepiece_normalizer(impl, model);
  for (size_t k = 0; k < model.pieces.size(); ++k) {
    auto id = static_cast<int32_t>(k);
    bool unknown = model.types[k] == PieceType::Unknown;
    if (unknown && impl.unigram.unknown < 0) impl.bpe.unknown = impl.unigram.unknown = id;
    if (!unknown && model.types[k] != PieceType::Control) continue;
    AddedToken token;
    token.id = id;
    token.content = model.pieces[k];
    token.special = true;
    add_added_token(impl, token);
  }
  if (model.kind == SentencePieceModel::Kind::Bpe) {
    impl.kind = "SentencePiece BPE";
    build_sentencepiece_bpe(impl, model);
  } else if (model.kind == SentencePieceModel::Kind::Unigram) {
    impl.kind = "SentencePiece unigram";
    build_sentencepiece_unigram(impl, model);
  } else {
    fail(
        "{}: SentencePiece models of words or characters (model_type {}) are not supported, only unigram and "
        "BPE",
        impl.source, static_cast<int>(model.kind));
  }
  auto& byte_token = impl.algorithm == Algorithm::Unigram ? impl.unigram.byte_token : impl.bpe.byte_token;
  find_byte_tokens(impl, byte_token);
  bool all_bytes = std::find(byte_token.begin(), byte_token.end(), -1) == byte_token.end();
  if (model.byte_fallback && !all_bytes)
    fail("{}: byte_fallback is on, but not all of <0x00> to <0xFF> are in the vocabulary", impl.source);
  if (!model.byte_fallback && impl.bpe.unknown < 0)
    fail("{}: the vocabulary has no unknown token", impl.source);
  impl.decoder = sentencepiece_decoder(model);
}

void place_special_tokens(Tokenizer::Impl& impl, std::vector<AddedToken> listed, int64_t rows) {
  SpecialTokens& specials = impl.specials;
  size_t expected = impl.tokens.size() + listed.size() + specials.added.size();
  std::vector<AddedToken> added;
  auto place = [&](AddedToken& token, bool named) {
    if (auto known = impl.ids.find(token.content); known != impl.ids.end()) {
      token.id = known->second;
      if (named && impl.special[static_cast<size_t>(token.id)]) return;  // a control piece of SentencePiece
    } else if (token.id >= 0) {
      set_token(impl, token.id, token.content, expected);
    } else {
      auto next = static_cast<int64_t>(impl.tokens.size());
      if (token.content.empty() || next >= rows) return;
      set_token(impl, next, token.content, expected);
      token.id = static_cast<int32_t>(next);
    }
    auto same = [&](const AddedToken& a) { return a.content == token.content; };
    if (std::find_if(added.begin(), added.end(), same) == added.end()) added.push_back(token);
  };
  for (AddedToken& token : listed) place(token, false);
  for (SpecialTokens::Token& t : specials.added) place(t.token, false);
  for (SpecialTokens::Token& t : specials.named) place(t.token, true);
  for (AddedToken& token : added)
    for (const SpecialTokens::Token& t : specials.named) token.special |= t.token.content == token.content;
  // The library matches special tokens first, so where two have the same spelling after normalization the
  // special one wins.
  std::stable_partition(added.begin(), added.end(), [](const AddedToken& t) { return t.special; });
  for (auto& token : added) add_added_token(impl, token);
}

Tokenizer finish(std::shared_ptr<Tokenizer::Impl> impl) {
  SpecialTokens& specials = impl->specials;
  std::vector<SpecialTokens::End> ends;
  auto add = [&](int32_t id, const std::string& from) {
    bool known = std::any_of(ends.begin(), ends.end(), [&](const auto& end) { return end.id == id; });
    if (id >= 0 && static_cast<size_t>(id) < impl->tokens.size() && !known) ends.push_back({id, from});
  };
  const SpecialTokens::Token* eos = specials.find("eos_token");
  add(impl->eos, eos ? eos->from : impl->source);
  auto is_added = [&](int32_t id) {
    return static_cast<size_t>(id) < impl->added.size() && impl->added[static_cast<size_t>(id)];
  };
  for (const SpecialTokens::End& end : specials.ends)
    if (!end.if_special || is_added(end.id)) add(end.id, end.from);
  // Ordinary tokens that look like the end of a turn do not stop anything.
  for (const EndSpelling& spelling : end_of_turn_spellings()) {
    auto found = impl->ids.find(spelling.text);
    if (found != impl->ids.end() && is_added(found->second)) add(found->second, "its spelling");
  }
  specials.ends = std::move(ends);
  return Tokenizer(std::move(impl));
}

}  // namespace longspan
