// A pickle of protocol 2 as data. The format is a program for a small machine that can call any function of
// Python; this machine calls none: it knows the opcodes that a dictionary of tensors needs, and a call comes
// out as a value that says what would have been called, only for names that the reader allows (CPython's
// pickletools documents the opcodes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace longspan {

struct PickleValue {
  enum class Kind {
    None,
    Number,  // also False and True
    Text,
    Tuple,       // items
    List,        // items
    Dict,        // items: key, value, key, value, ...
    Global,      // text: "module.name"
    Call,        // items: the global, the tuple of its arguments
    Persistent,  // items: the tuple that names an object outside the pickle
  };
  Kind kind = Kind::None;
  int64_t number = 0;
  std::string_view text;        // into the bytes, but for globals: into the list of those allowed
  std::vector<uint32_t> items;  // indices into Pickle::values
};

/// Values refer to each other by index: shared ones, and in a hostile file circles, need no care on the way
/// out.
struct Pickle {
  std::vector<PickleValue> values;
  uint32_t root = 0;
};

/// Runs the machine. Error naming `file` and the opcode, global or place that is not accepted. At most
/// 16 MiB are read into at most a million values.
Pickle read_pickle(std::span<const std::byte> bytes, std::span<const std::string_view> allowed,
                   const std::string& file);

}  // namespace longspan
