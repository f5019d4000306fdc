// Speed of attention: Gop/s counts 4 D operations a visible (query, key) pair and head; GB/s counts the keys
// and values read once. Each figure is the best of several runs. Usage: attention_bench [threads]
// [implementation]
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/cpu/attention.h"

using namespace longspan;

namespace {

using Attention = decltype(Kernels::attention);

struct Implementation {
  const char* name;
  Attention attention;
  DType out;
  bool supported;
};

struct Case {
  const char* what;
  int64_t tokens, total;  // queries, keys
  int64_t heads, kv_heads, head_dim;
};

const Case kCases[] = {
    {"prefill", 512, 512, 9, 3, 64},   {"prefill", 512, 4096, 9, 3, 64},   {"prefill", 512, 8192, 9, 3, 64},
    {"prefill", 512, 32768, 9, 3, 64}, {"prefill", 512, 4096, 32, 8, 128}, {"prefill", 64, 4096, 9, 3, 64},
    {"decode", 1, 512, 9, 3, 64},      {"decode", 1, 4096, 9, 3, 64},      {"decode", 1, 32768, 9, 3, 64},
    {"decode", 1, 4096, 32, 8, 128},
};

/// Pages of random values in one block of memory.
struct Cache {
  std::vector<uint16_t> memory;
  std::vector<void*> pages;
  KvPages view;
  Cache(DType dtype, const Case& c, Random& random) {
    int64_t pages_needed = (c.total + kPageTokens - 1) / kPageTokens,
            page = kPageTokens * c.kv_heads * c.head_dim;
    int64_t unit = dtype == DType::F32 ? 2 : 1;
    memory.resize(static_cast<size_t>(pages_needed * page * unit));
    for (int64_t i = 0; i < pages_needed * page; ++i) {
      float x = static_cast<float>(random.uniform()) - 0.5f;
      if (dtype == DType::F32) reinterpret_cast<float*>(memory.data())[i] = x;
      if (dtype == DType::F16) memory[static_cast<size_t>(i)] = f32_to_f16(x);
      if (dtype == DType::BF16) memory[static_cast<size_t>(i)] = f32_to_bf16(x);
    }
    for (int64_t p = 0; p < pages_needed; ++p) pages.push_back(memory.data() + p * page * unit);
    view = {pages, dtype, c.kv_heads, c.head_dim};
  }
};

double now() {
  timespec t;
  clock_gettime(threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double best_seconds(const Implementation& how, Tensor out, Tensor q, const Cache& k, const Cache& v,
                    const AttentionShape& s) {
  double best = 1e9, spent = 0;
  for (int run = 0; run < 3 || spent < 0.3; ++run) {
    double start = now();
    AttentionZone zone{0, q, k.view};
    how.attention(out, {}, {&zone, 1}, v.view, s);
    double seconds = now() - start;
    best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

void measure(const Implementation& how, DType dtype, const Case& c) {
  Random random(7);
  Cache k(dtype, c, random), v(dtype, c, random);
  int64_t width = c.heads * c.head_dim;
  std::vector<float> q(static_cast<size_t>(c.tokens * width)), out(q.size());
  for (float& x : q) x = static_cast<float>(random.normal());
  AttentionShape shape{c.heads, c.kv_heads, c.head_dim, c.total - c.tokens, 0.125f, 0};
  double seconds = best_seconds(how, matrix_view(out.data(), how.out, c.tokens, width),
                                matrix_view(q.data(), DType::F32, c.tokens, width), k, v, shape);
  double pairs = static_cast<double>(c.tokens) *
                 (static_cast<double>(c.total) - (static_cast<double>(c.tokens) - 1) / 2);
  double bytes = 2.0 * static_cast<double>(dtype_bytes(dtype, c.total * c.kv_heads * c.head_dim));
  fmt::print(
      "{:<12} out {:<4}  cache {:<4}  {} {:>3} of {:>5}, heads {:>2}/{}, D {:>3}: {:>9.3f} ms {:>7.1f} Gop/s "
      "{:>6.1f} GB/s\n",
      how.name, name(how.out), name(dtype), c.what, c.tokens, c.total, c.heads, c.kv_heads, c.head_dim,
      seconds * 1e3, 4e-9 * pairs * static_cast<double>(width) / seconds, bytes * 1e-9 / seconds);
}

}  // namespace

int main(int argc, char** argv) {
  set_threads(argc > 1 ? std::atoi(argv[1]) : physical_cores());
  std::string_view only = argc > 2 ? argv[2] : "", cache = argc > 3 ? argv[3] : "";
  const Implementation all[] = {
      {"avx2", attention_avx2, DType::F32, __builtin_cpu_supports("avx2") != 0},
      {"avx512", attention_avx512, DType::F32, __builtin_cpu_supports("avx512bw") != 0},
      {"avx512_bf16", attention_avx512_bf16, DType::BF16, __builtin_cpu_supports("avx512bf16") != 0},
  };
  fmt::print("{} threads\n", threads());
  for (const Implementation& how : all)
    for (DType dtype : {DType::F16, DType::BF16, DType::F32})
      for (const Case& c : kCases)
        if (how.supported && (only.empty() || only == how.name) && (cache.empty() || cache == name(dtype)))
          measure(how, dtype, c);
}
