// From the bytes of a text to UTF-8: chooses the encoding and says so.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longspan::documents {

/// The encoding of some bytes. "" in `name`: UTF-8, which needs no decoder.
struct Chosen {
  std::string name;
  size_t mark = 0;     // bytes of the byte order mark
  std::string remark;  // "": nothing to say
};

/// How the lines of a file of records are encoded, by its head (`whole`: all of it). Only what cannot be
/// taken for damaged UTF-8 counts: a record with a stray byte is a bad record, not a reason to read all of
/// them in another way. `named`: --encoding, or "".
Chosen encoding_of_lines(std::string_view head, bool whole, const std::string& source,
                         const std::string& named);

/// The text in UTF-8 without its mark; line ends stay. In this order count: `named`, the mark, UTF-8, what a
/// page or XML declares, what the bytes look like. Error naming `source` when they are no text, or with the
/// offset of the first byte that cannot be decoded.
std::string decode_text(std::string bytes, const std::string& source, const std::string& named,
                        std::vector<std::string>& remarks);

}  // namespace longspan::documents
