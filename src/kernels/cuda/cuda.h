// The implementation of the vocabulary on NVIDIA GPUs, as the rest of the program sees it. In a build without
// CUDA, cuda_device gives an error that says so.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor/device.h"

namespace longspan {

/// The GPU of this index; the same object for as long as someone holds it. Error in one sentence, with
/// --device cpu as the way out, when it cannot be used: no driver, no such GPU, an architecture that is not
/// built in, a library that is missing.
std::shared_ptr<Device> cuda_device(int index);

/// One GPU of this machine.
struct GpuInfo {
  std::string name;
  int architecture = 0;  // 90 for compute capability 9.0
  int multiprocessors = 0;
  int64_t memory = 0, free = 0;  // bytes
  std::string driver, runtime;   // "13.0"
};
/// All GPUs; empty where there are none. `why_not`, if wanted, says why there are none.
std::vector<GpuInfo> gpus(std::string* why_not = nullptr);

}  // namespace longspan
