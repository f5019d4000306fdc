// The GPU's operations as if they computed in host memory, so that the bodies which test the CPU's
// implementations test them too: tensors are uploaded, the operation runs, and what it wrote is downloaded. A
// byte written outside the rows of a tensor is found out.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/cuda/cuda.h"
#include "kernels/kernels.h"
#include "tensor/arena.h"

namespace longspan::gpu {

/// GPU 0; null, with the reason printed once, where there is none.
inline const std::shared_ptr<Device>& device() {
  static const std::shared_ptr<Device> found = []() -> std::shared_ptr<Device> {
    std::string why;
    if (count_gpus(why) > 0) return cuda_device(0);
    std::fprintf(stderr, "[          ] no GPU is tested: %s\n", why.c_str());
    return nullptr;
  }();
  return found;
}

/// One call: copies of its tensors on the device, for as long as it lasts.
class Call {
 public:
  Call() : memory_(*device()) {}

  /// A copy of what the operation only reads.
  Tensor in(const Tensor& host) { return mirrored(host, false); }
  /// A copy of what it writes: downloaded by finish().
  Tensor out(const Tensor& host) { return mirrored(host, true); }

  Linear linear(const Linear& w) { return {in(w.weight), in(w.bias)}; }
  Adapter adapter(const Adapter& a) { return {linear(a.a), linear(a.b), a.scale}; }
  RopeTable in(const RopeTable& t) { return {in(t.cos), in(t.sin)}; }
  Sequences sequences(Sequences s) {
    s.rows = in(s.rows), s.past = in(s.past);
    return s;
  }
  AttentionShape shape(AttentionShape s) {
    s.sequences = sequences(s.sequences);
    for (Tensor* t : {&s.positions, &s.starts, &s.slopes, &s.decay}) *t = in(*t);
    return s;
  }
  KvPages pages(KvPages p, bool written) {
    constexpr int32_t kMostPages = 1 << 20;  // entries that no sequence reaches may hold anything
    int32_t last = -1;
    for (int64_t s = 0; p.table && s < p.table.rows(); ++s)
      for (int64_t i = 0; i < p.table.cols(); ++i)
        if (int32_t page = p.table.row<int32_t>(s)[i]; page < kMostPages) last = std::max(last, page);
    int64_t bytes = last < 0 ? 0 : last * p.stride + dtype_bytes(p.dtype, p.heads * kPageTokens * p.head_dim);
    p.memory = static_cast<std::byte*>(mirrored(p.memory, bytes, 1, bytes, bytes, written));
    p.table = in(p.table);
    return p;
  }
  std::vector<AttentionZone> zones(std::span<const AttentionZone> host) {
    std::vector<AttentionZone> all;
    for (const AttentionZone& z : host) all.push_back({z.from, in(z.q), pages(z.keys, false)});
    return all;
  }

  void finish() {
    for (const Copy& c : copies_) {
      if (!c.written || c.bytes == 0) continue;
      std::vector<std::byte> now(static_cast<size_t>(c.bytes));
      device()->download(now.data(), c.device, c.bytes);
      for (int64_t r = 0; r < c.rows; ++r) {
        int64_t at = r * c.stride, end = r + 1 < c.rows ? at + c.stride : c.bytes;
        EXPECT_EQ(std::memcmp(now.data() + at + c.row_bytes, c.before.data() + at + c.row_bytes,
                              static_cast<size_t>(end - at - c.row_bytes)),
                  0)
            << "bytes between rows were written";
        std::memcpy(static_cast<std::byte*>(c.host) + at, now.data() + at, static_cast<size_t>(c.row_bytes));
      }
    }
  }

 private:
  struct Copy {
    void *host, *device;
    int64_t bytes, rows, row_bytes, stride;
    bool written;
    std::vector<std::byte> before;
  };

  Tensor mirrored(const Tensor& host, bool written) {
    if (!host) {
      Tensor none = host;
      none.device = host.dims > 0 ? device().get() : nullptr;
      return none;
    }
    int64_t row = dtype_bytes(host.dtype, host.cols()), rows = host.rows();
    Tensor t = host;
    t.data = mirrored(host.data, rows > 0 ? (rows - 1) * host.row_stride + row : 0, rows, row,
                      host.row_stride, written);
    t.device = device().get();
    return t;
  }

  /// Tensors at one address share a copy.
  void* mirrored(void* host, int64_t bytes, int64_t rows, int64_t row_bytes, int64_t stride, bool written) {
    for (Copy& c : copies_)
      if (c.host == host && c.bytes == bytes && c.stride == stride) {
        c.written |= written;
        return c.device;
      }
    void* data = memory_.allocate("test", std::max<int64_t>(bytes, 1) + 256);
    std::vector<std::byte> before(static_cast<size_t>(bytes));
    if (bytes > 0) std::memcpy(before.data(), host, before.size());
    device()->upload(data, before.data(), bytes);
    copies_.push_back({host, data, bytes, rows, row_bytes, stride, written, std::move(before)});
    return data;
  }

  Arena memory_;
  std::vector<Copy> copies_;
};

inline const Kernels& raw() { return device()->kernels(); }

/// The table; only where device() is not null.
inline const Kernels& kernels_through_host() {
  static const Kernels table = {
      .name = "cuda",
      .description = "the GPU, through host memory",
      .on_host = true,
      .preferred = raw().preferred,
      .supported = [] { return true; },
      .product_dtype = raw().product_dtype,
      .convert =
          [](Tensor out, Tensor x) {
            Call c;
            raw().convert(c.out(out), c.in(x));
            c.finish();
          },
      .split =
          [](Tensor high, Tensor low, Tensor x) {
            Call c;
            raw().split(c.out(high), c.out(low), c.in(x));
            c.finish();
          },
      .gather =
          [](Tensor out, Tensor x, Tensor rows) {
            Call c;
            raw().gather(c.out(out), c.in(x), c.in(rows));
            c.finish();
          },
      .scatter =
          [](Tensor out, Tensor x, Tensor rows) {
            Call c;
            raw().scatter(c.out(out), c.in(x), c.in(rows));
            c.finish();
          },
      .fill =
          [](Tensor x, float value) {
            Call c;
            raw().fill(c.out(x), value);
            c.finish();
          },
      .add =
          [](Tensor to, Tensor x) {
            Call c;
            raw().add(c.out(to), c.in(x));
            c.finish();
          },
      .scale =
          [](Tensor x, float factor, Tensor factors) {
            Call c;
            raw().scale(c.out(x), factor, c.in(factors));
            c.finish();
          },
      .axpby =
          [](Tensor x, float a, Tensor y, float b) {
            Call c;
            raw().axpby(c.out(x), a, c.in(y), b);
            c.finish();
          },
      .soft_cap =
          [](Tensor x, float cap) {
            Call c;
            raw().soft_cap(c.out(x), cap);
            c.finish();
          },
      .gate =
          [](Tensor out, Tensor gate, Tensor up, Activation activation) {
            Call c;
            raw().gate(c.out(out), c.in(gate), c.in(up), activation);
            c.finish();
          },
      .gelu =
          [](Tensor out, Tensor x) {
            Call c;
            raw().gelu(c.out(out), c.in(x));
            c.finish();
          },
      .embed =
          [](Tensor out, Tensor table, Tensor ids) {
            Call c;
            raw().embed(c.out(out), c.in(table), c.in(ids));
            c.finish();
          },
      .rmsnorm =
          [](Tensor out, Tensor x, Tensor weight, float eps) {
            Call c;
            raw().rmsnorm(c.out(out), c.in(x), c.in(weight), eps);
            c.finish();
          },
      .layernorm =
          [](Tensor out, Tensor x, Tensor weight, Tensor bias, float eps) {
            Call c;
            raw().layernorm(c.out(out), c.in(x), c.in(weight), c.in(bias), eps);
            c.finish();
          },
      .linear =
          [](Tensor out, Tensor x, const Linear& w, bool accumulate) {
            Call c;
            raw().linear(c.out(out), c.in(x), c.linear(w), accumulate);
            c.finish();
          },
      .low_rank =
          [](Tensor out, Tensor low, Tensor x, const Adapter& adapter) {
            Call c;
            raw().low_rank(c.out(out), c.out(low), c.in(x), c.adapter(adapter));
            c.finish();
          },
      .merge =
          [](Tensor w, const Adapter& adapter) {
            Call c;
            raw().merge(c.out(w), c.adapter(adapter));
            c.finish();
          },
      .packed_bytes = raw().packed_bytes,
      .rope_table =
          [](const RopeTable& table, Tensor positions, const Rotation& rotation, double scale) {
            Call c;
            raw().rope_table({c.out(table.cos), c.out(table.sin)}, c.in(positions), rotation, scale);
            c.finish();
          },
      .rope =
          [](Tensor x, const RopeTable& table, int64_t heads, int64_t head_dim, Turn turn) {
            Call c;
            raw().rope(c.out(x), c.in(table), heads, head_dim, turn);
            c.finish();
          },
      .hadamard =
          [](Tensor x, int64_t heads, int64_t head_dim) {
            Call c;
            raw().hadamard(c.out(x), heads, head_dim);
            c.finish();
          },
      .store_kv =
          [](const KvPages& pages, Tensor x, const Sequences& sequences) {
            Call c;
            raw().store_kv(c.pages(pages, true), c.in(x), c.sequences(sequences));
            c.finish();
          },
      .attention =
          [](Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
             const AttentionShape& shape) {
            Call c;
            raw().attention(c.out(out), c.out(log_sum), c.zones(zones), c.pages(values, false),
                            c.shape(shape));
            c.finish();
          },
      .attention_weights =
          [](Tensor out, std::span<const AttentionZone> zones, const AttentionShape& shape, Tensor rows) {
            Call c;
            raw().attention_weights(c.out(out), c.zones(zones), c.shape(shape), c.in(rows));
            c.finish();
          },
      .log_prob =
          [](Tensor out, Tensor x, Tensor targets) {
            Call c;
            raw().log_prob(c.out(out), c.in(x), c.in(targets));
            c.finish();
          },
      .attention_backward =
          [](const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
             std::span<const AttentionZone> zones, const KvPages& values, const AttentionShape& shape) {
            Call c;
            AttentionGradients g;
            for (size_t z = 0; z < zones.size(); ++z)
              g.q[z] = c.out(gradients.q[z]), g.keys[z] = c.out(gradients.keys[z]);
            g.values = c.out(gradients.values);
            raw().attention_backward(g, c.in(dout), c.in(out), c.in(log_sum), c.zones(zones),
                                     c.pages(values, false), c.shape(shape));
            c.finish();
          },
      .embed_backward =
          [](Tensor dtable, Tensor dout, Tensor ids) {
            Call c;
            raw().embed_backward(c.out(dtable), c.in(dout), c.in(ids));
            c.finish();
          },
      .rmsnorm_backward =
          [](Tensor dx, Tensor dweight, Tensor dout, Tensor x, Tensor weight, float eps) {
            Call c;
            raw().rmsnorm_backward(c.out(dx), c.out(dweight), c.in(dout), c.in(x), c.in(weight), eps);
            c.finish();
          },
      .linear_input_gradient =
          [](Tensor dx, Tensor dout, const Linear& w, bool accumulate) {
            Call c;
            raw().linear_input_gradient(c.out(dx), c.in(dout), c.linear(w), accumulate);
            c.finish();
          },
      .linear_weight_gradient =
          [](Tensor dweight, Tensor dbias, Tensor dout, Tensor x) {
            Call c;
            raw().linear_weight_gradient(c.out(dweight), c.out(dbias), c.in(dout), c.in(x));
            c.finish();
          },
      .gate_backward =
          [](Tensor dgate, Tensor dup, Tensor dout, Tensor gate, Tensor up, Activation activation) {
            Call c;
            raw().gate_backward(c.out(dgate), c.out(dup), c.in(dout), c.in(gate), c.in(up), activation);
            c.finish();
          },
      .cross_entropy =
          [](Tensor loss, Tensor logits, Tensor targets, Tensor weights, double scale) {
            Call c;
            raw().cross_entropy(c.out(loss), c.out(logits), c.in(targets), c.in(weights), scale);
            c.finish();
          },
      .divergence =
          [](Tensor loss, Tensor logits, Tensor original, Tensor weights, double scale) {
            Call c;
            raw().divergence(c.out(loss), c.out(logits), c.in(original), c.in(weights), scale);
            c.finish();
          },
      .adamw =
          [](std::span<const AdamWTensor> tensors, const AdamW& settings) {
            Call c;
            std::vector<AdamWTensor> all;
            for (const AdamWTensor& t : tensors)
              all.push_back({c.out(t.value), c.in(t.gradient), c.out(t.m), c.out(t.v), t.decays});
            raw().adamw(all, settings);
            c.finish();
          },
      .sum_of_squares =
          [](Tensor sum, std::span<const Tensor> x) {
            Call c;
            std::vector<Tensor> all;
            for (const Tensor& t : x) all.push_back(c.in(t));
            raw().sum_of_squares(c.out(sum), all);
            c.finish();
          },
      .fused_rows = raw().fused_rows,
      .norm_linear =
          [](std::span<const Projection> projections, Tensor x, Tensor norm, float eps) {
            Call c;
            std::vector<Linear> weights;
            for (const Projection& p : projections) weights.push_back(c.linear(*p.w));
            std::vector<Projection> all;
            for (size_t i = 0; i < projections.size(); ++i)
              all.push_back({c.out(projections[i].out), &weights[i]});
            raw().norm_linear(all, c.in(x), c.in(norm), eps);
            c.finish();
          },
      .norm_gate =
          [](Tensor out, Tensor x, Tensor norm, float eps, const Linear& gate, const Linear& up,
             Activation activation) {
            Call c;
            raw().norm_gate(c.out(out), c.in(x), c.in(norm), eps, c.linear(gate), c.linear(up), activation);
            c.finish();
          },
      .rope_store =
          [](Tensor q, Tensor k, Tensor v, const RopeTable& queries, const RopeTable& keys,
             const KvPages& key_pages, const KvPages& value_pages, const Sequences& sequences) {
            Call c;
            raw().rope_store(c.out(q), c.in(k), c.in(v), c.in(queries), c.in(keys), c.pages(key_pages, true),
                             c.pages(value_pages, true), c.sequences(sequences));
            c.finish();
          },
  };
  return table;
}

}  // namespace longspan::gpu
