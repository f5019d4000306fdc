// Arena: the owner of memory on one device. Every allocation has a label, so that the program can report who
// holds what. Memory is zeroed; on the host it is touched only when written, so that reserved memory that is
// not used costs nothing.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tensor/device.h"

namespace longspan {

class Arena {
 public:
  /// On the host.
  Arena() = default;
  /// The device must outlive the arena.
  explicit Arena(Device& device) : device_(&device) {}
  ~Arena();
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;

  /// A zeroed contiguous matrix, 64-byte aligned. Error with label and bytes when the allocation fails.
  Tensor matrix(std::string label, DType dtype, int64_t rows, int64_t cols);
  Tensor vector(std::string label, DType dtype, int64_t n);
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
  Device* device_ = nullptr;  // null: the host
  std::vector<Block> blocks_;
};

/// The tensor itself when it is in host memory, else a copy of it in `host`.
Tensor to_host(Device& device, const Tensor& tensor, Arena& host);

}  // namespace longspan
