// What each type of weights costs: the error of quantising normally distributed weights and reading them
// back, the root mean square of the difference over that of the weights, and how many weights a second one
// core quantises.  Usage: quantise_bench
#include <fmt/core.h>

#include <chrono>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/kernels.h"
#include "kernels/quantise.h"

int main() {
  using namespace longspan;
  constexpr int64_t kWeights = int64_t{1} << 20;
  Random random(1);
  std::vector<float> x(kWeights), y(kWeights);
  double size = 0;
  for (float& v : x) {
    v = static_cast<float>(random.normal());
    size += static_cast<double>(v) * v;
  }
  for (DType type : {DType::F16, DType::BF16, DType::Q8_0, DType::Q6_K, DType::Q5_K, DType::Q5_1, DType::Q5_0,
                     DType::Q4_K, DType::Q4_1, DType::Q4_0}) {
    std::vector<std::byte> blocks(static_cast<size_t>(dtype_bytes(type, kWeights)));
    auto start = std::chrono::steady_clock::now();
    quantise(blocks.data(), x.data(), type, kWeights);
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    dequantise(y.data(), blocks.data(), type, kWeights);
    double squares = 0;
    for (size_t i = 0; i < x.size(); ++i) squares += std::pow(static_cast<double>(x[i]) - y[i], 2);
    fmt::print("{:<5} error {:.4f}  {:6.1f} million weights/s\n", name(type), std::sqrt(squares / size),
               static_cast<double>(kWeights) / seconds / 1e6);
  }
}
