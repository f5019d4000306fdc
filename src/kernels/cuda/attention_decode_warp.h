// What a warp of attention_decode.cu does with its share of the keys. Device code: for .cu files only.
//
// Tensor cores compute to F32 accuracy here: memory is the bound, so there is time for it. A number is the
// sum of three BF16 (8 bits each), which lie in the 16 rows of A: rows 0-7 hold the upper parts of 8 queries,
// rows 8-15 the middle parts, and a second product adds the lower ones. Keys and values go from memory to the
// fragments in 16-byte vectors without a detour: a product does not care about the order of its inner
// dimension, so each lane's 8 neighbouring elements of a key are its share of two steps.
#pragma once

#include "kernels/cuda/attention_view.h"
#include "kernels/cuda/tensor_cores.h"

namespace longspan {

constexpr int kDecodeWarps = 4, kQueries = 8;  // of a block
constexpr int kStep = 16;                      // tokens of a warp at a time
constexpr int kBlockStep = kStep * kDecodeWarps;
static_assert(kPageTokens % kStep == 0);

/// x as a sum of three BF16.
struct Three {
  uint32_t high, middle, low;
};
__device__ inline Three three_parts(float a, float b) {
  Three x;
  x.high = pack_bf16(a, b);
  a -= low_bf16(x.high), b -= high_bf16(x.high);
  x.middle = pack_bf16(a, b);
  x.low = pack_bf16(a - low_bf16(x.middle), b - high_bf16(x.middle));
  return x;
}

/// Elements at .. at + 7 of a token, zeros from `d` on.
__device__ inline void load8(float (&x)[8], const std::byte* row, DType dtype, int at, int d, bool valid) {
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] = valid && at + i < d ? load_element(row, dtype, at + i) : 0;
}
/// The number of BF16 of which an element of the cache is the sum.
__device__ inline int parts_of(DType dtype) { return dtype == DType::BF16 ? 1 : dtype == DType::F16 ? 2 : 3; }

/// Which zone each pair of a lane's query and its four tokens of a step is in.
struct Pairs {
  uint32_t zone[4];  // kMaxAttentionZones: not seen
  uint32_t zones;    // bits of those that the warp needs
};

/// A warp's share: queries 0-7 of the block, lane l holding query l / 4 and, of each step, the tokens 2 (l %
/// 4) + {0, 1, 8, 9}.
template <int kD, bool kVectors>
struct DecodeWarp {
  static constexpr bool kAhead = kD <= 128;  // otherwise values are read 64 elements at a time

  const AttentionView& v;
  const SequenceView& s;
  const uint2* q;  // fragments in shared memory, [zone][part][step of 16][lane]
  Query<double> query;
  float slope;
  int lane, kv;
  float o[kD / 8][4], largest = -INFINITY, total = 0;
  uint4 keys[2][kD / 32], values[4][kAhead ? kD / 64 : 1];

  __device__ int token(int n0, int j) const { return n0 + 2 * (lane % 4) + (j & 1) + 8 * (j >> 1); }

  template <class Real>
  __device__ void find_pairs(Pairs& pairs, int n0) const {
    Query<Real> at{
        {static_cast<Real>(query.place.at), static_cast<Real>(query.place.coarse)}, query.first, query.last};
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
    pairs.zones = __reduce_or_sync(0xffffffffu, mine) & ((1u << kMaxAttentionZones) - 1);
    return pairs;
  }

  __device__ void load_keys(int n0, int z) {
    const std::byte* from = key_address(v.zone[z].keys, s.index, kv, n0);
#pragma unroll
    for (int b = 0; b < 2; ++b) {
      int n = 8 * b + lane / 4;
#pragma unroll
      for (int k = 0; k < kD / 32; ++k) {
        int at = 32 * k + 8 * (lane % 4);
        bool valid = n0 + n < s.keys && at < v.head_dim;
        keys[b][k] = valid ? load_once(from + (n * v.head_dim + at) * 2) : uint4{0, 0, 0, 0};
      }
    }
  }
  /// Elements 64 m .. 64 m + 63.
  __device__ void load_values(int n0, int m) {
    const std::byte* from = key_address(v.values, s.index, kv, n0);
    int at = 64 * m + 8 * (lane / 4);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      int n = token(n0, j);
      bool valid = n < s.keys && at < v.head_dim;
      values[j][kAhead ? m : 0] =
          valid ? load_once(from + ((n - n0) * v.head_dim + at) * 2) : uint4{0, 0, 0, 0};
    }
  }
  __device__ void load_all_values(int n0) {
#pragma unroll
    for (int m = 0; m < kD / 64; ++m) load_values(n0, m);
  }

  /// scores += q k over one step of 16 elements: of three parts of q.
  __device__ void multiply(float (&scores)[4], int z, int step, uint32_t b0, uint32_t b1) const {
    const uint2* at = q + (z * 3 * (kD / 16) + step) * 32 + lane;
    uint2 high = at[0], middle = at[(kD / 16) * 32], low = at[2 * (kD / 16) * 32];
    mma(scores, high.x, middle.x, high.y, middle.y, b0, b1);
    mma(scores, low.x, 0, low.y, 0, b0, b1);
  }
  __device__ void add_products(float (&scores)[2][4], int z, int n0) const {
    if constexpr (kVectors) {
#pragma unroll
      for (int k = 0; k < kD / 32; ++k) {
        if (32 * k >= v.head_dim) break;
#pragma unroll
        for (int b = 0; b < 2; ++b) {
          multiply(scores[b], z, 2 * k, keys[b][k].x, keys[b][k].y);
          multiply(scores[b], z, 2 * k + 1, keys[b][k].z, keys[b][k].w);
        }
      }
    } else {
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
            multiply(scores[b], z, 2 * k, packed[0], packed[1]);
            multiply(scores[b], z, 2 * k + 1, packed[2], packed[3]);
          }
        }
      }
    }
  }

  /// The scores of the lane's pairs from `scores`, of zone z.
  __device__ void take_scores(float (&score)[4], const float (&scores)[2][4], const Pairs& pairs, uint32_t z,
                              int n0) const {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (pairs.zone[j] != z) continue;
      score[j] = v.scale * (scores[j >> 1][j & 1] + scores[j >> 1][2 + (j & 1)]);
      if (v.slopes) {
        double at = place_of<double>(v, token(n0, j)).at;
        score[j] -= slope * static_cast<float>(query.place.at - at);
      }
    }
  }

  __device__ void add_values(const float (&score)[4], int n0) {
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
    float p[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      p[j] = score[j] == -INFINITY ? 0 : expf(score[j] - largest);
      total += p[j];
    }
    Three near = three_parts(p[0], p[1]), far = three_parts(p[2], p[3]);
    auto add = [&](int tile, uint32_t b0, uint32_t b1) {
      mma(o[tile], near.high, near.middle, far.high, far.middle, b0, b1);
      mma(o[tile], near.low, 0, far.low, 0, b0, b1);
    };
    auto add_word = [&](int tile, uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3) {
      add(tile, __byte_perm(w0, w1, 0x5410), __byte_perm(w2, w3, 0x5410));
      add(tile + 1, __byte_perm(w0, w1, 0x7632), __byte_perm(w2, w3, 0x7632));
    };
    if constexpr (kVectors) {
#pragma unroll
      for (int m = 0; m < kD / 64; ++m) {
        if (64 * m >= v.head_dim) break;
        if (!kAhead) load_values(n0, m);
        const int at = kAhead ? m : 0;
        add_word(8 * m, values[0][at].x, values[1][at].x, values[2][at].x, values[3][at].x);
        add_word(8 * m + 2, values[0][at].y, values[1][at].y, values[2][at].y, values[3][at].y);
        add_word(8 * m + 4, values[0][at].z, values[1][at].z, values[2][at].z, values[3][at].z);
        add_word(8 * m + 6, values[0][at].w, values[1][at].w, values[2][at].w, values[3][at].w);
      }
    } else {
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
            add(8 * m + i, b0, b1);
          }
        }
      }
    }
  }

  /// Tokens begin + 16 warp, and so on by 64, below end. The loads of a step go out while the one before is
  /// computed.
  __device__ void run(int begin, int end) {
#pragma unroll
    for (auto& x : o)
#pragma unroll
      for (float& y : x) y = 0;
    int n0 = begin;
    Pairs pairs{};
    auto first_loads = [&] {
      while (n0 < end && (pairs = pairs_of(n0)).zones == 0) n0 += kBlockStep;
      if (n0 < end && kVectors) load_keys(n0, __ffs(static_cast<int>(pairs.zones)) - 1);
    };
    first_loads();
    if (n0 < end && kVectors && kAhead) load_all_values(n0);
    while (n0 < end) {
      float score[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
      for (bool again = false; pairs.zones != 0; again = true) {
        int z = __ffs(static_cast<int>(pairs.zones)) - 1;
        pairs.zones &= pairs.zones - 1;
        if (again && kVectors) load_keys(n0, z);
        float scores[2][4] = {};
        add_products(scores, z, n0);
        take_scores(score, scores, pairs, static_cast<uint32_t>(z), n0);
      }
      int now = n0;
      n0 += kBlockStep;
      if (kAhead) first_loads();
      add_values(score, now);
      if (!kAhead) first_loads();
      if (n0 < end && kVectors && kAhead) load_all_values(n0);
    }
  }
};

}  // namespace longspan
