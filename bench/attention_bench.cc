// Speed of attention: Gop/s counts 4 D operations for each visible (query, key) pair and head; GB/s counts
// the keys and values read once. Each figure is the best of several runs. Cases of zones, documents, slopes
// or decay run in turn with plain attention of the same size; their last figure is the median of the ratios
// of the pairs. Usage: attention_bench [threads] [implementation] [cache] [part of the name of the case]
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/cpu.h"

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
  std::vector<int64_t> from = {0};  // of each zone
  int64_t chunk = 0;
  int64_t documents = 1;  // of equal length
  bool slopes = false, decay = false;

  bool plain() const { return from.size() == 1 && documents == 1 && !slopes && !decay; }
};

const Case kCases[] = {
    {"prefill", 512, 512, 9, 3, 64},
    {"prefill", 512, 4096, 9, 3, 64},
    {"prefill", 512, 8192, 9, 3, 64},
    {"prefill", 512, 32768, 9, 3, 64},
    {"prefill", 512, 4096, 32, 8, 128},
    {"prefill", 64, 4096, 9, 3, 64},
    {"decode", 1, 512, 9, 3, 64},
    {"decode", 1, 4096, 9, 3, 64},
    {"decode", 1, 32768, 9, 3, 64},
    {"decode", 1, 4096, 32, 8, 128},
    {"two zones at 1024", 512, 32768, 9, 3, 64, {0, 1024}},
    {"two zones at 8192", 512, 32768, 9, 3, 64, {0, 8192}},
    {"two zones at 1024", 512, 32768, 32, 8, 128, {0, 1024}},
    {"dual chunk of 4096", 512, 32768, 9, 3, 64, {0, 1, 2}, 4096},
    {"two zones at 1024", 8192, 8192, 9, 3, 64, {0, 1024}},
    {"8 documents", 8192, 8192, 9, 3, 64, {0}, 0, 8},
    {"two zones at 1024", 1, 32768, 9, 3, 64, {0, 1024}},
    {"dual chunk of 4096", 1, 32768, 9, 3, 64, {0, 1, 2}, 4096},
    {"ALiBi", 512, 32768, 9, 3, 64, {0}, 0, 1, true},
    {"ALiBi", 1, 32768, 9, 3, 64, {0}, 0, 1, true},
    {"xPos", 512, 32768, 9, 3, 64, {0}, 0, 1, false, true},
    {"xPos", 1, 32768, 9, 3, 64, {0}, 0, 1, false, true},
};

/// A pool of pages of random values, all of one sequence.
struct Cache {
  std::vector<std::byte> memory;
  std::vector<int32_t> pages;
  KvPages view;
  Cache(DType dtype, const Case& c, Random& random) {
    int64_t pages_needed = (c.total + kPageTokens - 1) / kPageTokens, width = c.kv_heads * c.head_dim,
            page_bytes = dtype_bytes(dtype, kPageTokens * width);
    memory.resize(static_cast<size_t>(pages_needed * page_bytes));
    for (int64_t p = 0; p < pages_needed; ++p) pages.push_back(static_cast<int32_t>(p));
    view = {memory.data(), page_bytes, host_vector(pages.data(), DType::I32, pages_needed),
            dtype,         c.kv_heads, c.head_dim};
    std::vector<float> x(static_cast<size_t>(c.total * width));
    for (float& value : x) value = static_cast<float>(random.uniform()) - 0.5f;
    std::array<int32_t, 2> rows{0, static_cast<int32_t>(c.total)};
    int32_t past = 0;
    kernels().store_kv(view, host_matrix(x.data(), DType::F32, c.total, width),
                       {.rows = host_vector(rows.data(), DType::I32, 2),
                        .past = host_vector(&past, DType::I32, 1),
                        .most_rows = c.total,
                        .most_keys = c.total});
  }
};

double now() {
  timespec t;
  clock_gettime(threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Everything a case reads and writes.
struct Data {
  std::vector<Cache> caches;  // keys of each zone, values
  std::vector<std::vector<float>> q;
  std::vector<float> out;
  std::vector<int32_t> rows, past, starts;
  std::vector<float> slopes, decay;
  std::vector<AttentionZone> zones;

  Data(DType dtype, const Case& c)
      : out(static_cast<size_t>(c.tokens * c.heads * c.head_dim)),
        rows{0, static_cast<int32_t>(c.tokens)},
        past{static_cast<int32_t>(c.total - c.tokens)} {
    Random random(7);
    for (size_t i = 0; i <= c.from.size(); ++i) caches.emplace_back(dtype, c, random);
    for (size_t z = 0; z < c.from.size(); ++z) {
      std::vector<float>& x = q.emplace_back(out.size());
      for (float& value : x) value = static_cast<float>(random.normal());
      zones.push_back(
          {c.from[z], host_matrix(x.data(), DType::F32, c.tokens, c.heads * c.head_dim), caches[z].view});
    }
    for (int64_t t = 0; t < c.tokens && c.documents > 1; ++t)
      starts.push_back(static_cast<int32_t>(t / (c.total / c.documents) * (c.total / c.documents)));
    if (c.slopes) slopes.assign(static_cast<size_t>(c.heads), 0.001f);
    if (c.decay) decay.assign(static_cast<size_t>(c.head_dim), -0.001f);
  }
};

/// A null tensor for an empty list.
template <class T>
Tensor view_of(DType dtype, std::vector<T>& values) {
  return values.empty() ? Tensor{} : host_vector(values.data(), dtype, std::ssize(values));
}

/// One run.
double seconds(const Implementation& how, const Case& c, Data& data, bool plain) {
  AttentionShape shape{.heads = c.heads,
                       .kv_heads = c.kv_heads,
                       .head_dim = c.head_dim,
                       .sequences = {.rows = view_of(DType::I32, data.rows),
                                     .past = view_of(DType::I32, data.past),
                                     .most_rows = c.tokens,
                                     .most_keys = c.total},
                       .scale = 0.125f,
                       .chunk = c.chunk};
  if (!plain) {
    shape.starts = view_of(DType::I32, data.starts);
    shape.slopes = view_of(DType::F32, data.slopes);
    shape.decay = view_of(DType::F32, data.decay);
  }
  std::span<const AttentionZone> zones = data.zones;
  double start = now();
  how.attention(host_matrix(data.out.data(), how.out, c.tokens, c.heads * c.head_dim), {},
                zones.first(plain ? 1 : zones.size()), data.caches.back().view, shape);
  return now() - start;
}

void measure(const Implementation& how, DType dtype, const Case& c) {
  Data data(dtype, c);
  std::vector<double> runs, ratios;
  for (double spent = 0; runs.size() < 5 || spent < 0.3; spent += runs.back()) {
    double plain = c.plain() ? 0 : seconds(how, c, data, true);
    runs.push_back(seconds(how, c, data, false));
    ratios.push_back(runs.back() / plain);
  }
  double best = *std::min_element(runs.begin(), runs.end());
  double pairs = static_cast<double>(c.tokens) *
                 (static_cast<double>(c.total) - (static_cast<double>(c.tokens) - 1) / 2);
  if (c.documents > 1)
    pairs = static_cast<double>(c.total) * (static_cast<double>(c.total / c.documents) + 1) / 2;
  double bytes = 2.0 * static_cast<double>(dtype_bytes(dtype, c.total * c.kv_heads * c.head_dim));
  fmt::print(
      "{:<12} out {:<4}  cache {:<4}  {:<18} {:>4} of {:>5}, heads {:>2}/{}, D {:>3}: {:>9.3f} ms {:>7.1f} "
      "Gop/s "
      "{:>6.1f} GB/s",
      how.name, name(how.out), name(dtype), c.what, c.tokens, c.total, c.heads, c.kv_heads, c.head_dim,
      best * 1e3, 4e-9 * pairs * static_cast<double>(c.heads * c.head_dim) / best, bytes * 1e-9 / best);
  std::nth_element(ratios.begin(), ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2),
                   ratios.end());
  fmt::print("{}\n", c.plain() ? "" : fmt::format(" {:>6.3f} of plain", ratios[ratios.size() / 2]));
}

}  // namespace

int main(int argc, char** argv) {
  set_threads(argc > 1 ? std::atoi(argv[1]) : physical_cores());
  std::string_view only = argc > 2 ? argv[2] : "", cache = argc > 3 ? argv[3] : "",
                   what = argc > 4 ? argv[4] : "";
  const Implementation all[] = {
      {"avx2", attention_avx2, DType::F32, __builtin_cpu_supports("avx2") != 0},
      {"avx512", attention_avx512, DType::F32, __builtin_cpu_supports("avx512bw") != 0},
      {"avx512_bf16", attention_avx512_bf16, DType::BF16, __builtin_cpu_supports("avx512bf16") != 0},
      {"amx", attention_amx, DType::BF16, has_amx()},
  };
  fmt::print("{} threads\n", threads());
  for (const Implementation& how : all)
    for (DType dtype : {DType::F16, DType::BF16, DType::F32, DType::Q8_0, DType::Q4_0})
      for (const Case& c : kCases)
        if (how.supported && (only.empty() || only == how.name) && (cache.empty() || cache == name(dtype)) &&
            std::string_view(c.what).find(what) != std::string_view::npos)
          measure(how, dtype, c);
}
