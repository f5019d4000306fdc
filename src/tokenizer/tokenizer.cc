#include "tokenizer/tokenizer.h"

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/impl.h"

namespace longspan {

namespace {

constexpr std::string_view kSpace = "\u2581";

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    size_t at = i;
    if (next_code_point(text, i) == 0xFFFD && text.substr(at, i - at) != "\uFFFD") return false;
  }
  return true;
}

/// The next "▁" after `from` that does not follow another one; text.size() when there is none.
size_t next_space_run(std::string_view text, size_t from) {
  for (size_t i = from;;) {
    size_t at = text.find(kSpace, i);
    if (at == std::string_view::npos) return text.size();
    if (at > from && !text.substr(0, at).ends_with(kSpace)) return at;
    i = at + kSpace.size();
  }
}

}  // namespace

std::string Tokenizer::Impl::normalize_text(std::string_view text) const {
  return sentencepiece ? sentencepiece->normalize(text) : normalize(normalizer, text);
}

void Tokenizer::Impl::encode_raw(std::string_view text, bool at_start, bool parse_special, EncodeState& state,
                                 std::vector<int32_t>& out) const {
  std::string owned;
  if (sentencepiece || !normalizer.empty()) {
    owned = normalize_text(text);
    at_start = at_start && !drops_first_character(normalizer, text);
    text = owned;
  }
  if (normalized_added.empty()) return encode_normalized(text, at_start, state, out);
  std::vector<Segment> segments;
  normalized_added.split(text, parse_special, segments);
  for (auto& s : segments) {
    if (s.id >= 0) {
      out.push_back(s.id);
    } else {
      encode_normalized(text.substr(s.begin, s.end - s.begin), at_start && s.begin == 0, state, out);
    }
  }
}

void Tokenizer::Impl::encode_normalized(std::string_view text, bool at_start, EncodeState& state,
                                        std::vector<int32_t>& out) const {
  if (text.empty()) return;
  if (pre_tokenizer.empty()) return encode_piece(text, state, out);
  Pieces pieces;
  pieces.text = text;
  pieces.ranges = {{0, text.size()}};
  pieces.at_start = at_start;
  run_pre_tokenizer(pre_tokenizer, pieces);
  for (auto [begin, end] : pieces.ranges) encode_piece(pieces.text.substr(begin, end - begin), state, out);
}

void Tokenizer::Impl::encode_piece(std::string_view piece, EncodeState& state,
                                   std::vector<int32_t>& out) const {
  size_t done = 0;
  if (!frozen.empty()) {
    for (size_t i = 0; i < piece.size();) {
      int32_t id = -1;
      size_t length = frozen.longest(piece.substr(i), id);
      if (length > 0) {
        encode_part(piece.substr(done, i - done), state, out);
        out.push_back(id);
        done = i + length;
      }
      i += std::max<size_t>(length, 1);
    }
  }
  encode_part(piece.substr(done), state, out);
}

void Tokenizer::Impl::encode_part(std::string_view part, EncodeState& state,
                                  std::vector<int32_t>& out) const {
  if (part.empty()) return;
  if (algorithm != Algorithm::Bpe || !bpe.cut_before_spaces) return encode_word(part, state, out);
  for (size_t i = 0; i < part.size();) {
    size_t end = next_space_run(part, i);
    encode_word(part.substr(i, end - i), state, out);
    i = end;
  }
}

void Tokenizer::Impl::encode_word(std::string_view word, EncodeState& state,
                                  std::vector<int32_t>& out) const {
  bool cached = word.size() <= WordCache::kMaxWord;
  std::span<const int32_t> known;
  if (cached && state.cache.find(word, known)) {
    out.insert(out.end(), known.begin(), known.end());
    return;
  }
  size_t first = out.size();
  switch (algorithm) {
    case Algorithm::Bpe:
      bpe.encode(word, state.bpe, out);
      break;
    case Algorithm::Unigram:
      unigram.encode(word, state.unigram, out);
      break;
    case Algorithm::WordPiece:
      wordpiece.encode(word, out);
      break;
  }
  if (cached) state.cache.insert(word, std::span(out).subspan(first));
}

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl)
    : impl_(std::move(impl)), specials_(impl_, &impl_->specials) {}

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::string repaired;
  if (!is_utf8(text)) {
    repaired = valid_utf8(text);
    text = repaired;
  }
  std::unique_ptr<EncodeState> state;
  {
    std::lock_guard lock(impl_->mutex);
    if (!impl_->idle.empty()) {
      state = std::move(impl_->idle.back());
      impl_->idle.pop_back();
    }
  }
  if (!state) state = std::make_unique<EncodeState>();

  std::vector<int32_t> out;
  out.reserve(text.size() / 3 + 8);
  if (options.add_special) out = impl_->prefix;
  std::vector<Segment> segments;
  impl_->raw_added.split(text, options.parse_special, segments);
  for (auto& s : segments) {
    if (s.id >= 0) {
      out.push_back(s.id);
    } else {
      impl_->encode_raw(text.substr(s.begin, s.end - s.begin), s.begin == 0, options.parse_special, *state,
                        out);
    }
  }
  if (options.add_special) out.insert(out.end(), impl_->suffix.begin(), impl_->suffix.end());

  std::lock_guard lock(impl_->mutex);
  impl_->idle.push_back(std::move(state));
  return out;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (int32_t id : ids) {
    if (id < 0 || id >= vocab_size())
      fail("{}: token id {} is outside the vocabulary of {}", impl_->source, id, vocab_size());
    auto index = static_cast<size_t>(id);
    if (skip_special && impl_->special[index]) continue;
    tokens.push_back(impl_->tokens[index]);
  }
  return valid_utf8(decode_tokens(impl_->decoder, std::move(tokens)));
}

std::string Tokenizer::token_bytes(int32_t id) const {
  if (is_special(id) || id >= vocab_size()) return "";
  return decode_one_token(impl_->decoder, token_text(id));
}

std::string Tokenizer::token_text(int32_t id) const {
  if (id < 0 || id >= vocab_size())
    fail("{}: token id {} is outside the vocabulary of {}", impl_->source, id, vocab_size());
  return impl_->tokens[static_cast<size_t>(id)];
}

int32_t Tokenizer::token_id(std::string_view text) const {
  auto found = impl_->ids.find(std::string(text));
  return found == impl_->ids.end() ? -1 : found->second;
}

int64_t Tokenizer::vocab_size() const { return static_cast<int64_t>(impl_->tokens.size()); }
int32_t Tokenizer::bos_id() const { return impl_->bos; }
int32_t Tokenizer::eos_id() const { return impl_->eos; }
bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && impl_->special[static_cast<size_t>(id)];
}
bool Tokenizer::is_added(int32_t id) const {
  return id >= 0 && id < vocab_size() && impl_->added[static_cast<size_t>(id)];
}
const std::vector<int32_t>& Tokenizer::prefix() const { return impl_->prefix; }
const std::vector<int32_t>& Tokenizer::suffix() const { return impl_->suffix; }

std::vector<int32_t> Tokenizer::stop_ids() const {
  std::vector<int32_t> ids;
  for (const SpecialTokens::End& end : specials_->ends) ids.push_back(end.id);
  return ids;
}

void Tokenizer::add_end(int32_t id, const std::string& from) {
  for (const SpecialTokens::End& end : specials_->ends)
    if (end.id == id) return;
  auto more = std::make_shared<SpecialTokens>(*specials_);
  more->ends.push_back({id, from});
  specials_ = std::move(more);
}
std::string Tokenizer::kind() const { return impl_->kind; }

}  // namespace longspan
