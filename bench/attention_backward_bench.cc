// Speed of the gradients of attention next to the forward pass: Gop/s counts 10 D operations (forward 4 D)
// for each visible (query, key) pair and head. One line for each repetition, so that medians can be taken
// over interleaved runs. Usage: attention_backward_bench [threads] [tokens] [repetitions] [implementation]
#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <ctime>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/kernels.h"

using namespace longspan;

namespace {

constexpr int64_t kHeads = 9, kKvHeads = 3, kHeadDim = 64;

/// Memory of a matrix of numbers between -1 and 1.
struct Matrix {
  std::vector<std::byte> memory;
  Tensor view;
  Matrix(DType dtype, int64_t rows, int64_t cols, Random& random)
      : memory(static_cast<size_t>(dtype_bytes(dtype, rows * cols))) {
    view = host_matrix(memory.data(), dtype, rows, cols);
    for (int64_t i = 0; i < rows * cols; ++i) {
      auto x = static_cast<float>(2 * random.uniform() - 1);
      if (dtype == DType::F32)
        view.row(0)[i] = x;
      else
        view.row<uint16_t>(0)[i] = f32_to_bf16(x);
    }
  }
};

/// A pool of pages of keys or values, which are rows of a matrix.
struct Cache {
  Matrix rows;
  std::vector<int32_t> pages;
  Cache(DType dtype, int64_t tokens, Random& random)
      : rows(dtype, (tokens + kPageTokens - 1) / kPageTokens * kPageTokens, kKvHeads * kHeadDim, random) {
    for (int64_t n = 0; n < rows.view.rows(); n += kPageTokens)
      pages.push_back(static_cast<int32_t>(pages.size()));
  }
  KvPages view() {
    Tensor table = host_vector(pages.data(), DType::I32, std::ssize(pages));
    return {rows.view.row<std::byte>(0),
            kPageTokens * rows.view.row_stride,
            table,
            rows.view.dtype,
            kKvHeads,
            kHeadDim};
  }
};

/// CPU time of the thread when there is one thread, so that other programs do not count.
double now() {
  timespec t;
  clock_gettime(threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double seconds(const auto& body) {
  double start = now();
  body();
  return now() - start;
}

/// `zone_count` zones that begin at multiples of a quarter of the tokens.
void measure(const Kernels& how, DType dtype, int64_t tokens, int64_t zone_count) {
  Random random(7);
  int64_t width = kHeads * kHeadDim, kv_width = kKvHeads * kHeadDim;
  auto floats = [&](int64_t cols) { return Matrix(DType::F32, tokens, cols, random); };
  std::vector<Matrix> q, dq, dkeys;
  std::vector<Cache> keys;
  std::vector<AttentionZone> zones;
  AttentionGradients g;
  for (int64_t z = 0; z < zone_count; ++z) {
    q.push_back(floats(width)), dq.push_back(floats(width)), dkeys.push_back(floats(kv_width));
    keys.emplace_back(dtype, tokens, random);
  }
  for (size_t z = 0; z < q.size(); ++z) {
    zones.push_back({static_cast<int64_t>(z) * tokens / 4, q[z].view, keys[z].view()});
    g.q[z] = dq[z].view, g.keys[z] = dkeys[z].view;
  }
  Cache values(dtype, tokens, random);
  Matrix dout = floats(width), out(dtype, tokens, width, random), log_sum = floats(kHeads),
         dvalues = floats(kv_width);
  g.values = dvalues.view;
  int32_t rows[] = {0, static_cast<int32_t>(tokens)}, past = 0;
  AttentionShape shape{.heads = kHeads,
                       .kv_heads = kKvHeads,
                       .head_dim = kHeadDim,
                       .sequences = {.rows = host_vector(rows, DType::I32, 2),
                                     .past = host_vector(&past, DType::I32, 1),
                                     .most_rows = tokens,
                                     .most_keys = tokens},
                       .scale = 0.125f};
  double forward = seconds([&] { how.attention(out.view, {}, {zones.data(), 1}, values.view(), shape); });
  for (int64_t t = 0; t < tokens; ++t)  // about what it is for such small scores
    for (int64_t h = 0; h < kHeads; ++h) log_sum.view.row(t)[h] = std::log(static_cast<float>(t + 1));
  double backward = seconds(
      [&] { how.attention_backward(g, dout.view, out.view, log_sum.view, zones, values.view(), shape); });
  double pairs =
      0.5 * static_cast<double>(tokens) * static_cast<double>(tokens + 1) * static_cast<double>(width);
  fmt::print(
      "{:<12} {:<4} {:>5} tokens, {} zones: backward {:>8.2f} ms {:>6.1f} Gop/s, forward (1 zone) {:>8.2f} "
      "ms {:>6.1f} Gop/s\n",
      how.name, name(dtype), tokens, zone_count, backward * 1e3, 1e-8 * pairs / backward, forward * 1e3,
      4e-9 * pairs / forward);
}

}  // namespace

int main(int argc, char** argv) {
  set_threads(argc > 1 ? std::atoi(argv[1]) : physical_cores());
  int64_t tokens = argc > 2 ? std::atoi(argv[2]) : 2048;
  int repetitions = argc > 3 ? std::atoi(argv[3]) : 5;
  std::string_view only = argc > 4 ? argv[4] : "";
  for (int r = 0; r < repetitions; ++r)
    for (const Kernels* how : all_kernels()) {
      if (how == all_kernels()[0] || !how->supported() || (!only.empty() && only != how->name)) continue;
      DType dtype = std::string_view(how->name) == "avx512_bf16" ? DType::BF16 : DType::F32;
      for (int64_t zones : {1, 2, 3}) measure(*how, dtype, tokens, zones);
    }
}
