// What stands for the GPU back end in a build without CUDA.
#include "base/error.h"
#include "kernels/cuda/cuda.h"

namespace longspan {

std::shared_ptr<Device> cuda_device(int) {
  fail("--device cuda: this program was built without CUDA; --device cpu works");
}

void make_gpu_deterministic(Device&) {}

int count_gpus(std::string& why) {
  why = "this program was built without CUDA";
  return 0;
}

}  // namespace longspan
