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
#include <memory>
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
  DType cache = DType::BF16;
  int64_t sequences = 1;  // of as many rows and keys each
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
    int64_t of_each = (s.keys + kPageTokens - 1) / kPageTokens, pages = s.sequences * of_each;
    std::vector<int32_t> table, firsts;
    for (int64_t i = 0; i < pages; ++i) table.push_back(static_cast<int32_t>(i));
    for (int64_t i = 0; i <= s.sequences; ++i) firsts.push_back(static_cast<int32_t>(i * s.rows));
    std::vector<int32_t> pasts(static_cast<size_t>(s.sequences), static_cast<int32_t>(s.keys - s.rows));
    Tensor ids = b.ints(arena, table).viewed(DType::I32, s.sequences, of_each);
    auto kv = [&] {
      Tensor memory = arena.matrix("bench", s.cache, pages * s.kv_heads * kPageTokens, s.d);
      KvPages view{static_cast<std::byte*>(memory.data),
                   memory.bytes() / pages,
                   ids.viewed(DType::I32, 1, pages),
                   s.cache,
                   s.kv_heads,
                   s.d};
      Arena temporary(*b.device);
      int64_t tokens = pages * kPageTokens;
      b.k.store_kv(view, b.normal(temporary, DType::F32, tokens, s.kv_heads * s.d),
                   {.count = 1,
                    .rows = b.ints(temporary, {0, static_cast<int32_t>(tokens)}),
                    .past = b.ints(temporary, {0}),
                    .most_rows = tokens,
                    .most_keys = tokens});
      b.device->synchronise();
      view.table = ids;
      return view;
    };
    values = kv();
    for (int64_t from : s.from)
      zones.push_back({from, b.normal(arena, DType::F32, s.sequences * s.rows, s.heads * s.d), kv()});
    shape = {.heads = s.heads,
             .kv_heads = s.kv_heads,
             .head_dim = s.d,
             .sequences = {.count = s.sequences,
                           .rows = b.ints(arena, firsts),
                           .past = b.ints(arena, pasts),
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
    out = arena.matrix("bench", decode ? DType::F32 : DType::BF16, s.sequences * s.rows, s.heads * s.d);
    log_sum = arena.matrix("bench", DType::F32, s.sequences * s.rows, s.heads);
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

struct Decode {
  int64_t keys, heads, kv_heads, d;
  DType cache = DType::BF16;
  int64_t sequences = 1;
};

/// One row of each sequence, replayed from a recording as decoding does; layers enough that their caches do
/// not stay in L2.
void decode_case(Bench& b, const Decode& c) {
  if (!b.wants("decode")) return;
  auto bytes = static_cast<double>(2 * dtype_bytes(c.cache, c.sequences * c.keys * c.kv_heads * c.d));
  auto layers = std::max<int64_t>(1, static_cast<int64_t>(256e6 / bytes));
  std::vector<std::unique_ptr<Attention>> all;
  for (int64_t i = 0; i < layers; ++i)
    all.push_back(std::make_unique<Attention>(b,
                                              Shape{.rows = 1,
                                                    .keys = c.keys,
                                                    .heads = c.heads,
                                                    .kv_heads = c.kv_heads,
                                                    .d = c.d,
                                                    .cache = c.cache,
                                                    .sequences = c.sequences},
                                              true));
  static int64_t recordings = 0;
  const int64_t key[] = {recordings++};
  const int64_t calls = std::max<int64_t>(10, layers);
  double time = b.seconds([&] {
    b.device->replay(key, [&] {
      for (int64_t i = 0; i < calls; ++i) all[static_cast<size_t>(i % layers)]->forward();
    });
  });
  time /= static_cast<double>(calls);
  b.report(fmt::format("{} {} sequences {}", all[0]->name("decode"), name(c.cache), c.sequences), time,
           bytes / time / 1e9, "GB/s");
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

/// The fused halves of a layer: GB/s of the weights.
void fused_case(Bench& b, int64_t rows, int64_t cols, int64_t q, int64_t kv, int64_t features, DType type) {
  if (!b.wants("fused")) return;
  Arena arena(*b.device);
  auto linear = [&](int64_t n) { return Linear{b.normal(arena, type, n, cols), {}}; };
  Linear of_q = linear(q), of_k = linear(kv), of_v = linear(kv), gate = linear(features),
         up = linear(features);
  Tensor x = b.normal(arena, DType::F32, rows, cols), norm = b.normal(arena, DType::F32, 1, cols);
  auto out = [&](int64_t n) { return arena.matrix("bench", DType::F32, rows, n); };
  const std::vector<Projection> heads{{out(q), &of_q}, {out(kv), &of_k}, {out(kv), &of_v}};
  Tensor mlp = out(features);
  // Repeated, so that the launch is hidden and the kernel remains.
  auto measure = [&](const char* what, int64_t outputs, const std::function<void()>& body) {
    double time = b.seconds([&] {
      for (int i = 0; i < 20; ++i) body();
    }) / 20;
    auto bytes = static_cast<double>(outputs * dtype_bytes(type, cols));
    b.report(fmt::format("fused {} {} x {} x {} {}", what, rows, cols, outputs, longspan::name(type)), time,
             bytes / time / 1e9, "GB/s");
  };
  measure("norm_linear", q + 2 * kv, [&] { b.k.norm_linear(heads, x, norm, 1e-5f); });
  measure("norm_gate", 2 * features, [&] { b.k.norm_gate(mlp, x, norm, 1e-5f, gate, up, Activation::Silu); });
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
  for (int64_t rows : {1, 8}) {
    fused_case(b, rows, 576, 576, 192, 1536, DType::BF16);
    fused_case(b, rows, 2048, 2048, 512, 5888, DType::BF16);
    fused_case(b, rows, 5120, 5120, 1024, 13824, DType::BF16);
  }
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
    decode_case(b, {n, 9, 3, 64});
    decode_case(b, {n, 32, 8, 128});
    decode_case(b, {n, 16, 16, 128});
    decode_case(b, {n, 9, 3, 64, DType::F16});
    decode_case(b, {n, 32, 8, 128, DType::F16});
    for (DType type : {DType::Q8_0, DType::Q4_0}) {
      decode_case(b, {n, 9, 3, 64, type});
      decode_case(b, {n, 32, 8, 128, type});
    }
  }
  for (DType type : {DType::BF16, DType::F16}) {
    decode_case(b, {8 * K, 9, 3, 64, type, 16});
    decode_case(b, {8 * K, 32, 8, 128, type, 16});
  }
}
