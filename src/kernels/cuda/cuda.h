// The implementation of the vocabulary on NVIDIA GPUs, as the rest of the program sees it. In a build without
// CUDA, cuda_device gives an error that says so.
#pragma once

#include <memory>
#include <string>

#include "tensor/device.h"

namespace longspan {

/// The GPU of this index; the same object for as long as someone holds it. Error in one sentence, with
/// --device cpu as the way out, when it cannot be used: no driver, no such GPU, an architecture that is not
/// built in, a library that is missing.
std::shared_ptr<Device> cuda_device(int index);

/// See kernels/devices.h; `device` is one that cuda_device gave.
void make_gpu_deterministic(Device& device);

/// GPUs of this machine; 0, with the reason in `why`, where there are none that can be used.
int count_gpus(std::string& why);

}  // namespace longspan
