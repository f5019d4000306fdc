// The vocabulary: every operation the models use, as a table of functions. Each implementation fills one
// table. `reference` is plain loops and is the specification that the others are tested against.
//
// Letters: T tokens, H query heads, K key/value heads, D head size, C hidden size, F feed-forward size, V
// vocabulary, N output features. Outputs come first. Activations are F32 or BF16 (the tensor says which);
// sums are kept in F32. Matching sizes are the caller's duty (asserted); nothing here throws except when
// memory runs out.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "position/position.h"
#include "tensor/tensor.h"

namespace longspan {

/// Precision of dense products and of the activations that feed them. Int8 is that of products of many rows
/// with quantised weights (Linear::eight_bits); all others are F32 then.
enum class Compute : uint8_t { F32, BF16, Int8 };
/// "f32", "bf16", "int8".
const char* name(Compute compute);
std::optional<Compute> compute_named(std::string_view name);

/// Of the gate of a gated MLP: silu(x) = x sigmoid(x); gelu in its tanh form (Hendrycks 2016).
enum class Activation : uint8_t { Silu, GeluTanh };

/// What implementations have made of a weight for themselves (packed copies): derived data, kept with the
/// weight for as long as it lives, each under the key of the implementation that can read it.
class PackedCopies {
 public:
  /// The entry of `owner`, created empty. The caller serialises access.
  std::shared_ptr<void>& of(const void* owner);
  void clear() { copies_.clear(); }

 private:
  std::vector<std::pair<const void*, std::shared_ptr<void>>> copies_;
};

/// A dense layer: y = x W^T + b.
struct Linear {
  Tensor weight;           // [N, C], any dtype of the table in dtype.h
  Tensor bias;             // [N] F32, or null
  bool as_stored = false;  // products of many rows keep no packed copy (implementations on the host)
  /// Products of many rows with a quantised weight round F32 rows of x to 8 bits, in groups of 32 along C
  /// with scale max |x| / 127 each, and sum in integers within a group (implementations on the host).
  bool eight_bits = false;
  mutable PackedCopies packed{};

  explicit operator bool() const { return static_cast<bool>(weight); }
};

/// A low-rank product added to that of a projection: y += scale * (x A^T) B^T (LoRA, Hu 2021, arXiv
/// 2106.09685).
struct Adapter {
  Linear a, b;  // [r, C], [N, r]
  float scale = 1;

  explicit operator bool() const { return static_cast<bool>(a.weight); }
};

/// One of several products of the same x: out [T, N] F32 = x W^T + b.
struct Projection {
  Tensor out;
  const Linear* w = nullptr;
};

/// cos and sin of the angles of T positions, made once a forward pass and shared by its layers; both are
/// already multiplied by the method's attention scale.
struct RopeTable {
  Tensor cos;  // [T, rotary/2] F32
  Tensor sin;  // [T, rotary/2] F32
};

/// Direction of rope: Back is the transpose, which gradients go through.
enum class Turn : uint8_t { Forward, Back };

/// The sequences whose rows are concatenated in a batch of T rows: those of sequence s begin at rows[s] and
/// end before rows[s + 1], and past[s] keys precede the first of them. past may be negative: see
/// AttentionShape.
struct Sequences {
  int64_t count = 1;      // S
  Tensor rows;            // [S + 1] I32, rising from 0 to T
  Tensor past;            // [S] I32
  int64_t most_rows = 0;  // of any sequence: what a device plans its launch for
  int64_t most_keys = 0;  // the largest past + rows
};

/// One layer's keys or values of the sequences of a batch, in pages of kPageTokens tokens of one pool: a page
/// holds [K, kPageTokens, D] contiguous, so one head's keys within a page are one stream.
constexpr int64_t kPageTokens = 256;
struct KvPages {
  std::byte* memory = nullptr;  // of page 0, in the memory of `device`
  int64_t stride = 0;           // bytes from one page to the next
  Tensor table;                 // [S, P] I32: the pages of each sequence, in order
  DType dtype = DType::F32;     // F32, F16, BF16, or Q8_0 and Q4_0 in the order of cache_codes.h
  int64_t heads = 0;            // K
  int64_t head_dim = 0;         // D
};

/// One range of distances of attention, with queries and keys rotated for it (FlagAttention's piecewise
/// operator is two of them). Zones may share pages.
struct AttentionZone {
  int64_t from = 0;  // distance r belongs to the last zone with from <= r; negative distances to the first
  Tensor q;          // [T, H * D] F32
  KvPages keys;
};
constexpr int64_t kMaxAttentionZones = 3;

/// How many scores sparse attention had, and how many of them it skipped.
struct SparseScores {
  std::atomic<int64_t> all = 0, skipped = 0;
};

/// In each sequence of T rows, query t and key n have the positions positions[past + t] and positions[n]
/// (their indices where positions is null); the distance is the difference. Query t sees keys starts[t] <= n
/// <= past + t, bottom-right aligned: past may be negative, and a query without any visible key gives zeros.
/// Positions and starts are for a single sequence.
struct AttentionShape {
  int64_t heads = 0;     // H
  int64_t kv_heads = 0;  // K, divides H
  int64_t head_dim = 0;  // D, any size; multiples of 16 are fast
  Sequences sequences;
  float scale = 1.0f;  // multiplies q.k
  float soft_cap = 0;  // c > 0: the product s becomes c tanh(s / c), before anything else is done to it
  int64_t window = 0;  // sliding window: only distances below it are seen; 0 is no window
  bool causal = true;  // false: every query sees all keys from starts[t]
  int64_t chunk = 0;   // zones count distance in tokens (0) or in chunks: floor(m / chunk) - floor(n / chunk)
  Tensor positions{};  // [past + T] F32, not falling within a document; whole numbers below 2^24 are exact
  Tensor starts{};     // [T] I32 first key of the query's document, not falling; null: 0
  // On the host: the first row of each document and T at the end, where starts is given, past is 0 and every
  // document begins with its own first key; else empty. Says no more than starts, but before the launch.
  std::vector<int32_t> documents{};
  Tensor slopes{};  // [H] F32 ALiBi: slopes[h] times the distance is subtracted from the score; or null
  Tensor decay{};   // [D] F32 xPos: product i of q.k is multiplied by exp(decay[i] distance), <= 0; or null
  // On the host, 0: dense. Else each block of kSparseQueries queries attends, with each KV head, to the
  // fewest tiles of kSparseKeys keys that get this share of the attention of each of its heads, as estimated
  // (XAttention: kernels/cpu/attention_sparse.inc), and to the first tile, those around the block, and those
  // that two zones share. Where slopes, decay, soft_cap, starts or window are given, and for few rows,
  // attention is dense.
  float sparse = 0;
  SparseScores* scores = nullptr;  // to which sparse attention adds; or null
};
constexpr int64_t kSparseQueries = 128, kSparseKeys = 128;

/// What attention_backward writes, for the rows of all sequences: gradients of each zone's q [T, H * D], and
/// of their own keys and values [T, K * D], all F32. Where values is null, those of keys and values are not
/// computed.
struct AttentionGradients {
  std::array<Tensor, kMaxAttentionZones> q, keys;
  Tensor values;
};

struct AdamW {
  double lr = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, decay = 0;
  double scale = 1;  // of the gradient: clipping
  int64_t step = 1;
};

/// One tensor that AdamW updates, all F32 and of one shape.
struct AdamWTensor {
  Tensor value, gradient, m, v;
  bool decays = false;  // AdamW::decay applies
};

/// Scalars that the host reads once a step ("[1] F64") are written on the device: nothing here makes the host
/// wait.
struct Kernels {
  const char* name;         // "reference", "avx2", "avx2_vnni", "avx512", ..., "amx"
  const char* description;  // for --help and info
  bool on_host;             // reads and writes the memory of the host
  Compute preferred;        // the precision of dense products that suits it: BF16 where it is native
  bool (*supported)();      // by this machine

  /// The type in which activations feed products of `rows` rows under `compute`.
  DType (*product_dtype)(Compute compute, int64_t rows);

  // Movement

  /// out[t] = x[t], converted.  x [T, C] of any dtype; out [T, C] F32, BF16 or F16, or of x's own dtype (then
  /// a copy); rows may be strided.
  void (*convert)(Tensor out, Tensor x);
  /// x in two parts of BF16: high = x rounded, low = x - high rounded, so that high + low is within 2^-17 of
  /// x. Three products of such parts have nearly F32's precision.  x [T, C] F32; high, low [T, C] BF16.
  void (*split)(Tensor high, Tensor low, Tensor x);
  /// out[i] = x[rows[i]], converted.  x [T, C] F32; rows [n] I32, 0 <= rows[i] < T; out [n, C] F32 or BF16.
  void (*gather)(Tensor out, Tensor x, Tensor rows);
  /// out[rows[i]] = x[i]; other rows are kept.  x [n, C] F32; rows [n] I32, each once; out [T, C] F32.
  void (*scatter)(Tensor out, Tensor x, Tensor rows);
  /// Sets every element to `value`.  x F32, BF16, F16 or F64 of any shape.
  void (*fill)(Tensor x, float value);

  // Elementwise

  /// to += x.  [T, C] F32 both.
  void (*add)(Tensor to, Tensor x);
  /// x[t] *= factor factors[t].  x [T, C] F32; factors [T] F32, or null: 1.
  void (*scale)(Tensor x, float factor, Tensor factors);
  /// x = a x + b y.  [T, C] F32 both.
  void (*axpby)(Tensor x, float a, Tensor y, float b);
  /// x = cap tanh(x / cap), cap > 0.  [T, C] F32.
  void (*soft_cap)(Tensor x, float cap);
  /// out = activation(gate) * up.  gate, up [T, F] F32 (rows may be strided); out [T, F] F32 or BF16 (Shazeer
  /// 2020, arXiv 2002.05202).
  void (*gate)(Tensor out, Tensor gate, Tensor up, Activation activation);

  /// out = x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2: gelu itself (Hendrycks 2016, arXiv 1606.08415).  x
  /// [T, F] F32; out [T, F] F32 or BF16; may be x.
  void (*gelu)(Tensor out, Tensor x);

  // The layer

  /// out[t] = table[ids[t]], dequantised.  out [T, C] F32; table [V, C] any dtype; ids [T] I32.
  void (*embed)(Tensor out, Tensor table, Tensor ids);

  /// out = x * rsqrt(mean(x^2) + eps) * weight.  x [T, C] F32; weight [C] F32; out [T, C] F32 or BF16 (Zhang
  /// 2019).
  void (*rmsnorm)(Tensor out, Tensor x, Tensor weight, float eps);

  /// out = (x - mean(x)) * rsqrt(mean((x - mean(x))^2) + eps) * weight + bias, of each row.  x [T, C] F32;
  /// weight, bias [C] F32; out [T, C] F32 or BF16; may be x (Ba 2016, arXiv 1607.06450).
  void (*layernorm)(Tensor out, Tensor x, Tensor weight, Tensor bias, float eps);

  /// out = x W^T + b, or out += when accumulate.  x [T, C] F32 or BF16; out [T, N] F32.
  /// F32 x gives F32 precision at any T; BF16 x lets W be rounded to BF16.
  void (*linear)(Tensor out, Tensor x, const Linear& w, bool accumulate);

  /// out += scale (x A^T) B^T.  x [T, C] F32 or BF16; out [T, N] F32; low [T, r] F32 is overwritten by scale
  /// x A^T.
  void (*low_rank)(Tensor out, Tensor low, Tensor x, const Adapter& adapter);

  /// w += scale B A: the adapter becomes part of the weight.  w [N, C] F32; A, B F32.
  void (*merge)(Tensor w, const Adapter& adapter);

  /// Bytes of packed data that `linear` will make of w when products of many rows run in `compute`; 0 if it
  /// reads W as stored.
  int64_t (*packed_bytes)(const Linear& w, Compute compute);

  /// cos and sin of map(positions[t]) inv_freq[i], times `scale`.  positions [T] F64. The angle is formed in
  /// double: in F32 it is off by 0.04 rad at 1M tokens.
  void (*rope_table)(const RopeTable& table, Tensor positions, const Rotation& rotation, double scale);

  /// Rotates x in place, rotate-half pairing: (x_i, x_{i+r/2}) by the angle of frequency i (or back by it), r
  /// the rotary size; dimensions beyond r are left as they are.  x [T, heads * D] F32 (Su 2021, arXiv
  /// 2104.09864; layout of HF Llama).
  void (*rope)(Tensor x, const RopeTable& table, int64_t heads, int64_t head_dim, Turn turn);

  /// Turns each head in place by a symmetric orthogonal matrix, the Hadamard matrix over its square root: its
  /// size is the largest power of two that divides D, repeated along the head. What is large in one element
  /// is spread over all, which makes four bits do (Ashkboos 2024, arXiv 2404.00456); q.k stays as it is when
  /// both are turned.  x [T, heads * D] F32.
  void (*hadamard)(Tensor x, int64_t heads, int64_t head_dim);

  /// Writes the rows of each sequence's keys (or values) into its pages at past .. past + rows - 1,
  /// converting to the cache's dtype.  x [T, K * D] F32; past >= 0.
  void (*store_kv)(const KvPages& pages, Tensor x, const Sequences& sequences);

  /// out[t, h] = softmax_n(scale q[t, h] . k[n, h / (H/K)]) v[n], over the visible n of the row's sequence, q
  /// and k those of the zone of their distance.  out [T, H * D] F32 or BF16; log_sum [T, H] F32 or null: ln
  /// of the sum of exp(scores), -inf for a row that sees nothing. Online softmax over tiles (Milakov 2018;
  /// Dao 2023, arXiv 2307.08691).
  void (*attention)(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                    const AttentionShape& shape);

  /// The weights themselves, of some rows: out[i * H + h, n] = softmax_n of row rows[i], 0 where it does not
  /// see n.  rows [m] I32; out [m H, N] F32 with N >= past + T. One sequence.
  void (*attention_weights)(Tensor out, std::span<const AttentionZone> zones, const AttentionShape& shape,
                            Tensor rows);

  /// log softmax at one index a row: out[t] = x[t, target[t]] - logsumexp(x[t]).  x [T, V] F32; targets [T]
  /// I32; out [T] F32.
  void (*log_prob)(Tensor out, Tensor x, Tensor targets);

  // Backward: a gradient is named d and what it belongs to. Gradients of weights are accumulated (a batch is
  // many passes), gradients of activations are overwritten unless stated otherwise. Results do not depend on
  // the number of threads: a run that is resumed elsewhere gives the same bits.

  /// Gradients of attention, overwritten; keys that a sequence had before get none. dout [T, H * D] F32, out
  /// (F32 or BF16) and log_sum as attention wrote them. p = exp(s - log_sum), ds = p (dout . v - dout . out)
  /// scale, in the zone of each pair (Dao 2022, arXiv 2205.14135). Scores without a soft cap.
  void (*attention_backward)(const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
                             std::span<const AttentionZone> zones, const KvPages& values,
                             const AttentionShape& shape);

  /// dtable[ids[t]] += dout[t].  dtable [V, C], dout [T, C] F32; ids [T] I32.
  void (*embed_backward)(Tensor dtable, Tensor dout, Tensor ids);

  /// dx += r (w dout - x r^2 mean(w dout x)), r = rsqrt(mean(x^2) + eps); dweight += sum_t dout x r. dx [T,
  /// C], dout [T, C], x [T, C] F32; dweight [C] F32 or null.
  void (*rmsnorm_backward)(Tensor dx, Tensor dweight, Tensor dout, Tensor x, Tensor weight, float eps);

  /// dx = dout W, or dx += when accumulate.  dout [T, N] F32 or BF16 (BF16 lets W be rounded to BF16); dx [T,
  /// C] F32.
  void (*linear_input_gradient)(Tensor dx, Tensor dout, const Linear& w, bool accumulate);

  /// dweight += dout^T x; dbias += sum_t dout[t] (null: not wanted).  dweight [N, C] F32; dout [T, N] and x
  /// [T, C] both F32 or both BF16, sums in F32.
  void (*linear_weight_gradient)(Tensor dweight, Tensor dbias, Tensor dout, Tensor x);

  /// dgate = dout up activation'(gate), dup = dout activation(gate).  All [T, F]; gate, up, dout F32, dgate
  /// and dup F32 or BF16. silu' = s + gate s (1 - s) with s = sigmoid(gate).
  void (*gate_backward)(Tensor dgate, Tensor dup, Tensor dout, Tensor gate, Tensor up, Activation activation);

  /// Cross-entropy and, in place of the logits, its gradient: loss += sum_t weights[t] * -ln p(targets[t]);
  /// the logits become scale * weights[t] * (p - one_hot). Rows of weight 0 become 0, and their targets are
  /// not read. loss [1] F64; logits [T, V] F32; targets [T] I32; weights [T] F32.
  void (*cross_entropy)(Tensor loss, Tensor logits, Tensor targets, Tensor weights, double scale);

  /// loss += sum_t weights[t] KL(softmax(original[t]) || softmax(logits[t])), and in place of the logits its
  /// gradient scale * weights[t] * (p - p_original). Shapes as above.
  void (*divergence)(Tensor loss, Tensor logits, Tensor original, Tensor weights, double scale);

  /// One step of AdamW (Loshchilov 2019, arXiv 1711.05101) on tensors of any shape; step counts from 1:
  /// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2 with g = gradient * scale,
  /// value -= lr (m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps) + decay value).
  void (*adamw)(std::span<const AdamWTensor> tensors, const AdamW& settings);

  /// sum = the sum of the squares of all elements of all tensors, in double and in a fixed order.  sum [1]
  /// F64; x F32 of any shape.
  void (*sum_of_squares)(Tensor sum, std::span<const Tensor> x);

  // Several operations in one, for passes of few rows, whose time is that of launches. All three are null
  // where an implementation has none; then the caller asks for the parts, whose results are the same but for
  // rounding.

  /// The most rows that they take; 0 where they are null.
  int64_t fused_rows = 0;

  /// Each projection's out = rmsnorm(x) W^T + b.  x [T, C] F32; norm [C] F32; at most kMostProjections, all
  /// with C columns.
  void (*norm_linear)(std::span<const Projection> projections, Tensor x, Tensor norm, float eps) = nullptr;

  /// out = activation(gate(rmsnorm(x))) * up(rmsnorm(x)).  x [T, C] F32; norm [C] F32; out [T, F] F32.
  void (*norm_gate)(Tensor out, Tensor x, Tensor norm, float eps, const Linear& gate, const Linear& up,
                    Activation activation) = nullptr;

  /// Rotates q in place by `queries`, and writes k, rotated by `keys`, and v into their pages as store_kv
  /// does; k and v are left as they are.  q [T, H * D], k and v [T, K * D] F32.
  void (*rope_store)(Tensor q, Tensor k, Tensor v, const RopeTable& queries, const RopeTable& keys,
                     const KvPages& key_pages, const KvPages& value_pages,
                     const Sequences& sequences) = nullptr;
};
constexpr size_t kMostProjections = 3;

/// All implementations compiled in, slowest first; row 0 is reference.
std::span<const Kernels* const> all_kernels();

/// The best supported implementation on the host, or the one named by $LONGSPAN_KERNELS (Error when unknown
/// or unsupported here, listing what there is). Chosen once.
const Kernels& kernels();
/// By name; Error as above.
const Kernels& kernels_named(std::string_view name);

/// The element types of caches that attention and store_kv accept: F32, F16, BF16, and Q8_0 and Q4_0 where
/// the head size is a multiple of 32.
std::span<const DType> cache_dtypes();

/// Dequantises n consecutive elements (a multiple of the dtype's block) of host memory to F32; the
/// specification of every block format. Formulas: GGUF specification; layouts in
/// kernels/reference/dequantise.cc.
void dequantise(float* out, const void* in, DType dtype, int64_t n);

}  // namespace longspan
