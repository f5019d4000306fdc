// The encoder: every token of a text sees all others, in one pass over the same vocabulary of operations as
// the decoder's. A batch holds several texts, one behind the other without padding; each attends to its own
// rows. Products in F32 run as products of two BF16 parts where the processor multiplies BF16
// (Kernels::split): the parts lie one behind the other in a row, so that one product of three times the
// length gives their sum.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "model/encoder_config.h"
#include "tensor/arena.h"

namespace longspan {

/// How the factors of products are written: whole in F32; as high, low and high against high, high and low in
/// BF16, within 1e-5 of F32; or once in BF16.
enum class Factors : uint8_t { F32, Split, BF16 };

struct LayerNorm {
  Tensor weight, bias;  // [C] F32
};

struct EncoderLayer {
  Linear q, k, v, o;  // [C, C], or [C, 3C] where factors are split
  LayerNorm attn_norm;
  Linear up, down;  // [F, C], [C, F], or three times as long
  LayerNorm mlp_norm;
};

struct Encoder {
  std::shared_ptr<Device> device;  // ends after everything that it holds
  EncoderConfig config;
  Factors factors = Factors::F32;
  Tensor words;      // [V, C]
  Tensor positions;  // [max_position_embeddings, C] F32, with the row of token type 0 added
  LayerNorm norm;
  std::vector<EncoderLayer> layers;
  Arena memory;

  const Kernels& kernels() const { return device->kernels(); }
};

/// Error naming file and tensor when one is missing, of the wrong shape, unknown, or holds NaN.
Encoder load_encoder(const Checkpoint& checkpoint, const EncoderConfig& config,
                     std::shared_ptr<Device> device, Compute compute);

/// Memory of a pass, made once for at most `rows` tokens of at most kMostTexts texts.
struct EncoderBuffers {
  int64_t rows = 0, pages = 0;
  Tensor x;               // [T, C] F32: residual, normalised
  Tensor input;           // [T, widest input of a product]: its factors
  Tensor q, k, v;         // [T, C] F32
  Tensor attended;        // [T, C] F32 or BF16
  Tensor mlp;             // [T, F] F32
  Tensor ids, places;     // [T] I32
  Tensor first, past;     // [S + 1], [S] I32
  Tensor table;           // [S, P] I32
  Tensor keys, values;    // pages of one layer, which all layers use
  Tensor wanted, picked;  // [S] I32, [S, C] F32
  Arena memory;
};
constexpr int64_t kMostTexts = 128;
EncoderBuffers make_encoder_buffers(const Encoder& encoder, int64_t rows);

/// Runs texts of 1 to max_position_embeddings ids, at most b.rows ids together, through all layers. Returns
/// [T, C] F32, the rows of the texts one behind the other: a view into `b`, valid until the next call. Error
/// names an id outside the vocabulary.
Tensor encode(const Encoder& encoder, std::span<const std::span<const int32_t>> texts, EncoderBuffers& b);

/// Row rows[i] of what encode returned, for i < kMostTexts: [n, C] F32, a view into `b`.
Tensor pick_rows(const Encoder& encoder, Tensor hidden, std::span<const int32_t> rows, EncoderBuffers& b);

}  // namespace longspan
