#include "model/encoder.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/error.h"

namespace longspan {

namespace {

/// Rows are padded to a multiple of this, because a product of a new number of rows has to be prepared first.
constexpr int64_t kRowStep = 16;

int64_t padded(int64_t rows) { return (rows + kRowStep - 1) / kRowStep * kRowStep; }

/// What one pass has on the device.
struct Pass {
  const Encoder& encoder;
  EncoderBuffers& b;
  int64_t rows;    // of the texts
  int64_t padded;  // of the products
  AttentionShape shape;
  KvPages keys, values;

  const Kernels& k() const { return encoder.kernels(); }

  /// The factors of x [padded, n] as products read them.
  Tensor factors(const Tensor& x) const {
    int64_t n = x.cols();
    switch (encoder.factors) {
      case Factors::F32:
        return x;
      case Factors::BF16: {
        if (x.dtype == DType::BF16) return x;
        Tensor rounded = b.input.viewed(DType::BF16, padded, n);
        k().convert(rounded, x);
        return rounded;
      }
      case Factors::Split:
        break;
    }
    Tensor parts = b.input.viewed(DType::BF16, padded, 3 * n);
    k().split(parts.columns(0, n), parts.columns(n, n), x);
    k().convert(parts.columns(2 * n, n), parts.columns(0, n));
    return parts;
  }

  void normalise(const LayerNorm& norm) const {
    Tensor x = b.x.slice(0, padded);
    k().layernorm(x, x, norm.weight, norm.bias, encoder.config.layer_norm_eps);
  }

  void attend(const EncoderLayer& layer) const {
    Tensor x = b.x.slice(0, padded), in = factors(x);
    Tensor q = b.q.slice(0, padded), key = b.k.slice(0, padded), value = b.v.slice(0, padded);
    k().linear(q, in, layer.q, false);
    k().linear(key, in, layer.k, false);
    k().linear(value, in, layer.v, false);
    k().store_kv(keys, key.slice(0, rows), shape.sequences);
    k().store_kv(values, value.slice(0, rows), shape.sequences);
    DType dtype = encoder.factors == Factors::BF16 ? DType::BF16 : DType::F32;
    Tensor attended = b.attended.viewed(dtype, padded, x.cols());
    AttentionZone zone{0, q.slice(0, rows), keys};
    k().attention(attended.slice(0, rows), {}, std::span(&zone, 1), values, shape);
    k().linear(x, factors(attended), layer.o, true);
    normalise(layer.attn_norm);
  }

  void mlp(const EncoderLayer& layer) const {
    Tensor x = b.x.slice(0, padded), up = b.mlp.slice(0, padded);
    k().linear(up, factors(x), layer.up, false);
    Tensor active = encoder.factors == Factors::BF16 ? b.input.viewed(DType::BF16, padded, up.cols()) : up;
    k().gelu(active, up);
    k().linear(x, factors(active), layer.down, true);
    normalise(layer.mlp_norm);
  }
};

/// Ids, positions and page tables of the texts.
struct HostRows {
  std::vector<int32_t> ids, places, first{0}, past, table;
  int64_t most = 0, columns = 0;
};

HostRows rows_of(std::span<const std::span<const int32_t>> texts, const EncoderConfig& config,
                 const EncoderBuffers& b) {
  HostRows rows;
  for (const auto& text : texts) {
    for (int32_t id : text)
      if (id < 0 || id >= config.vocab_size)
        fail("token id {} is outside the vocabulary of {}", id, config.vocab_size);
    rows.ids.insert(rows.ids.end(), text.begin(), text.end());
    for (size_t i = 0; i < text.size(); ++i) rows.places.push_back(static_cast<int32_t>(i));
    rows.first.push_back(static_cast<int32_t>(rows.ids.size()));
    rows.past.push_back(0);
    rows.most = std::max(rows.most, std::ssize(text));
  }
  rows.columns = (rows.most + kPageTokens - 1) / kPageTokens;
  int32_t next = 0;
  for (const auto& text : texts)
    for (int64_t i = 0; i < rows.columns; ++i)
      rows.table.push_back(i * kPageTokens < std::ssize(text) ? next++ : 0);
  assert(next <= b.pages);
  rows.ids.resize(static_cast<size_t>(padded(std::ssize(rows.ids))));
  rows.places.resize(rows.ids.size());
  return rows;
}

KvPages pages(const Tensor& memory, const Tensor& table, const EncoderConfig& c) {
  return {.memory = static_cast<std::byte*>(memory.data),
          .stride = memory.row_stride,
          .table = table,
          .dtype = DType::F32,
          .heads = c.num_attention_heads,
          .head_dim = c.head_dim()};
}

}  // namespace

EncoderBuffers make_encoder_buffers(const Encoder& encoder, int64_t rows) {
  assert(rows > 0);
  const EncoderConfig& c = encoder.config;
  int64_t C = c.hidden_size, F = c.intermediate_size, T = padded(rows);
  EncoderBuffers b;
  b.rows = rows;
  b.pages = rows / kPageTokens + kMostTexts;
  b.memory = Arena(*encoder.device);
  auto matrix = [&](const char* label, DType dtype, int64_t r, int64_t n) {
    return b.memory.matrix(label, dtype, r, n);
  };
  b.x = matrix("encoder residual", DType::F32, T, C);
  if (encoder.factors != Factors::F32)
    b.input = matrix("encoder factors", DType::BF16, T,
                     (encoder.factors == Factors::Split ? 3 : 1) * std::max(C, F));
  b.q = matrix("encoder q", DType::F32, T, C);
  b.k = matrix("encoder k", DType::F32, T, C);
  b.v = matrix("encoder v", DType::F32, T, C);
  b.attended = matrix("encoder attended", DType::F32, T, C);
  b.mlp = matrix("encoder mlp", DType::F32, T, F);
  b.ids = matrix("encoder ids", DType::I32, 1, T);
  b.places = matrix("encoder places", DType::I32, 1, T);
  b.first = matrix("encoder first rows", DType::I32, 1, kMostTexts + 1);
  b.past = matrix("encoder past", DType::I32, 1, kMostTexts);
  int64_t columns = (c.max_position_embeddings + kPageTokens - 1) / kPageTokens;
  b.table = matrix("encoder pages", DType::I32, kMostTexts, columns);
  b.keys = matrix("encoder keys", DType::F32, b.pages, C * kPageTokens);
  b.values = matrix("encoder values", DType::F32, b.pages, C * kPageTokens);
  b.wanted = matrix("encoder rows", DType::I32, 1, kMostTexts);
  b.picked = matrix("encoder picked", DType::F32, kMostTexts, C);
  return b;
}

Tensor encode(const Encoder& encoder, std::span<const std::span<const int32_t>> texts, EncoderBuffers& b) {
  const EncoderConfig& c = encoder.config;
  const Kernels& k = encoder.kernels();
  assert(!texts.empty() && std::ssize(texts) <= kMostTexts);
  HostRows rows = rows_of(texts, c, b);
  int64_t count = rows.first.back(), all = std::ssize(rows.ids);
  assert(count <= b.rows && rows.most > 0 && rows.most <= c.max_position_embeddings);
  auto put = [&](const Tensor& memory, const std::vector<int32_t>& values) {
    Tensor t = memory.viewed(DType::I32, std::ssize(values));
    encoder.device->upload(t, std::span<const int32_t>(values));
    return t;
  };
  Sequences sequences{.count = std::ssize(texts),
                      .rows = put(b.first, rows.first),
                      .past = put(b.past, rows.past),
                      .most_rows = rows.most,
                      .most_keys = rows.most};
  Tensor table = b.table.viewed(DType::I32, std::ssize(texts), rows.columns);
  encoder.device->upload(table, std::span<const int32_t>(rows.table));
  Pass pass{.encoder = encoder,
            .b = b,
            .rows = count,
            .padded = all,
            .shape = {.heads = c.num_attention_heads,
                      .kv_heads = c.num_attention_heads,
                      .head_dim = c.head_dim(),
                      .sequences = sequences,
                      .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c.head_dim()))),
                      .causal = false},
            .keys = pages(b.keys, table, c),
            .values = pages(b.values, table, c)};
  Tensor x = b.x.slice(0, all), places = b.q.slice(0, all);
  k.embed(x, encoder.words, put(b.ids, rows.ids));
  k.embed(places, encoder.positions, put(b.places, rows.places));
  k.add(x, places);
  pass.normalise(encoder.norm);
  for (const EncoderLayer& layer : encoder.layers) {
    pass.attend(layer);
    pass.mlp(layer);
  }
  return b.x.slice(0, count);
}

Tensor pick_rows(const Encoder& encoder, Tensor hidden, std::span<const int32_t> rows, EncoderBuffers& b) {
  assert(std::ssize(rows) <= kMostTexts);
  Tensor which = b.wanted.viewed(DType::I32, std::ssize(rows));
  encoder.device->upload(which, rows);
  Tensor out = b.picked.slice(0, std::ssize(rows));
  encoder.kernels().gather(out, hidden, which);
  return out;
}

}  // namespace longspan
