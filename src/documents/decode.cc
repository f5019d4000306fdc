#include "documents/decode.h"

#include <algorithm>

#include "base/error.h"
#include "documents/encoding.h"
#include "documents/html.h"

namespace longspan::documents {

namespace {

/// UTF-16 and UTF-32 without their byte order, which only the text itself can tell.
std::string with_byte_order(const std::string& name, std::string_view bytes, bool cut) {
  if (name != "UTF-16" && name != "UTF-32") return name;
  Guess guess = guess_encoding(bytes, cut);
  return guess.kind == Guess::Kind::kKnown && guess.encoding.starts_with(name) ? guess.encoding : name + "LE";
}

std::string read_as(const std::string& source, const std::string& encoding, const char* why) {
  return fmt::format("{}: is read as {}{}; --encoding NAME if that is wrong", source, encoding, why);
}

/// What a page declares to be, if it decodes as that. A declaration that can be read is not in UTF-16,
/// whatever it says, and bytes that are UTF-8 have been recognised before.
std::string usable_declaration(std::string_view text) {
  std::string declared = declared_encoding(text);
  if (declared.empty()) return "";
  try {
    std::string name = encoding_name(declared);
    size_t fault = 0;
    if (!name.starts_with("UTF-")) decoded(text, name, false, fault);
    return fault == std::string::npos ? name : "";
  } catch (const Error&) {
    return "";  // a name that nobody knows
  }
}

Chosen choose_encoding(std::string_view bytes, const std::string& source, const std::string& named) {
  Mark mark = byte_order_mark(bytes);
  std::string_view text = bytes.substr(mark.bytes);
  if (!named.empty()) {
    std::string name = encoding_name(named);
    if (mark.encoding.starts_with(name)) return {mark.encoding, mark.bytes, ""};
    return {with_byte_order(name, bytes, false), 0, ""};
  }
  if (mark.encoding == "UTF-8" && utf8_fault(text) == text.npos && text.find('\0') == text.npos)
    return {"", mark.bytes, ""};
  if (!mark.encoding.empty() && mark.encoding != "UTF-8")
    return {mark.encoding, mark.bytes, read_as(source, mark.encoding, ", as its byte order mark says")};
  Guess guess = guess_encoding(text);
  if (guess.kind == Guess::Kind::kKnown && guess.encoding == "UTF-8") return {"", mark.bytes, ""};
  if (std::string name = usable_declaration(text); !name.empty() && guess.kind != Guess::Kind::kBinary)
    return {name, mark.bytes, read_as(source, name, ", as it declares")};
  if (guess.kind != Guess::Kind::kKnown) {
    guess.at += mark.bytes;
    fail("{}: {}", source, guess_fault(guess, bytes));
  }
  return {guess.encoding, mark.bytes, read_as(source, guess.encoding, "")};
}

void refuse_nul(std::string_view text, const std::string& source) {
  if (size_t nul = text.find('\0'); nul != text.npos)
    fail("{}: {}", source, guess_fault({Guess::Kind::kBinary, "", nul}, text));
}

}  // namespace

Chosen encoding_of_lines(std::string_view head, bool whole, const std::string& source,
                         const std::string& named) {
  Mark mark = byte_order_mark(head);
  std::string_view text = head.substr(mark.bytes);
  if (!named.empty()) {
    std::string name = encoding_name(named);
    bool marked = mark.encoding.starts_with(name);
    name = marked ? mark.encoding : with_byte_order(name, head, !whole);
    return {name == "UTF-8" ? "" : name, marked ? mark.bytes : 0, ""};
  }
  if (!mark.encoding.empty())
    return {mark.encoding == "UTF-8" ? "" : mark.encoding, mark.bytes,
            mark.encoding == "UTF-8" ? "" : read_as(source, mark.encoding, ", as its byte order mark says")};
  Guess guess = guess_encoding(text, !whole);
  static const std::vector<std::string> certain = {"UTF-16LE", "UTF-16BE",  "UTF-32LE", "UTF-32BE", "GB18030",
                                                   "Big5",     "Shift-JIS", "EUC-JP",   "EUC-KR"};
  if (guess.kind != Guess::Kind::kKnown ||
      std::find(certain.begin(), certain.end(), guess.encoding) == certain.end())
    return {"", 0, ""};
  return {guess.encoding, 0, read_as(source, guess.encoding, "")};
}

std::string decode_text(std::string bytes, const std::string& source, const std::string& named,
                        std::vector<std::string>& remarks) {
  Chosen chosen = choose_encoding(bytes, source, named);
  if (!chosen.remark.empty()) remarks.push_back(chosen.remark);
  if (chosen.name.empty()) {
    bytes.erase(0, chosen.mark);
    return bytes;
  }
  std::string text;
  Decoder(chosen.name, source, !named.empty(), chosen.mark)
      .decode(std::string_view(bytes).substr(chosen.mark), text, true);
  refuse_nul(text, source);
  return text;
}

}  // namespace longspan::documents
