// Device: memory, and the implementation of the vocabulary that computes on it. Operations and copies on one
// device happen in the order in which they were requested; of all calls, only download and synchronise make
// the host wait.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace longspan {

struct Kernels;

class Device {
 public:
  virtual ~Device() = default;
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// The operations that compute on this device's memory.
  virtual const Kernels& kernels() const = 0;
  /// Whether host code may touch its memory. Tensors in host memory have a null device.
  virtual bool is_host() const = 0;

  /// Zeroed memory, aligned to 64 bytes. Error with label and bytes when the allocation fails.
  virtual void* allocate(std::string_view label, int64_t bytes) = 0;
  virtual void free(void* data, int64_t bytes) = 0;

  /// Host memory to device memory and back. When upload returns, `from` may be reused; download waits for its
  /// bytes.
  virtual void upload(void* to, const void* from, int64_t bytes) = 0;
  virtual void download(void* to, const void* from, int64_t bytes) = 0;
  /// Within the device.
  virtual void copy(void* to, const void* from, int64_t bytes) = 0;
  /// Does what `body` requests: operations and copies within the device, no uploads, downloads or waits.
  /// Equal keys promise equal requests, as long as no memory is freed: a device may record them once and
  /// repeat them without the host's work.
  virtual void replay(std::span<const int64_t> key, const std::function<void()>& body);
  /// Waits until everything requested has happened.
  virtual void synchronise() = 0;
  /// Bytes that could be allocated now; null when the system does not say.
  virtual std::optional<int64_t> free_memory() const = 0;

  /// A view of memory of this device: contiguous, `rows` of `cols`.
  Tensor matrix(void* data, DType dtype, int64_t rows, int64_t cols);

  /// The first elements of a contiguous tensor, which may be longer than `from`.
  template <class T>
  void upload(const Tensor& to, std::span<const T> from) {
    upload(to.data, from.data(), static_cast<int64_t>(from.size_bytes()));
  }
  template <class T>
  void download(std::span<T> to, const Tensor& from) {
    download(to.data(), from.data, static_cast<int64_t>(to.size_bytes()));
  }
  template <class T>
  std::vector<T> download(const Tensor& from) {
    std::vector<T> to(static_cast<size_t>(from.bytes()) / sizeof(T));
    download(to.data(), from.data, from.bytes());
    return to;
  }
};

/// The memory of the host, computing with `kernels`.
std::shared_ptr<Device> host_device(const Kernels& kernels);

/// Zeroed pages of the host, touched only when written: reserved memory that is not used costs nothing. Large
/// allocations ask for 2 MiB pages.
void* allocate_on_host(std::string_view label, int64_t bytes);
void free_on_host(void* data, int64_t bytes);

}  // namespace longspan
