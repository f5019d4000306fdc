// Kernels::rope_table for x86-64, the same for every instruction set.
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

}  // namespace longspan
