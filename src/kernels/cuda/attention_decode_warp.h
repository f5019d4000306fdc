// What a warp of attention_decode.cu does with its share of the keys. Device code: for .cu files only.
//
// Keys and values come through a ring of stages in shared memory, each warp's its own, that cp.async fills:
// what is under way does not take registers, and no warp waits for another. Tensor cores compute to F32
// accuracy here: memory is the bound, so there is time for it. A number is the sum of three of the type of
// the cache (BF16: 8 bits each; F16: 11), which lie in the 16 rows of A: rows 0-7 hold the upper parts of 8
// queries, rows 8-15 the middle parts, and a second product adds the lower ones. A product does not care
// about the order of its inner dimension, so each lane's 8 neighbouring elements of a key are its share of
// two steps. Codes of quantised caches lie in the ring as they are; what a lane takes from there becomes F16,
// and two numbers are enough.
#pragma once

#include "kernels/cuda/attention_view.h"
#include "kernels/cuda/cache_codes.cuh"
#include "kernels/cuda/tensor_cores.h"

namespace longspan {

constexpr int kDecodeWarps = 4, kQueries = 8;  // of a block
constexpr int kStep = 16;                      // tokens of a warp at a time
constexpr int kBlockStep = kStep * kDecodeWarps;
static_assert(kPageTokens % kStep == 0);

/// Caches that kernels are made for: rows of 16-byte vectors of these types (Q8Q4: keys Q8_0, values Q4_0),
/// and all others.
enum class CacheKind { BF16, F16, Q8, Q4, Q8Q4, Any };
constexpr bool has_codes(CacheKind kind) {
  return kind == CacheKind::Q8 || kind == CacheKind::Q4 || kind == CacheKind::Q8Q4;
}
/// Whether products are those of F16, else those of BF16.
constexpr bool in_f16(CacheKind kind) { return kind == CacheKind::F16 || has_codes(kind); }
/// Of quantised kinds; F16 stands for both types of 16 bits.
constexpr DType key_type(CacheKind kind) {
  return kind == CacheKind::Q4 ? DType::Q4_0 : has_codes(kind) ? DType::Q8_0 : DType::F16;
}
constexpr DType value_type(CacheKind kind) {
  return kind == CacheKind::Q8 ? DType::Q8_0 : has_codes(kind) ? DType::Q4_0 : DType::F16;
}

/// Stages of a warp's ring and blocks of a multiprocessor: 192 KB of shared memory hold their rings.
template <int kD, CacheKind kKind>
constexpr int kDecodeStages = kD == 64                        ? 4
                              : kD == 128 && has_codes(kKind) ? 3
                                                              : 2;
constexpr int decode_blocks(int d, CacheKind kind) {
  if (d == 64 && has_codes(kind)) return 4;  // with heads of 128 the fourth is slower
  return d <= 128 ? 3 : d == 192 ? 2 : 1;
}
/// Of how many numbers of 16 bits what multiplies the cache is the sum. Codes become F16, whose rounding is
/// larger than the third.
constexpr int parts_of_factors(CacheKind kind) { return has_codes(kind) ? 2 : 3; }
/// Bytes of a row, and of a step's keys or values with their scales, in the ring.
template <int kD, DType kType>
constexpr int kRowBytes = kType == DType::Q4_0   ? kD / 2
                          : kType == DType::Q8_0 ? kD
                                                 : kD * 2;
template <int kD, DType kType>
constexpr int kStepBytes = kStep* kRowBytes<kD, kType> + (kType == DType::F16 ? 0 : kStep * kD / 16);
template <int kD, CacheKind kKind>
constexpr int kStageBytes = kStepBytes<kD, key_type(kKind)> + kStepBytes<kD, value_type(kKind)>;
template <int kD, CacheKind kKind>
constexpr int kRingBytes =
    kKind == CacheKind::Any ? 0 : kDecodeWarps* kDecodeStages<kD, kKind>* kStageBytes<kD, kKind>;

/// F16 has few exponents: q is scaled so that its largest element lies below 2^14, and p by this.
template <CacheKind kKind>
constexpr float kWeightScale = in_f16(kKind) ? 16384.0f : 1.0f;
constexpr int kF16Exponent = 13;

template <CacheKind kKind>
__device__ uint32_t pack_parts(float a, float b) {
  return in_f16(kKind) ? pack_f16(a, b) : pack_bf16(a, b);
}
template <CacheKind kKind>
__device__ float low_part(uint32_t packed) {
  return in_f16(kKind) ? low_f16(packed) : low_bf16(packed);
}
template <CacheKind kKind>
__device__ float high_part(uint32_t packed) {
  return in_f16(kKind) ? high_f16(packed) : high_bf16(packed);
}
template <CacheKind kKind>
__device__ void multiply_parts(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                               uint32_t b1) {
  if constexpr (in_f16(kKind))
    mma_f16(d, a0, a1, a2, a3, b0, b1);
  else
    mma(d, a0, a1, a2, a3, b0, b1);
}

/// x as a sum of three numbers of 16 bits, of two elements at once.
struct Three {
  uint32_t high, middle, low;
};
template <CacheKind kKind>
__device__ Three three_parts(float a, float b) {
  Three x;
  x.high = pack_parts<kKind>(a, b);
  a -= low_part<kKind>(x.high), b -= high_part<kKind>(x.high);
  x.middle = pack_parts<kKind>(a, b);
  x.low = pack_parts<kKind>(a - low_part<kKind>(x.middle), b - high_part<kKind>(x.middle));
  return x;
}

/// Elements at .. at + 7 of a token, zeros from `d` on.
__device__ inline void load8(float (&x)[8], const std::byte* row, DType dtype, int at, int d, bool valid) {
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] = valid && at + i < d ? load_element(row, dtype, at + i) : 0;
}
/// The number of BF16 of which an element of the cache is the sum.
__device__ inline int parts_of(DType dtype) { return dtype == DType::BF16 ? 1 : dtype == DType::F16 ? 2 : 3; }

/// Bytes from the beginning of a step in the ring to 8 elements of a token: the vectors of a row are
/// exchanged so that neither reading 4 vectors of 2 neighbouring rows nor one pair of vectors of every second
/// row meets a bank twice.
template <int kD>
__device__ uint32_t ring_offset(int row, int vector) {
  return static_cast<uint32_t>(row * kD * 2 + (vector ^ ((row & 6) ^ (row & 1) << 2)) * 16);
}

/// Where byte `at` of a step of codes lies in the ring: lanes that read 8 (Q8_0) or 4 bytes (Q4_0) of several
/// rows meet no bank twice, neither as keys (4 neighbours of 8 rows) nor as values (8 of every second row).
template <DType kType>
__device__ uint32_t code_offset(uint32_t at) {
  uint32_t line = at / 128;
  if constexpr (kType == DType::Q8_0)
    return at ^ ((line ^ line >> 2) & 3) * 32;
  else
    return at ^ ((line & 1) * 3 ^ (line >> 1 & 1) * 5) * 16;
}

__device__ inline uint32_t load_shared_half(uint32_t address) {
  uint16_t x;
  asm volatile("ld.shared.u16 %0, [%1];\n" : "=h"(x) : "r"(address) : "memory");
  return x;
}
__device__ inline uint32_t load_shared_word(uint32_t address) {
  uint32_t x;
  asm volatile("ld.shared.u32 %0, [%1];\n" : "=r"(x) : "r"(address) : "memory");
  return x;
}
__device__ inline uint2 load_shared_two(uint32_t address) {
  uint2 x;
  asm volatile("ld.shared.v2.u32 {%0,%1}, [%2];\n" : "=r"(x.x), "=r"(x.y) : "r"(address) : "memory");
  return x;
}

/// scale (bytes - zero) of two bytes of `codes` chosen by `selector`, as F16: 0x6400 | byte is 1024 + byte.
__device__ inline uint32_t two_of_codes(uint32_t codes, uint32_t selector, __half2 zero, __half2 scale) {
  uint32_t bits = __byte_perm(codes, 0x64646464u, selector);
  __half2 x = __hmul2(__hsub2(*reinterpret_cast<const __half2*>(&bits), zero), scale);
  return *reinterpret_cast<const uint32_t*>(&x);
}

/// 8 elements as they lie in the ring: of 16 bits, or codes with their scale.
template <DType kType>
struct RingElements {
  uint2 codes;
  uint32_t scale;
};
template <>
struct RingElements<DType::F16> {
  uint4 elements;
};

/// Those of a row of a step of codes at `step` in shared memory; `groups` a token. Rows that are not `valid`
/// give zeros: what is behind the keys may be anything.
template <int kD, DType kType>
__device__ inline RingElements<kType> load_codes_shared(uint32_t step, int row, int vector, int groups,
                                                        bool valid) {
  RingElements<kType> x;
  uint32_t scales = step + kStep * kRowBytes<kD, kType>;
  x.scale = valid ? load_shared_half(scales + static_cast<uint32_t>((row * groups + vector / 4) * 2)) : 0;
  if constexpr (kType == DType::Q8_0)
    x.codes = load_shared_two(step + code_offset<kType>(static_cast<uint32_t>(row * kD + vector * 8)));
  else
    x.codes.x =
        load_shared_word(step + code_offset<kType>(static_cast<uint32_t>(row * (kD / 2) + vector * 4)));
  return x;
}

/// As 16 bits each.
__device__ inline uint4 elements_of(const RingElements<DType::F16>& x) { return x.elements; }
template <DType kType>
__device__ inline uint4 elements_of(const RingElements<kType>& x) {
  __half2 scale = __half2half2(__ushort_as_half(static_cast<unsigned short>(x.scale))), zero;
  uint32_t low, high;
  if constexpr (kType == DType::Q8_0) {
    low = x.codes.x ^ 0x80808080u, high = x.codes.y ^ 0x80808080u;
    zero = __float2half2_rn(1024 + 128);
  } else {
    low = x.codes.x & 0x0f0f0f0fu, high = x.codes.x >> 4 & 0x0f0f0f0fu;
    zero = __float2half2_rn(1024 + 8);
  }
  return {two_of_codes(low, 0x4140, zero, scale), two_of_codes(low, 0x4342, zero, scale),
          two_of_codes(high, 0x4140, zero, scale), two_of_codes(high, 0x4342, zero, scale)};
}

/// Which zone each pair of a lane's query and its four tokens of a step is in.
struct Pairs {
  uint32_t zone[4];  // kMaxAttentionZones: not seen
  uint32_t zones;    // bits of those that the warp needs
};

/// A step: where it begins and its zones. Zones 0: there is none.
struct DecodeStep {
  static constexpr uint32_t kZones = (1u << kMaxAttentionZones) - 1;
  static constexpr uint32_t kWhole = 1u << kMaxAttentionZones;  // every query sees every token, in one zone

  static_assert(2 * kWhole <= kStep);

  int first;
  uint32_t zones;
  int32_t key_page, value_page;

  /// Both in one number.
  __device__ uint32_t held() const { return static_cast<uint32_t>(first) | zones; }
  __device__ int zone() const { return __ffs(static_cast<int>(zones)) - 1; }
};

/// The tokens that all queries of a warp see, first .. last (none where it takes positions to know), and the
/// places between which the queries are.
struct WholeRange {
  int first, last;
  float near, far;
};
__device__ inline WholeRange whole_range(const AttentionView& v, const SequenceView& s, int first_row,
                                         int last_row) {
  WholeRange range{first_key(v, s, last_row, 1), end_key(v, s, first_row) - 1,
                   place_of<float>(v, s.past + first_row).coarse,
                   place_of<float>(v, s.past + last_row).coarse};
  if (v.positions || v.slopes) range.last = -1;
  return range;
}

/// A warp's share: queries 0-7 of the block, lane l holding query l / 4 and, of each step, the tokens 2 (l %
/// 4) + {0, 1, 8, 9}.
template <int kD, CacheKind kKind>
struct DecodeWarp {
  static constexpr bool kInRing = kKind != CacheKind::Any;
  static constexpr int kStages = kInRing ? kDecodeStages<kD, kKind> : 1;
  static constexpr DType kKeyType = key_type(kKind), kValueType = value_type(kKind);

  const AttentionView& v;
  const SequenceView& s;
  const uint2* q;     // fragments in shared memory, [zone][part][step of 16][lane]
  const float* undo;  // [zone][query], by which products of scaled q are multiplied
  uint32_t ring;      // address of this warp's
  int row, head;      // of the lane's query
  bool valid;
  WholeRange whole;
  int lane, kv, end;
  float o[kD / 8][4], largest = -INFINITY, total = 0;
  DecodeStep next;         // the one that is not yet under way
  uint32_t held[kStages];  // the steps in the ring, the oldest first: first | zones

  __device__ int token(int n0, int j) const { return n0 + 2 * (lane % 4) + (j & 1) + 8 * (j >> 1); }

  template <class Real>
  __device__ void find_pairs(Pairs& pairs, int n0) const {
    Query<Real> at = query_of<Real>(v, s, row);
    if (!valid) at.last = at.first - 1;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      int n = token(n0, j);
      pairs.zone[j] = kMaxAttentionZones;
      if (n < at.first || n > at.last) continue;
      Place<Real> place = place_of<Real>(v, n);
      if (!sees(v, at, n, place)) continue;
      for (int z = 0; z < v.zones; ++z)
        if (in_zone(v.zone[z], at.place, place)) pairs.zone[j] = static_cast<uint32_t>(z);
    }
  }
  __device__ Pairs pairs_of(int n0) const {
    Pairs pairs;
    if (v.positions)
      find_pairs<double>(pairs, n0);
    else
      find_pairs<float>(pairs, n0);
    uint32_t mine = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) mine |= 1u << pairs.zone[j];
    pairs.zones = __reduce_or_sync(0xffffffffu, mine) & DecodeStep::kZones;
    return pairs;
  }

  /// The zone that all pairs of a step are in; 0 where that is not so, or not known.
  __device__ uint32_t whole_zone(int n0) const {
    if (n0 < whole.first || n0 + kStep - 1 > whole.last) return 0;
    if (v.zones == 1) return DecodeStep::kWhole | 1;
    float most = whole.far - place_of<float>(v, n0).coarse;
    float least = whole.near - place_of<float>(v, n0 + kStep - 1).coarse;
    for (int z = 0; z < v.zones; ++z)
      if (least >= v.zone[z].from && most < v.zone[z].until) return DecodeStep::kWhole | 1u << z;
    return 0;
  }
  __device__ int32_t page_of(const PagesView& pages, int n0) const {
    return pages.table[s.index * pages.table_stride + n0 / static_cast<int>(kPageTokens)];
  }
  /// The next step of this warp with visible pairs, from n0 on.
  __device__ DecodeStep step_from(int n0) const {
    for (; n0 < end; n0 += kBlockStep) {
      DecodeStep step{.first = n0, .zones = whole_zone(n0), .key_page = 0, .value_page = 0};
      if (step.zones == 0) step.zones = pairs_of(n0).zones;
      if (step.zones == 0) continue;
      if constexpr (kInRing) {
        step.key_page = page_of(v.zone[step.zone()].keys, n0);
        step.value_page = page_of(v.values, n0);
      }
      return step;
    }
    return {n0, 0, 0, 0};
  }

  /// The same of codes and their scales, which are contiguous; what is behind the keys may be anything.
  template <DType kType>
  __device__ void load_code_tokens(uint32_t to, const PagesView& pages, int64_t page, int n0) const {
    constexpr int kVectors = kRowBytes<kD, kType> / 16;  // of a token, at most
    CodesView from = codes_of(pages.memory + page * pages.stride, kType, v.head_dim, kv,
                              n0 % static_cast<int>(kPageTokens));
    int vectors = code_size(kType, v.head_dim) / 16;
#pragma unroll
    for (int i = 0; i < (kStep * kVectors + 31) / 32; ++i) {
      int e = i * 32 + lane, row = e / kVectors, vector = e % kVectors;
      if (e >= kStep * kVectors) break;
      bool valid = vector < vectors;
      copy_async(to + code_offset<kType>(static_cast<uint32_t>(row * kRowBytes<kD, kType> + vector * 16)),
                 from.codes + (valid ? (row * vectors + vector) * 16 : 0), valid);
    }
    if (lane < v.head_dim / 16)
      copy_async(to + kStep * kRowBytes<kD, kType> + static_cast<uint32_t>(lane) * 16,
                 reinterpret_cast<const std::byte*>(from.scales) + lane * 16, true);
  }

  /// 16 tokens of a page into the ring, in the background; zeros behind the keys and the head.
  template <DType kType>
  __device__ void load_tokens(uint32_t to, const PagesView& pages, int64_t page, int n0) const {
    if constexpr (kType != DType::F16) return load_code_tokens<kType>(to, pages, page, n0);
    constexpr int kVectors = kD / 8;  // of a token
    const std::byte* from = pages.memory + page * pages.stride +
                            (static_cast<int64_t>(kv) * kPageTokens + n0 % kPageTokens) * v.head_dim * 2;
    if constexpr (32 % kVectors == 0) {  // each lane copies the same vector of several tokens
      constexpr int kRows = 32 / kVectors;
      int row = lane / kVectors, vector = lane % kVectors;
      int rows = 8 * vector < v.head_dim ? s.keys - n0 - row : 0;
      from += (row * v.head_dim + vector * 8) * 2;
#pragma unroll
      for (int i = 0; i < kStep / kRows; ++i) {
        copy_async(to + ring_offset<kD>(row + i * kRows, vector), from, i * kRows < rows);
        from += kRows * v.head_dim * 2;
      }
    } else {
#pragma unroll 4
      for (int i = 0; i < kStep * kVectors / 32; ++i) {
        int e = i * 32 + lane, row = e / kVectors, vector = e % kVectors;
        bool valid = n0 + row < s.keys && 8 * vector < v.head_dim;
        copy_async(to + ring_offset<kD>(row, vector),
                   valid ? from + (row * v.head_dim + vector * 8) * 2 : from, valid);
      }
    }
  }
  __device__ uint32_t stage(int slot) const {
    return ring + static_cast<uint32_t>(slot * kStageBytes<kD, kKind>);
  }
  __device__ void load_next(int slot) const {
    if (next.zones != 0) {
      load_tokens<kKeyType>(stage(slot), v.zone[next.zone()].keys, next.key_page, next.first);
      load_tokens<kValueType>(stage(slot) + kStepBytes<kD, kKeyType>, v.values, next.value_page, next.first);
    }
    commit_copies();
  }

  /// scores += q k over one step of 16 elements: of three parts of q, the lower ones by themselves.
  struct Scores {
    float upper[2][4] = {}, lower[2][4] = {};  // of 8 tokens each
    __device__ float of(int j) const {
      return upper[j >> 1][j & 1] + (upper[j >> 1][2 + (j & 1)] + lower[j >> 1][j & 1]);
    }
  };
  __device__ const uint2* fragment(int z, int step) const {
    return q + (z * parts_of_factors(kKind) * (kD / 16) + step) * 32 + lane;
  }
  /// Tokens 8 b .. 8 b + 7 of the step by one step of 16 elements of q; or, both, those and the `other`
  /// eight.
  template <bool kBoth>
  __device__ void multiply(Scores& scores, int b, const uint2* at, const uint2& x, const uint2& other) const {
    uint2 high = at[0], middle = at[(kD / 16) * 32];
    multiply_parts<kKind>(scores.upper[b], high.x, middle.x, high.y, middle.y, x.x, x.y);
    if (kBoth) multiply_parts<kKind>(scores.upper[1], high.x, middle.x, high.y, middle.y, other.x, other.y);
    if constexpr (has_codes(kKind)) return;
    uint2 low = at[2 * (kD / 16) * 32];
    multiply_parts<kKind>(scores.lower[b], low.x, 0, low.y, 0, x.x, x.y);
    if (kBoth) multiply_parts<kKind>(scores.lower[1], low.x, 0, low.y, 0, other.x, other.y);
  }
  /// Elements 8 `vector` .. of row `row` of a step in the ring.
  template <DType kType>
  __device__ RingElements<kType> ring_elements(uint32_t step, int row, int vector, bool valid) const {
    if constexpr (kType == DType::F16)
      return {load_shared(step + ring_offset<kD>(row, vector))};
    else
      return load_codes_shared<kD, kType>(step, row, vector, v.head_dim / static_cast<int>(kCacheGroup),
                                          valid);
  }
  __device__ void add_ring_products(Scores& scores, int z, uint32_t keys) const {
    // Codes take instructions to become numbers; meanwhile others are on their way.
    constexpr int kAhead = has_codes(kKind) ? kD / 32 : 1;
    RingElements<kKeyType> near[kAhead], far[kAhead];
#pragma unroll
    for (int k = 0; k < kD / 32; ++k) {
      if (32 * k >= v.head_dim) break;
      if (k % kAhead == 0) {
#pragma unroll
        for (int i = 0; i < kAhead; ++i) {
          near[i] = ring_elements<kKeyType>(keys, lane / 4, 4 * (k + i) + lane % 4, true);
          far[i] = ring_elements<kKeyType>(keys, 8 + lane / 4, 4 * (k + i) + lane % 4, true);
        }
      }
      uint4 x = elements_of(near[k % kAhead]), y = elements_of(far[k % kAhead]);
      multiply<true>(scores, 0, fragment(z, 2 * k), {x.x, x.y}, {y.x, y.y});
      multiply<true>(scores, 0, fragment(z, 2 * k + 1), {x.z, x.w}, {y.z, y.w});
    }
  }
  __device__ void add_any_products(Scores& scores, int z, int n0) const {
    const PagesView& pages = v.zone[z].keys;
    for (int b = 0; b < 2; ++b) {
      int n = n0 + 8 * b + lane / 4;
      const std::byte* row = key_address(pages, s.index, kv, min(n, s.keys - 1));
      for (int k = 0; 32 * k < v.head_dim; ++k) {
        float x[8];
        load8(x, row, pages.dtype, 32 * k + 8 * (lane % 4), v.head_dim, n < s.keys);
        for (int part = parts_of(pages.dtype); part > 0; --part) {
          uint32_t packed[4];
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            packed[i] = pack_bf16(x[2 * i], x[2 * i + 1]);
            x[2 * i] -= low_bf16(packed[i]), x[2 * i + 1] -= high_bf16(packed[i]);
          }
          multiply<false>(scores, b, fragment(z, 2 * k), {packed[0], packed[1]}, {});
          multiply<false>(scores, b, fragment(z, 2 * k + 1), {packed[2], packed[3]}, {});
        }
      }
    }
  }

  /// What the products of zone z are multiplied by.
  __device__ float scale_of(int z) const {
    return in_f16(kKind) ? v.scale * undo[z * kQueries + lane / 4] : v.scale;
  }
  /// The scores of the lane's pairs that are in zone z.
  __device__ void take_scores(float (&score)[4], const Scores& scores, const Pairs& pairs, int z,
                              int n0) const {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (pairs.zone[j] != static_cast<uint32_t>(z)) continue;
      score[j] = scale_of(z) * scores.of(j);
      if (v.slopes) {
        double distance = place_of<double>(v, s.past + row).at - place_of<double>(v, token(n0, j)).at;
        score[j] -= v.slopes[head] * static_cast<float>(distance);
      }
    }
  }

  __device__ void add_ring_values(const Three& near, const Three& far, uint32_t values, int n0) {
    auto add = [&](int tile, uint32_t b0, uint32_t b1) {
      multiply_parts<kKind>(o[tile], near.high, near.middle, far.high, far.middle, b0, b1);
      if constexpr (!has_codes(kKind)) multiply_parts<kKind>(o[tile], near.low, 0, far.low, 0, b0, b1);
    };
    auto add_word = [&](int tile, uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3) {
      add(tile, __byte_perm(w0, w1, 0x5410), __byte_perm(w2, w3, 0x5410));
      add(tile + 1, __byte_perm(w0, w1, 0x7632), __byte_perm(w2, w3, 0x7632));
    };
    constexpr int kAhead = has_codes(kKind) && kD <= 128 ? kD / 64 : 1;
    RingElements<kValueType> ahead[kAhead][4];
#pragma unroll
    for (int m = 0; m < kD / 64; ++m) {
      if (64 * m >= v.head_dim) break;
      if (m % kAhead == 0) {
#pragma unroll
        for (int i = 0; i < kAhead; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j)
            ahead[i][j] =
                ring_elements<kValueType>(values, token(0, j), 8 * (m + i) + lane / 4, token(n0, j) < s.keys);
      }
      uint4 x[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) x[j] = elements_of(ahead[m % kAhead][j]);
      add_word(8 * m, x[0].x, x[1].x, x[2].x, x[3].x);
      add_word(8 * m + 2, x[0].y, x[1].y, x[2].y, x[3].y);
      add_word(8 * m + 4, x[0].z, x[1].z, x[2].z, x[3].z);
      add_word(8 * m + 6, x[0].w, x[1].w, x[2].w, x[3].w);
    }
  }
  __device__ void add_any_values(const Three& near, const Three& far, int n0) {
    const std::byte* row[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) row[j] = key_address(v.values, s.index, kv, min(token(n0, j), s.keys - 1));
#pragma unroll
    for (int m = 0; m < kD / 64; ++m) {
      if (64 * m >= v.head_dim) break;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        int at = 64 * m + 8 * (lane / 4) + i;
        float x[4];
#pragma unroll
        for (int j = 0; j < 4; ++j)
          x[j] = token(n0, j) < s.keys && at < v.head_dim ? load_element(row[j], v.values.dtype, at) : 0;
        for (int part = parts_of(v.values.dtype); part > 0; --part) {
          uint32_t b0 = pack_bf16(x[0], x[1]), b1 = pack_bf16(x[2], x[3]);
          x[0] -= low_bf16(b0), x[1] -= high_bf16(b0), x[2] -= low_bf16(b1), x[3] -= high_bf16(b1);
          mma(o[8 * m + i], near.high, near.middle, far.high, far.middle, b0, b1);
          mma(o[8 * m + i], near.low, 0, far.low, 0, b0, b1);
        }
      }
    }
  }

  /// The softmax goes on: o and total to the largest score so far, and the weights of these pairs.
  __device__ void weigh(float (&p)[4], const float (&score)[4]) {
    float most = fmaxf(fmaxf(score[0], score[1]), fmaxf(score[2], score[3]));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
    most = fmaxf(largest, fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2)));
    if (__any_sync(0xffffffffu, most > largest)) {
      float factor = most == -INFINITY ? 1 : expf(largest - most);
      total *= factor, largest = most;
#pragma unroll
      for (auto& x : o)
#pragma unroll
        for (float& y : x) y *= factor;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      p[j] = score[j] == -INFINITY ? 0 : expf(score[j] - largest);
      total += p[j];
      p[j] *= kWeightScale<kKind>;
    }
  }

  __device__ void compute(int n0, uint32_t left, uint32_t tokens) {
    float score[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    Pairs pairs;
    if (left & DecodeStep::kWhole) {
#pragma unroll
      for (uint32_t& zone : pairs.zone) zone = static_cast<uint32_t>(__ffs(static_cast<int>(left)) - 1);
      left &= DecodeStep::kZones;
    } else {
      pairs = pairs_of(n0);
    }
    for (bool again = false; left != 0; again = true) {
      int z = __ffs(static_cast<int>(left)) - 1;
      left &= left - 1;
      Scores scores;
      if constexpr (kInRing) {
        if (again) {  // rare: the boundary of two zones, of which the ring has the first
          __syncwarp();
          load_tokens<kKeyType>(tokens, v.zone[z].keys, page_of(v.zone[z].keys, n0), n0);
          commit_copies();
          wait_copies<0>();
          __syncwarp();
        }
        add_ring_products(scores, z, tokens);
      } else {
        add_any_products(scores, z, n0);
      }
      take_scores(score, scores, pairs, z, n0);
    }
    float p[4];
    weigh(p, score);
    Three near = three_parts<kKind>(p[0], p[1]), far = three_parts<kKind>(p[2], p[3]);
    if constexpr (kInRing)
      add_ring_values(near, far, tokens + kStepBytes<kD, kKeyType>, n0);
    else
      add_any_values(near, far, n0);
  }

  /// Tokens begin, and so on by 64, below end: sends the first ones on their way.
  __device__ void start(int begin) {
    next = step_from(begin);
    if constexpr (kInRing) {
#pragma unroll
      for (int i = 0; i < kStages; ++i) {
        load_next(i);
        held[i] = next.held();
        if (next.zones != 0) next = step_from(next.first + kBlockStep);
      }
    }
  }
  /// Once q is in shared memory.
  __device__ void run() {
#pragma unroll
    for (auto& x : o)
#pragma unroll
      for (float& y : x) y = 0;
    if constexpr (!kInRing) {
      for (; next.zones != 0; next = step_from(next.first + kBlockStep)) compute(next.first, next.zones, 0);
    } else {
      for (int slot = 0; held[0] % kStep != 0; slot = slot + 1 == kStages ? 0 : slot + 1) {
        wait_copies<kStages - 1>();
        __syncwarp();
        compute(static_cast<int>(held[0] / kStep * kStep), held[0] % kStep, stage(slot));
        __syncwarp();
        load_next(slot);
#pragma unroll
        for (int i = 0; i + 1 < kStages; ++i) held[i] = held[i + 1];
        held[kStages - 1] = next.held();
        if (next.zones != 0) next = step_from(next.first + kBlockStep);
      }
      wait_copies<0>();
    }
  }
};

}  // namespace longspan
