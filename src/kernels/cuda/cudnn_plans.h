// Plans of cuDNN 9 for attention within a band of distances, kept by shape: the only door to cuDNN. The
// library is opened when first needed, so the program starts where it does not exist.
//
// Two forms. Rows and keys of equal number, masked top-left: the sizes are exact, so there is a plan for each
// of them, of which the second and later ones cost about 0.05 s on an H200. And limits, for a chunk of a
// prompt, whose keys grow with every chunk: rows and keys are two integers in the memory of the device (a
// padding mask), the band is aligned bottom-right by them, and one plan serves every length up to its own.
// Backward with a padding mask runs at half the speed, and a band saves it nothing, so it exists only
// top-left (cuDNN 9.19 on an H200, d64, 32K: 422 against 207 TFLOP/s; forward 488 against 436).
#pragma once

#include <compare>
#include <cstdint>
#include <memory>

namespace longspan {

class CudaDevice;

/// `batch` attentions. Query i sees key j where 0 <= i - j, and < left if there is a bound; rows == keys.
/// With limits (forward, batch 1) n <= rows queries over m <= keys keys, n <= m: where 0 <= m - n + i - j.
/// Without limits, rows and keys must be multiples of 128: the backward of sm_90 gives NaN at keys = 64 mod
/// 128 and log-sums below -88.7 (cudnn-frontend #628).
struct BandShape {
  bool backward = false, limits = false;
  bool deterministic = false;  // backward gives the same bits every time
  int64_t batch = 1;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t rows = 0, keys = 0;
  int64_t left = 0;        // 0: no bound
  float scale = 1.0f;      // multiplies q.k
  int64_t out_stride = 0;  // elements from one row of out to the next; 0: contiguous

  auto operator<=>(const BandShape&) const = default;
};

/// Where a plan reads and writes, in the memory of the device. q, out, dout, dq [batch, rows, heads,
/// head_dim] and k, v, dk, dv [batch, keys, kv_heads, head_dim] BF16, contiguous but for out; log_sum [batch,
/// heads, rows] F32. With limits, rows of q behind the last must be finite, and so must the keys and values
/// up to the next multiple of 256; rows of results behind the last are unspecified. (out in F32 is no choice:
/// sm_90 writes BF16 whatever the plan asks for.)
struct BandTensors {
  void *q = nullptr, *k = nullptr, *v = nullptr;
  void* out = nullptr;                              // written by forward, read by backward
  void* log_sum = nullptr;                          // likewise
  void *row_count = nullptr, *key_count = nullptr;  // limits: [1] I32 each, n and m, aligned to 16 bytes
  void *dout = nullptr, *dq = nullptr, *dk = nullptr, *dv = nullptr;  // backward
};

struct CudnnPlan;

struct CudnnPlans {
  explicit CudnnPlans(const CudaDevice& device);
  ~CudnnPlans();
  CudnnPlans(const CudnnPlans&) = delete;
  CudnnPlans& operator=(const CudnnPlans&) = delete;

  bool deterministic = false;  // what backward plans are asked to be

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
