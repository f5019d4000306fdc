// Launches that begin before the former kernel has ended (programmatic dependent launch, sm_90): blocks are
// placed and read weights while the former kernel finishes.
//
// The rule: every thread of every kernel launched here calls wait_for_former() before it reads or overwrites
// what another kernel of the pass touches, and no thread ends without it. Since a kernel thus ends after its
// former one has, the order reaches back to all earlier kernels. Only weights may be read before; nothing
// changes them within a recorded pass, and outside of one no launch begins early.
#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "kernels/cuda/device.h"
#include "kernels/cuda/operations.h"

namespace longspan {

/// Waits until the former kernel has ended and what it wrote can be read; then lets the next one begin.
__device__ inline void wait_for_former() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// The launch of a kernel that keeps the rule above.
template <class... Parameters, class... Arguments>
void launch_early(CudaDevice& device, void (*kernel)(Parameters...), dim3 blocks, unsigned threads,
                  size_t shared_bytes, const Arguments&... arguments) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  static const bool waits = code_architecture() >= 90;
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = device.stream();
  config.attrs = &early;
  config.numAttrs = waits && device.recording() ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...), "a launch");
}

}  // namespace longspan
