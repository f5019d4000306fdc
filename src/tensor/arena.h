// Arena: the owner of memory. Every allocation has a label, so that the program can say who holds what.
// Memory is zeroed by the system and touched only when written: what is reserved and not used costs nothing.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace longspan {

class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;

  /// A zeroed contiguous matrix, 64-byte aligned (2 MiB pages are asked for when it is large). Throws Error
  /// when the system refuses, with the label and the bytes.
  Tensor matrix(std::string label, DType dtype, int64_t rows, int64_t cols);
  void* allocate(std::string label, int64_t bytes);
  void release();

  int64_t bytes() const;
  /// Label and bytes, in order of allocation; equal labels are added up.
  std::vector<std::pair<std::string, int64_t>> table() const;

 private:
  struct Block {
    std::string label;
    void* data;
    int64_t bytes;
  };
  std::vector<Block> blocks_;
};

}  // namespace longspan
