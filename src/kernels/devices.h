// Where models compute, by name: the processor, or an NVIDIA GPU.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "kernels/kernels.h"
#include "tensor/device.h"

namespace longspan {

/// "cpu" (computing with `on_cpu`), "cuda" (GPU 0) or "cuda:N". Error in one sentence for another name, or
/// when the GPU cannot be used.
std::shared_ptr<Device> device_named(std::string_view name, const Kernels& on_cpu);

/// Empty when the text is a name that device_named reads, else what is wrong with it. Looks at no hardware.
std::string device_name_problem(std::string_view name);

/// From now on every operation of the device gives the same bits for the same input, whatever that costs: the
/// gradient of attention on a GPU. All others do so anyway.
void make_deterministic(Device& device);

}  // namespace longspan
