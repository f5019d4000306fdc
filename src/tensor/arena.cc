#include "tensor/arena.h"

#include <utility>

namespace longspan {

Arena::~Arena() { release(); }
Arena::Arena(Arena&& other) noexcept : device_(other.device_), blocks_(std::exchange(other.blocks_, {})) {}
Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(blocks_, other.blocks_);
  return *this;
}

void* Arena::allocate(std::string label, int64_t bytes) {
  void* data = device_ ? device_->allocate(label, bytes) : allocate_on_host(label, bytes);
  blocks_.push_back({std::move(label), data, bytes});
  return data;
}

Tensor Arena::matrix(std::string label, DType dtype, int64_t rows, int64_t cols) {
  void* data = allocate(std::move(label), rows * dtype_bytes(dtype, cols));
  return device_ ? device_->matrix(data, dtype, rows, cols) : host_matrix(data, dtype, rows, cols);
}

Tensor Arena::vector(std::string label, DType dtype, int64_t n) {
  return matrix(std::move(label), dtype, 1, n).viewed(dtype, n);
}

void Arena::release() {
  for (const Block& b : blocks_) device_ ? device_->free(b.data, b.bytes) : free_on_host(b.data, b.bytes);
  blocks_.clear();
}

int64_t Arena::bytes() const {
  int64_t n = 0;
  for (const Block& b : blocks_) n += b.bytes;
  return n;
}

std::vector<std::pair<std::string, int64_t>> Arena::table() const {
  std::vector<std::pair<std::string, int64_t>> rows;
  for (const Block& b : blocks_) {
    bool found = false;
    for (auto& [label, bytes] : rows)
      if (label == b.label) bytes += b.bytes, found = true;
    if (!found) rows.emplace_back(b.label, b.bytes);
  }
  return rows;
}

Tensor to_host(Device& device, const Tensor& tensor, Arena& host) {
  if (!tensor.device) return tensor;
  Tensor copy = tensor;
  copy.device = nullptr;
  copy.data = host.allocate("copies from the device", tensor.bytes());
  device.download(copy.data, tensor.data, tensor.bytes());
  return copy;
}

}  // namespace longspan
