// Speed of the dense products at the shapes of SmolLM2-135M, for every dtype of weight, few and many rows.
// Counters: FLOP/s of the product; bytes/s of the weight as stored (the bound of one-token generation).
// LONGSPAN_KERNELS chooses the implementation, --benchmark_filter the cases, OMP_NUM_THREADS the threads.
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/cpu/cpu.h"

namespace longspan {
namespace {

struct Shape {
  const char* name;
  int64_t features, cols;
};
constexpr Shape kShapes[] = {{"qo", 576, 576},      {"kv", 192, 576},        {"gate_up", 1536, 576},
                             {"down", 576, 1536},   {"head", 49152, 576},    {"2b_qo", 2048, 2048},
                             {"8b_qo", 4096, 4096}, {"8b_down", 4096, 14336}};

std::vector<std::byte> random_bytes(Random& random, int64_t bytes) {
  std::vector<std::byte> out(static_cast<size_t>(bytes + 7) / 8 * 8);
  for (size_t i = 0; i < out.size(); i += 8) {
    // bytes 0x30 .. 0x3f: in every dtype neither NaN nor infinite, and far from the subnormal numbers, which
    // are slow
    uint64_t word = (random.next() & 0x0f0f0f0f0f0f0f0f) | 0x3030303030303030;
    std::memcpy(out.data() + i, &word, 8);
  }
  return out;
}

enum class Reading { Packed, Stored, EightBits };

/// A model streams its weights from memory: so many copies of the weight that they exceed the caches are used
/// in turn.
void linear(benchmark::State& state, DType dtype, Shape shape, int64_t tokens, DType x_dtype,
            Reading reading) {
  constexpr int64_t kBeyondCaches = 96 << 20;
  Random random(1);
  int64_t bytes = dtype_bytes(dtype, shape.features * shape.cols);
  int64_t copies = tokens < kGemmRows ? 1 + kBeyondCaches / bytes : 1;
  auto memory = random_bytes(random, bytes * copies),
       in = random_bytes(random, dtype_bytes(x_dtype, tokens * shape.cols));
  std::vector<float> out(static_cast<size_t>(tokens * shape.features));
  Tensor x = host_matrix(in.data(), x_dtype, tokens, shape.cols);
  Tensor y = host_matrix(out.data(), DType::F32, tokens, shape.features);
  std::vector<Linear> weights;
  for (int64_t i = 0; i < copies; ++i)
    weights.push_back({.weight = host_matrix(memory.data() + i * bytes, dtype, shape.features, shape.cols),
                       .as_stored = reading == Reading::Stored,
                       .eight_bits = reading == Reading::EightBits});
  size_t turn = 0;
  for (int i = 0; i < 3; ++i) kernels().linear(y, x, weights[0], false);  // packs, wakes the threads
  for (auto _ : state) kernels().linear(y, x, weights[turn++ % weights.size()], false);
  auto rate = [](double per_call) {
    return benchmark::Counter(per_call, benchmark::Counter::kIsIterationInvariantRate);
  };
  state.counters["FLOP/s"] = rate(2.0 * static_cast<double>(tokens * shape.features * shape.cols));
  state.counters["weight B/s"] = rate(static_cast<double>(bytes));
}

void add_all() {
  constexpr DType kDTypes[] = {DType::F32,  DType::F16,  DType::BF16, DType::Q8_0, DType::Q4_0, DType::Q4_1,
                               DType::Q5_0, DType::Q5_1, DType::Q4_K, DType::Q5_K, DType::Q6_K};
  DType x_dtype = kernels().preferred == Compute::BF16 ? DType::BF16 : DType::F32;
  for (DType dtype : kDTypes)
    for (Shape shape : kShapes)
      for (int64_t tokens : {1, 4, 8, 16, 64, 512}) {
        if (shape.cols % dtype_info(dtype).block_elements != 0)
          shape.cols = 768;  // blocks of 256: nearest size
        for (Reading reading : {Reading::Packed, Reading::Stored, Reading::EightBits}) {
          if (reading != Reading::Packed && tokens < kGemmRows)
            continue;  // few rows read it as stored anyway
          if (reading == Reading::EightBits && !is_quantised(dtype)) continue;
          constexpr const char* kEndings[] = {"", "/stored", "/int8"};
          std::string title = std::string("linear/") + name(dtype) + "/" + shape.name + "/" +
                              std::to_string(tokens) + kEndings[static_cast<int>(reading)];
          benchmark::RegisterBenchmark(title.c_str(), linear, dtype, shape, tokens,
                                       reading == Reading::EightBits ? DType::F32 : x_dtype, reading)
              ->UseRealTime()
              ->Unit(benchmark::kMicrosecond);
        }
      }
}

}  // namespace
}  // namespace longspan

int main(int argc, char** argv) {
  longspan::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
