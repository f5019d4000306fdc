#include "tokenizer/sentencepiece.h"

#include <cstring>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

constexpr std::string_view kSpace = "\u2581";

/// Walks the fields of one protobuf message.
class ProtoReader {
 public:
  ProtoReader(std::string_view bytes, const std::string& source) : bytes_(bytes), source_(source) {}

  uint32_t field = 0;
  uint64_t number = 0;    // varint and fixed fields
  std::string_view text;  // length-delimited fields

  bool next() {
    if (at_ >= bytes_.size()) return false;
    uint64_t key = varint();
    field = static_cast<uint32_t>(key >> 3);
    text = {};
    number = 0;
    switch (key & 7) {
      case 0:
        number = varint();
        break;
      case 1:
        number = fixed(8);
        break;
      case 2:
        text = take(varint());
        break;
      case 5:
        number = fixed(4);
        break;
      default:
        damaged();
    }
    return true;
  }
  float real() const {
    auto bits = static_cast<uint32_t>(number);
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ >= bytes_.size()) damaged();
      auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    damaged();
  }
  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - at_) damaged();
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  uint64_t fixed(size_t count) {
    uint64_t value = 0;
    std::memcpy(&value, take(count).data(), count);
    return value;
  }
  [[noreturn]] void damaged() {
    fail("{}: is not a SentencePiece model, or is damaged at byte {}", source_, at_);
  }

  std::string_view bytes_;
  const std::string& source_;
  size_t at_ = 0;
};

void read_piece(std::string_view bytes, const std::string& source, SentencePieceModel& model) {
  std::string piece;
  float score = 0;
  uint64_t type = 1;
  for (ProtoReader r(bytes, source); r.next();) {
    if (r.field == 1) piece = r.text;
    if (r.field == 2) score = r.real();
    if (r.field == 3) type = r.number;
  }
  if (type < 1 || type > 6) fail("{}: piece {} has the unknown type {}", source, model.pieces.size(), type);
  model.pieces.push_back(std::move(piece));
  model.scores.push_back(score);
  model.types.push_back(static_cast<PieceType>(type));
}

void read_trainer(std::string_view bytes, const std::string& source, SentencePieceModel& model) {
  for (ProtoReader r(bytes, source); r.next();) {
    switch (r.field) {
      case 3:
        model.kind = static_cast<SentencePieceModel::Kind>(r.number);
        break;
      case 24:
        model.whitespace_as_suffix = r.number != 0;
        break;
      case 35:
        model.byte_fallback = r.number != 0;
        break;
      case 45:
        model.unknown = r.text;
        break;
      case 46:
        model.bos = r.text;
        break;
      case 47:
        model.eos = r.text;
        break;
    }
  }
}

void read_normalizer(std::string_view bytes, const std::string& source, SentencePieceModel& model) {
  for (ProtoReader r(bytes, source); r.next();) {
    switch (r.field) {
      case 2:
        model.charsmap = r.text;
        break;
      case 3:
        model.add_dummy_prefix = r.number != 0;
        break;
      case 4:
        model.remove_extra_whitespaces = r.number != 0;
        break;
      case 5:
        model.escape_whitespaces = r.number != 0;
        break;
    }
  }
}

}  // namespace

SentencePieceModel parse_sentencepiece(std::string_view bytes, const std::string& source) {
  SentencePieceModel model;
  for (ProtoReader r(bytes, source); r.next();) {
    if (r.field == 1) read_piece(r.text, source, model);
    if (r.field == 2) read_trainer(r.text, source, model);
    if (r.field == 3) read_normalizer(r.text, source, model);
  }
  if (model.pieces.empty()) fail("{}: is not a SentencePiece model: it holds no pieces", source);
  return model;
}

std::string_view SentencePieceNormalizer::first(std::string_view text, size_t& consumed) const {
  int32_t ignored = 0;
  consumed = user_defined.longest(text, ignored);
  if (consumed > 0) return text.substr(0, consumed);
  if (charsmap) {
    auto match = charsmap->longest_prefix(text);
    consumed = match.length;
    if (consumed > 0) return match.replacement;
  }
  next_code_point(text, consumed);
  return text.substr(0, consumed);
}

std::string SentencePieceNormalizer::normalize(std::string_view text) const {
  size_t consumed = 0;
  if (remove_extra_whitespaces)
    while (!text.empty() && first(text, consumed) == " ") text.remove_prefix(consumed);
  if (text.empty()) return "";
  std::string_view space = escape_whitespaces ? kSpace : " ";
  std::string out;
  out.reserve(text.size() + text.size() / 3 + 8);
  if (!whitespace_as_suffix && add_dummy_prefix) out += space;

  bool after_space = remove_extra_whitespaces;
  while (!text.empty()) {
    std::string_view put = first(text, consumed);
    text.remove_prefix(consumed);
    while (after_space && put.starts_with(' ')) put.remove_prefix(1);
    if (!put.empty()) {
      for (char c : put) {
        if (c == ' ') {
          out += space;
        } else {
          out.push_back(c);
        }
      }
      after_space = put.ends_with(' ');
    }
    if (!remove_extra_whitespaces) after_space = false;
  }
  if (remove_extra_whitespaces)
    while (out.ends_with(space)) out.resize(out.size() - space.size());
  if (whitespace_as_suffix && add_dummy_prefix) out += space;
  return out;
}

}  // namespace longspan
