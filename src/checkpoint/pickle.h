// Reads a pickle of protocol 2 as data. A pickle is a program for a small stack machine that can call any
// Python function; this implementation calls none. It knows only the opcodes that a dictionary of tensors
// needs, and represents a call as a value that says what would have been called, for an allowed list of
// names. CPython's pickletools documents the opcodes.
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
  std::string_view text;        // into the bytes; of globals: into the list of allowed ones
  std::vector<uint32_t> items;  // indices into Pickle::values
};

/// Values refer to each other by index, so that shared values, and cycles in a hostile file, are destroyed
/// safely.
struct Pickle {
  std::vector<PickleValue> values;
  uint32_t root = 0;
};

/// Error naming `file` and the opcode, global or position that is not accepted. Reads at most 16 MiB and
/// makes at most a million values.
Pickle read_pickle(std::span<const std::byte> bytes, std::span<const std::string_view> allowed,
                   const std::string& file);

}  // namespace longspan
