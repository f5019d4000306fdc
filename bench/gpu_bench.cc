// Speed of operations on the GPU, each the median of several runs between synchronisations, on random data.
// Attention: TFLOP/s of the causal half (4 D operations for each visible pair and head, 2.5 times that
// backward); two zones also in proportion to plain attention of the same size. Decoding: GB/s of keys and
// values read once. Products: TFLOP/s, or GB/s of the weight for one row. The rest: GB/s of what has to move.
// Usage: gpu_bench [part of the name of a case]
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "kernels/cuda/cuda.h"
#include "kernels/kernels.h"
#include "tensor/arena.h"

using namespace longspan;

namespace {

struct Bench {
  std::shared_ptr<Device> device = cuda_device(0);
  const Kernels& k = device->kernels();
  std::string_view wanted;

  double seconds(const std::function<void()>& body) {
    using Clock = std::chrono::steady_clock;
    std::vector<double> times;
    for (int warm = 0; warm < 2; ++warm) body();
    device->synchronise();
    double total = 0;
    while (times.size() < 3 || (total < 0.3 && times.size() < 50)) {
      auto start = Clock::now();
      body();
      device->synchronise();
      times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
      total += times.back();
    }
    std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2), times.end());
    return times[times.size() / 2];
  }

  void report(const std::string& name, double seconds, double amount, const char* unit) {
    fmt::print("{:<58}{:>10.3f} ms{:>10.1f} {}\n", name, 1e3 * seconds, amount, unit);
    std::fflush(stdout);
  }

  bool wants(const std::string& name) const { return name.find(wanted) != std::string::npos; }

  /// Normal numbers, of which a million are drawn and repeated.
  Tensor normal(Arena& arena, DType dtype, int64_t rows, int64_t cols) {
    Tensor out = arena.matrix("bench", dtype, rows, cols);
    Random random(static_cast<uint64_t>(rows * 31 + cols));
    int64_t most = std::max<int64_t>(1, (int64_t{1} << 20) / cols);
    std::vector<float> values(static_cast<size_t>(std::min(most, rows) * cols));
    for (float& v : values) v = static_cast<float>(random.normal());
    Arena here(*device);
    Tensor some = here.matrix("bench", DType::F32, std::min(most, rows), cols);
    device->upload(some, std::span<const float>(values));
    for (int64_t r = 0; r < rows; r += some.rows()) {
      int64_t n = std::min(some.rows(), rows - r);
      k.convert(out.slice(r, n), some.slice(0, n));
    }
    device->synchronise();
    return out;
  }

  Tensor ints(Arena& arena, const std::vector<int32_t>& values) {
    Tensor t = arena.vector("bench", DType::I32, std::ssize(values));
    device->upload(t, std::span<const int32_t>(values));
    return t;
  }
};

struct Shape {
  int64_t rows, keys, heads, kv_heads, d;
  std::vector<int64_t> from = {0};
  int64_t documents = 1;
};

struct Attention {
  Bench& b;
  Shape s;
  Arena arena;
  AttentionShape shape;
  std::vector<AttentionZone> zones;
  KvPages values;
  Tensor out, log_sum;

  Attention(Bench& bench, const Shape& of, bool decode) : b(bench), s(of), arena(*bench.device) {
    int64_t pages = (s.keys + kPageTokens - 1) / kPageTokens;
    std::vector<int32_t> table;
    for (int64_t i = 0; i < pages; ++i) table.push_back(static_cast<int32_t>(i));
    Tensor ids = b.ints(arena, table).viewed(DType::I32, 1, pages);
    auto kv = [&] {
      Tensor memory = b.normal(arena, DType::BF16, pages * s.kv_heads * kPageTokens, s.d);
      return KvPages{static_cast<std::byte*>(memory.data),
                     s.kv_heads * kPageTokens * s.d * 2,
                     ids,
                     DType::BF16,
                     s.kv_heads,
                     s.d};
    };
    values = kv();
    for (int64_t from : s.from)
      zones.push_back({from, b.normal(arena, DType::F32, s.rows, s.heads * s.d), kv()});
    shape = {.heads = s.heads,
             .kv_heads = s.kv_heads,
             .head_dim = s.d,
             .sequences = {.count = 1,
                           .rows = b.ints(arena, {0, static_cast<int32_t>(s.rows)}),
                           .past = b.ints(arena, {static_cast<int32_t>(s.keys - s.rows)}),
                           .most_rows = s.rows,
                           .most_keys = s.keys},
             .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(s.d)))};
    if (s.documents > 1) {
      std::vector<int32_t> starts;
      int64_t length = s.rows / s.documents;
      for (int64_t at = 0; at <= s.rows; at += length) shape.documents.push_back(static_cast<int32_t>(at));
      for (int64_t t = 0; t < s.rows; ++t) starts.push_back(static_cast<int32_t>(t / length * length));
      shape.starts = b.ints(arena, starts);
    }
    out = arena.matrix("bench", decode ? DType::F32 : DType::BF16, s.rows, s.heads * s.d);
    log_sum = arena.matrix("bench", DType::F32, s.rows, s.heads);
  }

  double flops() const {
    auto t = static_cast<double>(s.rows), past = static_cast<double>(s.keys - s.rows);
    double pairs = t * past + t * t / 2 / static_cast<double>(s.documents);
    return 4 * static_cast<double>(s.d * s.heads) * pairs;
  }
  std::string name(const char* what) const {
    return fmt::format("{} d={} heads {}/{} rows {} keys {} zones {}{}", what, s.d, s.heads, s.kv_heads,
                       s.rows, s.keys, s.from.size(),
                       s.documents > 1 ? fmt::format(" documents {}", s.documents) : "");
  }
  void forward() { b.k.attention(out, log_sum, zones, values, shape); }
};

void attention_case(Bench& b, const Shape& s, bool backward) {
  if (!b.wants(fmt::format("attention d={}", s.d))) return;
  Attention a(b, s, false);
  double time = b.seconds([&] { a.forward(); });
  b.report(a.name("forward"), time, a.flops() / time / 1e12, "TFLOP/s");
  if (!backward) return;
  Arena& arena = a.arena;
  AttentionGradients g;
  for (size_t z = 0; z < s.from.size(); ++z) {
    g.q[z] = arena.matrix("bench", DType::F32, s.rows, s.heads * s.d);
    g.keys[z] = arena.matrix("bench", DType::F32, s.keys, s.kv_heads * s.d);
  }
  g.values = arena.matrix("bench", DType::F32, s.keys, s.kv_heads * s.d);
  Tensor dout = b.normal(arena, DType::F32, s.rows, s.heads * s.d);
  a.forward();
  time = b.seconds([&] { b.k.attention_backward(g, dout, a.out, a.log_sum, a.zones, a.values, a.shape); });
  b.report(a.name("backward"), time, 2.5 * a.flops() / time / 1e12, "TFLOP/s");
}

void decode_case(Bench& b, int64_t keys, int64_t heads, int64_t kv_heads, int64_t d) {
  if (!b.wants("decode")) return;
  Attention a(b, {.rows = 1, .keys = keys, .heads = heads, .kv_heads = kv_heads, .d = d}, true);
  double time = b.seconds([&] {
    for (int i = 0; i < 10; ++i) a.forward();
  }) / 10;
  double bytes = static_cast<double>(keys * kv_heads * d * 4);
  b.report(a.name("decode"), time, bytes / time / 1e9, "GB/s");
}

void product_case(Bench& b, int64_t rows, int64_t cols, int64_t features, DType type) {
  if (!b.wants("product")) return;
  Arena arena(*b.device);
  Linear w{b.normal(arena, type, features, cols), {}};
  Tensor x = b.normal(arena, b.k.product_dtype(Compute::BF16, rows), rows, cols);
  Tensor out = arena.matrix("bench", DType::F32, rows, features);
  double time = b.seconds([&] { b.k.linear(out, x, w, false); });
  std::string name = fmt::format("product {} x {} x {} {}", rows, cols, features, longspan::name(type));
  if (rows > 1)
    b.report(name, time, 2.0 * static_cast<double>(rows * cols * features) / time / 1e12, "TFLOP/s");
  else
    b.report(name, time, static_cast<double>(w.weight.bytes()) / time / 1e9, "GB/s");
}

void moving_cases(Bench& b) {
  if (!b.wants("moving")) return;
  Arena arena(*b.device);
  int64_t rows = 32768, cols = 2048;
  Tensor x = b.normal(arena, DType::F32, rows, cols), y = b.normal(arena, DType::F32, rows, cols),
         half = arena.matrix("bench", DType::BF16, rows, cols), weight = b.normal(arena, DType::F32, 1, cols),
         out = arena.matrix("bench", DType::F32, rows, cols);
  double n = static_cast<double>(rows * cols);
  auto measure = [&](const char* name, double bytes, const std::function<void()>& body) {
    double time = b.seconds(body);
    b.report(fmt::format("moving {} {} x {}", name, rows, cols), time, bytes * n / time / 1e9, "GB/s");
  };
  measure("copy", 8, [&] { b.device->copy(out.data, x.data, x.bytes()); });
  measure("add", 12, [&] { b.k.add(out, x); });
  measure("rmsnorm", 6, [&] { b.k.rmsnorm(half, x, weight, 1e-5f); });
  measure("gate", 10, [&] { b.k.gate(half, x, y, Activation::Silu); });
  measure("rmsnorm_backward", 16, [&] { b.k.rmsnorm_backward(out, weight, y, x, weight, 1e-5f); });
  measure("convert", 6, [&] { b.k.convert(half, x); });
  Tensor m = b.normal(arena, DType::F32, rows, cols), v = arena.matrix("bench", DType::F32, rows, cols);
  AdamWTensor adam{out, x, m, v, true};
  measure("adamw", 28, [&] { b.k.adamw({&adam, 1}, {.lr = 1e-6}); });
}

}  // namespace

int main(int argc, char** argv) {
  Bench b{.wanted = argc > 1 ? argv[1] : ""};
  moving_cases(b);
  for (auto [rows, cols, features] : {std::tuple{32768, 576, 576},
                                      {32768, 576, 192},
                                      {32768, 576, 1536},
                                      {32768, 1536, 576},
                                      {4096, 576, 49152},
                                      {8192, 2048, 5888},
                                      {8192, 8192, 8192}})
    product_case(b, rows, cols, features, DType::BF16);
  for (DType type : {DType::BF16})
    for (auto [cols, features] : {std::pair{576, 1536}, {576, 49152}, {2048, 5888}, {5120, 13824}})
      product_case(b, 1, cols, features, type);
  constexpr int64_t K = 1024;
  for (int64_t n : {32 * K, 128 * K}) {
    attention_case(b, {n, n, 32, 32, 64}, n <= 128 * K);
    attention_case(b, {n, n, 16, 16, 128}, n <= 128 * K);
  }
  attention_case(b, {32 * K, 32 * K, 9, 3, 64}, true);
  attention_case(b, {32 * K, 32 * K, 9, 3, 64, {0, 2048}}, true);
  attention_case(b, {32 * K, 32 * K, 32, 32, 64, {0, 2048}}, true);
  attention_case(b, {32 * K, 32 * K, 16, 16, 128, {0, 2048}}, true);
  attention_case(b, {32 * K, 32 * K, 9, 3, 64, {0}, 8}, true);
  attention_case(b, {8 * K, 128 * K, 9, 3, 64}, false);
  for (int64_t n : {32 * K, 128 * K, 256 * K}) {
    decode_case(b, n, 9, 3, 64);
    decode_case(b, n, 32, 8, 128);
    decode_case(b, n, 16, 16, 128);
  }
}
