// The vocabulary: every operation the models use, as a table of functions. Each implementation fills one
// table; reference is plain loops and is the specification the others are tested against.
//
// Letters: T tokens, H query heads, K key/value heads, D head size, C hidden size, F feed-forward size, V
// vocabulary, N output features. Outputs come first. Activations are F32 or BF16 (the tensor says which);
// sums are kept in F32. Sizes are the caller's duty (asserted); nothing here throws except for lack of
// memory.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace longspan {

/// Precision of dense products and of the activations that feed them.
enum class Compute : uint8_t { F32, BF16 };

/// A dense layer: y = x W^T + b. `packed` is what an implementation made of the weight for itself at first
/// use (or at prepare): derived data, owned here so that it lives and dies with the weight.
struct Linear {
  Tensor weight;  // [N, C], any dtype of the table in dtype.h
  Tensor bias;    // [N] F32, or null
  mutable std::shared_ptr<void> packed;

  explicit operator bool() const { return static_cast<bool>(weight); }
};

/// cos and sin of the angles of T positions, made once a forward pass and shared by its layers; both are
/// already multiplied by the method's attention scale.
struct RopeTable {
  Tensor cos;  // [T, rotary/2] F32
  Tensor sin;  // [T, rotary/2] F32
};

/// One layer's keys or values of one sequence: pages of kPageTokens tokens; a page holds [K, kPageTokens, D]
/// contiguous, so one head's keys within a page are one stream.
constexpr int64_t kPageTokens = 256;
struct KvPages {
  std::span<void* const> pages;
  DType dtype = DType::F32;  // F32, F16, BF16
  int64_t heads = 0;         // K
  int64_t head_dim = 0;      // D
};

/// One range of distances of attention, with queries and keys rotated for it (FlagAttention's piecewise
/// operator is two of them). Zones may share pages.
struct AttentionZone {
  int64_t from = 0;  // distance r belongs to the last zone with from <= r; negative distances to the first
  Tensor q;          // [T, H * D] F32
  KvPages keys;
};
constexpr int64_t kMaxAttentionZones = 3;

/// Query t and key n stand at positions[past + t] and positions[n] (their indices where positions is empty);
/// the distance is the difference. Query t sees keys starts[t] <= n <= past + t, bottom-right aligned: past
/// may be negative, and a query without any visible key gives zeros.
struct AttentionShape {
  int64_t heads = 0;     // H
  int64_t kv_heads = 0;  // K, divides H
  int64_t head_dim = 0;  // D, any size; multiples of 16 are fast
  int64_t past = 0;      // keys before the first query's own: there are past + T keys
  float scale = 1.0f;    // multiplies q.k
  int64_t window = 0;    // sliding window: only distances below it are seen; 0 is no window
  bool causal = true;    // false: every query sees all keys from starts[t]
  int64_t chunk = 0;  // zones count distance in tokens (0) or in chunks: floor(m / chunk) - floor(n / chunk)
  // [past + T], not falling within a document; whole numbers below 2^24 are exact
  std::span<const float> positions{};
  std::span<const int64_t> starts{};  // [T] first key of the query's document, not falling; empty: 0
  std::span<const float> slopes{};    // [H] ALiBi: slopes[h] times the distance is subtracted from the score
  std::span<const float> decay{};  // [D] xPos: product i of q.k is multiplied by exp(decay[i] distance), <= 0
};

/// What attention_backward writes: gradients of each zone's q [T, H * D] and keys [past + T, K * D], and of
/// values [past + T, K * D], all F32.
struct AttentionGradients {
  std::array<Tensor, kMaxAttentionZones> q, keys;
  Tensor values;
};

struct AdamW {
  double lr = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, decay = 0;
  double scale = 1;  // of the gradient: clipping
  int64_t step = 1;
};

struct Kernels {
  const char* name;         // "reference", "avx2", "avx512", "avx512_bf16"
  const char* description;  // for --help and info
  bool (*supported)();      // by this processor

  /// out[t] = table[ids[t]], dequantised.  out [T, C] F32; table [V, C] any dtype.
  void (*embed)(Tensor out, Tensor table, std::span<const int32_t> ids);

  /// out = x * rsqrt(mean(x^2) + eps) * weight.  x [T, C] F32; weight [C] F32; out [T, C] F32 or BF16 (Zhang
  /// 2019).
  void (*rmsnorm)(Tensor out, Tensor x, Tensor weight, float eps);

  /// out = x W^T + b, or out += when accumulate.  x [T, C] F32 or BF16; out [T, N] F32.
  /// F32 x gives F32 precision at any T; BF16 x lets W be rounded to BF16.
  void (*linear)(Tensor out, Tensor x, const Linear& w, bool accumulate);

  /// Bytes of packed data that `linear` will make of w when products of many rows run in `compute`; 0 if it
  /// reads W as it lies.
  int64_t (*packed_bytes)(const Linear& w, Compute compute);

  /// Rotates x in place, rotate-half pairing: (x_i, x_{i+r/2}) by the angle of frequency i, r the rotary
  /// size; dimensions beyond r stay.  x [T, heads * D] F32 (Su 2021, arXiv 2104.09864; layout of HF Llama).
  void (*rope)(Tensor x, const RopeTable& table, int64_t heads, int64_t head_dim);

  /// Writes T rows of one layer's keys (or values) into pages at positions past .. past + T - 1, converting
  /// to the cache's dtype.  x [T, K * D] F32.
  void (*store_kv)(const KvPages& pages, Tensor x, int64_t past);

  /// out[t, h] = softmax_n(scale q[t, h] . k[n, h / (H/K)]) v[n], over the visible n, q and k those of the
  /// zone of their distance.  out [T, H * D] F32 or BF16; log_sum [T, H] F32 or null: ln of the sum of
  /// exp(scores), -inf for a row that sees nothing. Online softmax over tiles (Milakov 2018; Dao 2023, arXiv
  /// 2307.08691).
  void (*attention)(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                    const AttentionShape& shape);

  /// Gradients of attention, overwritten; dout [T, H * D] F32, out (F32 or BF16) and log_sum as attention
  /// wrote them. p = exp(s - log_sum), ds = p (dout . v - dout . out) scale, in the zone of each pair (Dao
  /// 2022, arXiv 2205.14135).
  void (*attention_backward)(const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
                             std::span<const AttentionZone> zones, const KvPages& values,
                             const AttentionShape& shape);

  /// out = silu(gate) * up.  gate, up [T, F] F32 (rows may be strided); out [T, F] F32 or BF16 (Shazeer
  /// 2020).
  void (*swiglu)(Tensor out, Tensor gate, Tensor up);

  /// log softmax at one index a row: out[t] = x[t, target[t]] - logsumexp(x[t]).  x [T, V] F32; out [T] F32.
  void (*log_prob)(Tensor out, Tensor x, std::span<const int32_t> targets);

  // Backward: a gradient is named d and what it belongs to. Gradients of weights are added to (a batch is
  // many passes), gradients of activations overwritten unless said otherwise. Results do not depend on the
  // number of threads: a run that is resumed elsewhere gives the same bits.

  /// dtable[ids[t]] += dout[t].  dtable [V, C], dout [T, C] F32.
  void (*embed_backward)(Tensor dtable, Tensor dout, std::span<const int32_t> ids);

  /// dx += r (w dout - x r^2 mean(w dout x)), r = rsqrt(mean(x^2) + eps); dweight += sum_t dout x r. dx [T,
  /// C], dout [T, C], x [T, C] F32; dweight [C] F32 or null.
  void (*rmsnorm_backward)(Tensor dx, Tensor dweight, Tensor dout, Tensor x, Tensor weight, float eps);

  /// dx = dout W, or dx += when accumulate.  dout [T, N] F32 or BF16 (BF16 lets W be rounded to BF16); dx [T,
  /// C] F32.
  void (*linear_input_gradient)(Tensor dx, Tensor dout, const Linear& w, bool accumulate);

  /// dweight += dout^T x; dbias += sum_t dout[t] (null: not wanted).  dweight [N, C] F32; dout [T, N] and x
  /// [T, C] both F32 or both BF16, sums in F32.
  void (*linear_weight_gradient)(Tensor dweight, Tensor dbias, Tensor dout, Tensor x);

  /// dgate = dout up (s + gate s (1 - s)), s = sigmoid(gate); dup = dout gate s.  All [T, F]; gate, up, dout
  /// F32, dgate and dup F32 or BF16.
  void (*swiglu_backward)(Tensor dgate, Tensor dup, Tensor dout, Tensor gate, Tensor up);

  /// Cross-entropy and, in place of the logits, its gradient: returns sum_t weights[t] * -ln p(targets[t])
  /// and leaves scale * weights[t] * (p - one_hot). Rows of weight 0 become 0 and their target is not read.
  double (*cross_entropy)(Tensor logits, std::span<const int32_t> targets, std::span<const float> weights,
                          double scale);

  /// sum_t weights[t] KL(softmax(original[t]) || softmax(logits[t])), and in place of the logits its gradient
  /// scale * weights[t] * (p - p_original).
  double (*divergence)(Tensor logits, Tensor original, std::span<const float> weights, double scale);

  /// One step of AdamW (Loshchilov 2019, arXiv 1711.05101) on any shape; step counts from 1:
  /// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2 with g = gradient * scale,
  /// value -= lr (m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps) + decay value).  All F32.
  void (*adamw)(Tensor value, Tensor gradient, Tensor m, Tensor v, const AdamW& settings);

  /// Sum of the squares of all elements, in double, in a fixed order.  x F32 of any shape.
  double (*sum_of_squares)(Tensor x);
};

/// All implementations compiled in, slowest first; row 0 is reference.
std::span<const Kernels* const> all_kernels();

/// The best supported implementation, or the one named by $LONGSPAN_KERNELS (Error when unknown or
/// unsupported here, listing what there is). Chosen once.
const Kernels& kernels();
/// By name; Error as above.
const Kernels& kernels_named(std::string_view name);

/// The precision of dense products that suits an implementation: BF16 where the processor multiplies it
/// natively.
Compute preferred_compute(const Kernels& k);

/// Rows of x from which `linear` runs as a blocked product on packed weights; below it streams W as it lies.
constexpr int64_t kGemmRows = 8;

/// Dequantises n consecutive elements (a multiple of the dtype's block) to F32; the specification of every
/// block format. Formulas: GGUF specification; layouts in kernels/reference/dequantise.cc.
void dequantise(float* out, const void* in, DType dtype, int64_t n);

}  // namespace longspan
