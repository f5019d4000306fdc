// Kernels::rope_table and Kernels::hadamard for x86-64, the same for every instruction set.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/threads.h"
#include "kernels/cpu/cpu.h"

namespace longspan {

namespace {

constexpr int64_t kRows = 16;  // that one task makes

}  // namespace

void cpu_rope_table(const RopeTable& table, Tensor positions, const Rotation& rotation, double scale) {
  int64_t rows = table.cos.rows(), pairs = table.cos.cols();
  assert(positions.dtype == DType::F64 && positions.cols() >= rows && table.sin.rows() == rows);
  assert(pairs == static_cast<int64_t>(rotation.inv_freq.size()));
  const auto* position_of = positions.row<double>(0);
  parallel_for((rows + kRows - 1) / kRows, [&](int64_t block) {
    for (int64_t t = block * kRows; t < std::min(rows, (block + 1) * kRows); ++t) {
      double position = apply(rotation.map, position_of[t]);
      float *cos = table.cos.row(t), *sin = table.sin.row(t);
      for (int64_t i = 0; i < pairs; ++i) {
        double angle = position * rotation.inv_freq[static_cast<size_t>(i)];
        cos[i] = static_cast<float>(std::cos(angle) * scale);
        sin[i] = static_cast<float>(std::sin(angle) * scale);
      }
    }
  });
}

void cpu_hadamard(Tensor x, int64_t heads, int64_t head_dim) {
  int64_t size = head_dim & -head_dim;  // the largest power of two
  auto factor = static_cast<float>(1 / std::sqrt(static_cast<double>(size)));
  parallel_for((x.rows() + kRows - 1) / kRows, [&](int64_t block) {
    for (int64_t t = block * kRows; t < std::min(x.rows(), (block + 1) * kRows); ++t)
      for (float* part = x.row(t); part < x.row(t) + heads * head_dim; part += size) {
        for (int64_t step = 1; step < size; step *= 2)
          for (int64_t i = 0; i < size; i += 2 * step)
            for (int64_t j = i; j < i + step; ++j) {
              float a = part[j], b = part[j + step];
              part[j] = a + b, part[j + step] = a - b;
            }
        for (int64_t i = 0; i < size; ++i) part[i] *= factor;
      }
  });
}

}  // namespace longspan
