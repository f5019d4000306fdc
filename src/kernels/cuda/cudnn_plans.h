// Plans of cuDNN 9 for attention within a band of distances, kept by shape: the only door to cuDNN. The
// library is opened when first needed, so the program starts where it does not exist.
//
// A plan costs 0.4 to 1 s, because cuDNN compiles its kernel at run time, and the keys of a prompt grow with
// every chunk. So the sizes of a plan are upper limits: the numbers of rows and keys are two integers in the
// memory of the device (a padding mask), the band is aligned bottom-right by them, and one plan serves every
// length up to its own. cuDNN 9.19 picks the same kernels for this form as for exact sizes, top-left and
// without a mask (engine 2 forward, engine 6 backward, the same workspace); and the padding mask keeps the
// backward of sm_90 away from its NaN at keys = 64 mod 128 and log-sums below -88.7 (cudnn-frontend #628).
#pragma once

#include <compare>
#include <cstdint>
#include <memory>

namespace longspan {

class CudaDevice;

/// Attention of n <= rows queries over m <= keys keys, n <= m: query i sees key j where 0 <= m - n + i - j,
/// and < left if there is a bound.
struct BandShape {
  bool backward = false;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t rows = 0, keys = 0;
  int64_t left = 0;        // 0: no bound
  float scale = 1.0f;      // multiplies q.k
  bool out_f32 = false;    // forward: out is F32, not BF16
  int64_t out_stride = 0;  // forward: elements from one row of out to the next

  auto operator<=>(const BandShape&) const = default;
};

/// Where a plan reads and writes, in the memory of the device. All but out of a forward plan are contiguous:
/// q, out, dout, dq [rows, heads, head_dim] and k, v, dk, dv [keys, kv_heads, head_dim] BF16; log_sum [heads,
/// rows] F32. Rows of q, out and dout behind the last must be finite, and so must the keys and values up to
/// the next multiple of 256. Rows of results behind the last are unspecified.
struct BandTensors {
  void *q = nullptr, *k = nullptr, *v = nullptr;
  void* out = nullptr;                              // written by forward, read by backward
  void* log_sum = nullptr;                          // likewise
  void *row_count = nullptr, *key_count = nullptr;  // [1] I32 each: n and m, aligned to 16 bytes
  void *dout = nullptr, *dq = nullptr, *dk = nullptr, *dv = nullptr;  // backward
};

struct CudnnPlan;

struct CudnnPlans {
  explicit CudnnPlans(const CudaDevice& device);
  ~CudnnPlans();
  CudnnPlans(const CudnnPlans&) = delete;
  CudnnPlans& operator=(const CudnnPlans&) = delete;

  /// Whether the library is here, of version 9.16 or later (earlier ones have faults in these graphs), and
  /// works with this GPU.
  bool usable() const;
  /// Built when first asked for; null where cuDNN refuses, which is remembered.
  const CudnnPlan* plan(const BandShape& shape);
  /// Runs on the stream of the device. Error in one sentence when that fails.
  void run(const CudnnPlan& plan, const BandTensors& tensors, void* workspace);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Bytes of workspace that a plan needs.
int64_t workspace_bytes(const CudnnPlan& plan);

}  // namespace longspan
