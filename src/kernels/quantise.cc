// The inverse of reference/dequantise.cc, which has the layouts. A group of weights is described by a step d
// and integers q (y = d q), or by a step, integers and an offset (y = d q - m). The search tries steps around
// the plain one, (largest - smallest) / levels; for given integers the best step and offset are those of
// linear regression.
#include "kernels/quantise.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <span>

namespace longspan {

namespace {

constexpr int kSuper = 256;       // weights in a superblock
constexpr int kCandidates = 9;    // steps tried on either side of the plain one
constexpr float kSpacing = 0.1f;  // between candidates, in levels
constexpr float kLargestF16 = 65504;
constexpr float kNothing = 1e-30f;  // a smaller range is that of zeros: its inverse would overflow

/// Importance of each weight: the group's root mean square plus its own size. In double, like all sums here:
/// products of three weights leave the range of F32.
std::array<double, 32> importance(std::span<const float> x) {
  double squares = 0;
  for (double v : x) squares += v * v;
  double base = std::sqrt(squares / static_cast<double>(x.size()));
  std::array<double, 32> w{};
  for (size_t i = 0; i < x.size(); ++i) w[i] = base + std::abs(x[i]);
  return w;
}

int nearest(float x, int least, int most) {
  return static_cast<int>(std::lrintf(std::clamp(x, static_cast<float>(least), static_cast<float>(most))));
}

/// The step d of y = d q, q from -levels to levels - 1, of either sign.
float symmetric_step(std::span<const float> x, int levels) {
  float extreme = 0;
  for (float v : x)
    if (std::abs(v) > std::abs(extreme)) extreme = v;
  if (std::abs(extreme) < kNothing) return 0;
  std::array<double, 32> w = importance(x);
  double best = -1, step = 0;
  for (int candidate = -kCandidates; candidate <= kCandidates; ++candidate) {
    // The extreme weight falls on -levels, the side that reaches further.
    float inverse = -(static_cast<float>(levels) + kSpacing * static_cast<float>(candidate)) / extreme;
    double xq = 0, qq = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      double q = nearest(inverse * x[i], -levels, levels - 1);
      xq += w[i] * x[i] * q, qq += w[i] * q * q;
    }
    if (qq > 0 && xq * xq > best * qq) best = xq * xq / qq, step = xq / qq;
  }
  return static_cast<float>(step);
}

struct Affine {
  float step = 0, min = 0;  // y = step q - min, step >= 0
};

/// q from 0 to levels. `lowered`: min >= 0, as superblocks store it.
Affine affine_fit(std::span<const float> x, int levels, bool lowered) {
  auto [least, most] = std::minmax_element(x.begin(), x.end());
  float low = lowered ? std::min(*least, 0.0f) : *least, high = *most;
  if (high - low < kNothing) return {0, -low};
  std::array<double, 32> w = importance(x);
  auto error_of = [&](const Affine& a) {
    double sum = 0;
    float inverse = a.step > 0 ? 1 / a.step : 0;
    for (size_t i = 0; i < x.size(); ++i) {
      float y = a.step * static_cast<float>(nearest((x[i] + a.min) * inverse, 0, levels)) - a.min;
      sum += w[i] * static_cast<double>(x[i] - y) * static_cast<double>(x[i] - y);
    }
    return sum;
  };
  Affine best{(high - low) / static_cast<float>(levels), -low};
  double error = error_of(best);
  for (int candidate = -kCandidates; candidate <= kCandidates; ++candidate) {
    float inverse = (static_cast<float>(levels) + kSpacing * static_cast<float>(candidate)) / (high - low);
    double sw = 0, sq = 0, sqq = 0, sx = 0, sxq = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      double q = nearest((x[i] - low) * inverse, 0, levels);
      sw += w[i], sq += w[i] * q, sqq += w[i] * q * q, sx += w[i] * x[i], sxq += w[i] * x[i] * q;
    }
    double determinant = sw * sqq - sq * sq;
    if (!(determinant > 0)) continue;
    Affine fit{static_cast<float>((sw * sxq - sx * sq) / determinant),
               static_cast<float>((sq * sxq - sqq * sx) / determinant)};
    if (lowered && fit.min < 0) fit = {static_cast<float>(sxq / sqq), 0};
    if (!(fit.step > 0)) continue;
    if (double e = error_of(fit); e < error) error = e, best = fit;
  }
  return best;
}

/// Writes `value` as F16 and returns what a reader will see; false in `fits` when it is too large.
float put_half(uint8_t* out, float value, bool& fits) {
  fits &= std::abs(value) <= kLargestF16;
  uint16_t bits = f32_to_f16(value);
  std::memcpy(out, &bits, 2);
  return f16_to_f32(bits);
}

/// Integers of 32 weights, low nibbles first, and their fifth bits where there is room for them.
void put_nibbles(uint8_t* out, uint8_t* fifth, const std::array<int, 32>& q) {
  for (size_t i = 0; i < 16; ++i) out[i] = static_cast<uint8_t>((q[i] & 15) | (q[i + 16] & 15) << 4);
  if (!fifth) return;
  std::fill_n(fifth, 4, uint8_t{0});
  for (size_t i = 0; i < 32; ++i) fifth[i / 8] = static_cast<uint8_t>(fifth[i / 8] | (q[i] >> 4) << (i % 8));
}

bool block_q8_0(uint8_t* out, const float* x) {
  bool fits = true;
  float largest = 0;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::abs(x[i]));
  float d = put_half(out, largest / 127, fits), inverse = d > 0 ? 1 / d : 0;
  for (int i = 0; i < 32; ++i)
    out[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(nearest(x[i] * inverse, -127, 127)));
  return fits;
}

/// Q4_0 and Q5_0.
bool block_symmetric(uint8_t* out, const float* x, int levels) {
  bool fits = true, five = levels == 16;
  float d = put_half(out, symmetric_step({x, 32}, levels), fits), inverse = d != 0 ? 1 / d : 0;
  std::array<int, 32> q{};
  for (size_t i = 0; i < 32; ++i) q[i] = nearest(x[i] * inverse, -levels, levels - 1) + levels;
  put_nibbles(out + (five ? 6 : 2), five ? out + 2 : nullptr, q);
  return fits;
}

/// Q4_1 and Q5_1.
bool block_affine(uint8_t* out, const float* x, int levels) {
  bool fits = true, five = levels == 31;
  Affine a = affine_fit({x, 32}, levels, false);
  float d = put_half(out, a.step, fits), m = put_half(out + 2, -a.min, fits), inverse = d > 0 ? 1 / d : 0;
  std::array<int, 32> q{};
  for (size_t i = 0; i < 32; ++i) q[i] = nearest((x[i] - m) * inverse, 0, levels);
  put_nibbles(out + (five ? 8 : 4), five ? out + 4 : nullptr, q);
  return fits;
}

/// The eight 6-bit scales and minima of a superblock in 12 bytes; dequantise.cc describes the packing.
void put_scales(uint8_t* s, const std::array<int, 8>& scale, const std::array<int, 8>& min) {
  std::fill_n(s, 12, uint8_t{0});
  auto add = [](uint8_t& byte, int bits) { byte = static_cast<uint8_t>(byte | bits); };
  for (size_t j = 0; j < 4; ++j) add(s[j], scale[j]), add(s[j + 4], min[j]);
  for (size_t j = 4; j < 8; ++j) {
    add(s[j + 4], (scale[j] & 15) | (min[j] & 15) << 4);
    add(s[j - 4], (scale[j] >> 4) << 6);
    add(s[j], (min[j] >> 4) << 6);
  }
}

/// Q4_K and Q5_K.
bool superblock_affine(uint8_t* out, const float* x, int levels) {
  constexpr int kMostScale = 63;
  bool fits = true, five = levels == 31;
  std::array<Affine, 8> groups;
  float step = 0, least = 0;
  for (size_t j = 0; j < 8; ++j) {
    groups[j] = affine_fit({x + 32 * j, 32}, levels, true);
    step = std::max(step, groups[j].step), least = std::max(least, groups[j].min);
  }
  float d = put_half(out, step / kMostScale, fits), dmin = put_half(out + 2, least / kMostScale, fits);
  std::array<int, 8> scale{}, min{};
  uint8_t *high = out + 16, *low = five ? out + 48 : out + 16;
  if (five) std::fill_n(high, 32, uint8_t{0});
  for (size_t j = 0; j < 8; ++j) {
    scale[j] = d > 0 ? nearest(groups[j].step / d, 0, kMostScale) : 0;
    min[j] = dmin > 0 ? nearest(groups[j].min / dmin, 0, kMostScale) : 0;
    float ds = d * static_cast<float>(scale[j]), m = dmin * static_cast<float>(min[j]);
    float inverse = ds > 0 ? 1 / ds : 0;
    for (size_t i = 0; i < 32; ++i) {
      int q = nearest((x[32 * j + i] + m) * inverse, 0, levels);
      uint8_t& nibbles = low[j / 2 * 32 + i];
      nibbles = static_cast<uint8_t>(j % 2 == 0 ? q & 15 : nibbles | (q & 15) << 4);
      if (five) high[i] = static_cast<uint8_t>(high[i] | (q >> 4) << j);
    }
  }
  put_scales(out + 4, scale, min);
  return fits;
}

bool superblock_q6_k(uint8_t* out, const float* x) {
  constexpr int kGroup = 16, kLevels = 32;
  bool fits = true;
  std::array<float, kSuper / kGroup> steps{};
  float extreme = 0;
  for (size_t j = 0; j < steps.size(); ++j) {
    steps[j] = symmetric_step({x + kGroup * j, kGroup}, kLevels);
    if (std::abs(steps[j]) > std::abs(extreme)) extreme = steps[j];
  }
  uint8_t *high = out + 128, *scales = out + 192;
  std::fill_n(out, 192, uint8_t{0});
  float d = put_half(out + 208, extreme / -128, fits);
  for (size_t j = 0; j < steps.size(); ++j) {
    int scale = d != 0 ? nearest(steps[j] / d, -128, 127) : 0;
    scales[j] = static_cast<uint8_t>(static_cast<int8_t>(scale));
    float ds = d * static_cast<float>(scale), inverse = ds != 0 ? 1 / ds : 0;
    for (size_t i = 0; i < kGroup; ++i) {
      int q = nearest(x[kGroup * j + i] * inverse, -kLevels, kLevels - 1) + kLevels;
      size_t at = kGroup * j + i, half = at / 128, in = at % 128;
      uint8_t& nibbles = out[half * 64 + in % 64];
      uint8_t& bits = high[half * 32 + in % 32];
      nibbles = static_cast<uint8_t>(nibbles | (q & 15) << (in / 64 * 4));
      bits = static_cast<uint8_t>(bits | (q >> 4) << (in / 32 * 2));
    }
  }
  return fits;
}

bool block(uint8_t* out, const float* x, DType dtype) {
  switch (dtype) {
    case DType::Q8_0:
      return block_q8_0(out, x);
    case DType::Q4_0:
      return block_symmetric(out, x, 8);
    case DType::Q5_0:
      return block_symmetric(out, x, 16);
    case DType::Q4_1:
      return block_affine(out, x, 15);
    case DType::Q5_1:
      return block_affine(out, x, 31);
    case DType::Q4_K:
      return superblock_affine(out, x, 15);
    case DType::Q5_K:
      return superblock_affine(out, x, 31);
    case DType::Q6_K:
      return superblock_q6_k(out, x);
    default:
      assert(false);
      return false;
  }
}

bool round_to_16(uint8_t* out, const float* in, DType dtype, int64_t n) {
  bool fits = true;
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits = dtype == DType::F16 ? f32_to_f16(in[i]) : f32_to_bf16(in[i]);
    if (dtype == DType::F16) fits &= (bits & 0x7fff) != 0x7c00;
    std::memcpy(out + 2 * i, &bits, 2);
  }
  return fits;
}

}  // namespace

bool can_quantise(DType dtype) { return dtype != DType::I32 && dtype != DType::F64; }

bool quantise(void* out, const float* in, DType dtype, int64_t n) {
  auto* bytes = static_cast<uint8_t*>(out);
  if (dtype == DType::F32) {
    std::memcpy(out, in, static_cast<size_t>(n) * sizeof(float));
    return true;
  }
  if (!is_quantised(dtype)) return round_to_16(bytes, in, dtype, n);
  const DTypeInfo& info = dtype_info(dtype);
  assert(n % info.block_elements == 0);
  bool fits = true;
  for (int64_t i = 0; i < n; i += info.block_elements, bytes += info.block_bytes)
    fits &= block(bytes, in + i, dtype);
  return fits;
}

}  // namespace longspan
