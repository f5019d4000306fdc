// CudaDevice: one NVIDIA GPU as a Device. Everything happens on one stream, in the order of the calls;
// nothing waits but download and synchronise. For files of this folder only: others see kernels/cuda/cuda.h.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "tensor/device.h"

namespace longspan {

struct CublasLt;    // products.cc: the library's handle and its plans
struct CudnnPlans;  // attention_cudnn.cc

class CudaDevice final : public Device {
 public:
  /// Error in one sentence when there is no such GPU, the driver is too old, or the GPU's architecture is not
  /// built in.
  explicit CudaDevice(int index);
  ~CudaDevice() override;

  const Kernels& kernels() const override;
  bool is_host() const override { return false; }
  void* allocate(std::string_view label, int64_t bytes) override;
  void free(void* data, int64_t bytes) override;
  void upload(void* to, const void* from, int64_t bytes) override;
  void download(void* to, const void* from, int64_t bytes) override;
  void copy(void* to, const void* from, int64_t bytes) override;
  void replay(std::span<const int64_t> key, const std::function<void()>& body) override;
  void synchronise() override;
  std::optional<int64_t> free_memory() const override;
  using Device::download;
  using Device::upload;

  int index() const { return index_; }
  cudaStream_t stream() const { return stream_; }
  int multiprocessors() const { return multiprocessors_; }
  /// 90 for compute capability 9.0.
  int architecture() const { return architecture_; }
  /// Whether requests are being recorded to be repeated: see replay.
  bool recording() const { return recording_; }
  /// Makes this the current device of the calling thread: launches go to it.
  void use() const;

  // Libraries' state, made when first asked for.
  std::shared_ptr<CublasLt> cublas;
  std::shared_ptr<CudnnPlans> cudnn;

 private:
  friend class Scratch;
  struct Block {
    std::byte* data;
    int64_t bytes, used;
  };

  /// Uninitialised memory. Error with label and bytes when it does not fit.
  void* take(std::string_view label, int64_t bytes);

  int index_, multiprocessors_ = 0, architecture_ = 0;
  cudaStream_t stream_ = nullptr;
  /// Page-locked memory of the host, through which small transfers go without waiting for the driver.
  std::byte* staging(int64_t bytes);
  void forget_graphs();

  std::map<std::vector<int64_t>, cudaGraphExec_t> graphs_;  // null: met once, not yet recorded
  bool recording_ = false;
  std::byte* staging_ = nullptr;
  int64_t staged_ = 0;          // bytes of it in use since the last wait
  std::vector<Block> scratch_;  // a stack over several blocks
  size_t top_ = 0;              // the block that is being filled
};

/// Memory for the duration of one operation: a stack in the device's workspace. What was taken is free again
/// when the Scratch ends, for operations that come later on the stream.
class Scratch {
 public:
  explicit Scratch(CudaDevice& device);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// Uninitialised, aligned to 256 bytes. Error when the device's memory is full.
  void* bytes(int64_t n);
  template <class T>
  T* take(int64_t n) {
    return static_cast<T*>(bytes(n * static_cast<int64_t>(sizeof(T))));
  }

 private:
  CudaDevice& device_;
  size_t top_;  // of the stack when this began
  int64_t used_;
};

/// The GPU that holds the tensor, made current.
CudaDevice& device_of(const Tensor& tensor);

/// Error "CUDA: WHAT failed: ..." unless the call succeeded.
void check(cudaError_t status, const char* what);
/// After a launch.
inline void check_launch(const char* what) { check(cudaGetLastError(), what); }

}  // namespace longspan
