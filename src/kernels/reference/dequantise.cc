// Dequantisation of every block format: the specification. Layouts are those of the GGUF specification: a
// block starts (Q6_K: ends) with its F16 scale d; "_0" formats are symmetric (y = d q), "_1" formats have an
// F16 minimum m (y = d q + m). K formats are superblocks of 256 with an integer scale for every 32 (Q6_K: 16)
// weights: y = d s q - dmin m. Nibbles of one byte lie half a group apart, not side by side.
#include <cassert>
#include <cstring>

#include "kernels/kernels.h"

namespace longspan {

namespace {

float half_at(const uint8_t* p) {
  uint16_t h;
  std::memcpy(&h, p, 2);
  return f16_to_f32(h);
}

/// Weight i of a group of 2 * half that is packed in `half` bytes: first half in the low nibbles.
int nibble(const uint8_t* q, int i, int half) { return i < half ? q[i] & 15 : q[i - half] >> 4; }

/// Bit i of 32 bits.
int bit(const uint8_t* bits, int i) { return (bits[i / 8] >> (i % 8)) & 1; }

void block_q8_0(float* out, const uint8_t* in) {  // d, q[32] signed
  float d = half_at(in);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(in[2 + i]));
}

void block_q4_0(float* out, const uint8_t* in) {  // d, q[16]
  float d = half_at(in);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(nibble(in + 2, i, 16) - 8);
}

void block_q4_1(float* out, const uint8_t* in) {  // d, m, q[16]
  float d = half_at(in), m = half_at(in + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(nibble(in + 4, i, 16)) + m;
}

void block_q5_0(float* out, const uint8_t* in) {  // d, fifth bits [4], q[16]
  float d = half_at(in);
  for (int i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>((nibble(in + 6, i, 16) | bit(in + 2, i) << 4) - 16);
}

void block_q5_1(float* out, const uint8_t* in) {  // d, m, fifth bits [4], q[16]
  float d = half_at(in), m = half_at(in + 2);
  for (int i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>(nibble(in + 8, i, 16) | bit(in + 4, i) << 4) + m;
}

/// Scale and minimum of group j of 8, 6 bits each, in 12 bytes: groups 0-3 lie in the low six bits of bytes j
/// and j + 4; groups 4-7 have their low four bits in the nibbles of byte j + 4 and their high two bits on top
/// of those of group j - 4.
void scale_min(const uint8_t* s, int j, int& scale, int& min) {
  if (j < 4) {
    scale = s[j] & 63, min = s[j + 4] & 63;
  } else {
    scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    min = s[j + 4] >> 4 | (s[j] >> 6) << 4;
  }
}

/// Q4_K (no fifth bits) and Q5_K: bit j of fifth[i] belongs to weight i of group j.
void block_q45_k(float* out, const uint8_t* in, const uint8_t* fifth, const uint8_t* q) {
  float d = half_at(in), dmin = half_at(in + 2);
  for (int j = 0; j < 8; ++j) {
    int scale, min;
    scale_min(in + 4, j, scale, min);
    float ds = d * static_cast<float>(scale), m = dmin * static_cast<float>(min);
    for (int i = 0; i < 32; ++i) {
      int v = nibble(q + j / 2 * 32, j % 2 * 32 + i, 32);
      if (fifth) v |= ((fifth[i] >> j) & 1) << 4;
      out[32 * j + i] = ds * static_cast<float>(v) - m;
    }
  }
}

void block_q4_k(float* out, const uint8_t* in) {  // d, dmin, scales[12], q[128]
  block_q45_k(out, in, nullptr, in + 16);
}

void block_q5_k(float* out, const uint8_t* in) {  // d, dmin, scales[12], fifth bits [32], q[128]
  block_q45_k(out, in, in + 16, in + 48);
}

void block_q6_k(float* out,
                const uint8_t* in) {  // low nibbles [128], high two bits [64], signed scales[16], d
  const uint8_t *scales = in + 192, *high = in + 128;
  float d = half_at(in + 208);
  for (int j = 0; j < 8;
       ++j) {  // groups of 32, two scales each; four groups share 64 bytes of nibbles, 32 of high bits
    for (int i = 0; i < 32; ++i) {
      int low = nibble(in + j / 4 * 64, j % 4 * 32 + i, 64);
      int q = (low | ((high[j / 4 * 32 + i] >> (j % 4 * 2)) & 3) << 4) - 32;
      float ds = d * static_cast<float>(static_cast<int8_t>(scales[2 * j + i / 16]));
      out[32 * j + i] = ds * static_cast<float>(q);
    }
  }
}

void blocks(void (*block)(float*, const uint8_t*), float* out, const void* in, DType dtype, int64_t n) {
  const DTypeInfo& info = dtype_info(dtype);
  assert(n % info.block_elements == 0);
  auto* bytes = static_cast<const uint8_t*>(in);
  for (int64_t i = 0; i < n; i += info.block_elements, bytes += info.block_bytes) block(out + i, bytes);
}

}  // namespace

void dequantise(float* out, const void* in, DType dtype, int64_t n) {
  auto* h = static_cast<const uint16_t*>(in);
  switch (dtype) {
    case DType::F32:
      std::memcpy(out, in, static_cast<size_t>(n) * 4);
      break;
    case DType::F16:
      for (int64_t i = 0; i < n; ++i) out[i] = f16_to_f32(h[i]);
      break;
    case DType::BF16:
      for (int64_t i = 0; i < n; ++i) out[i] = bf16_to_f32(h[i]);
      break;
    case DType::Q8_0:
      blocks(block_q8_0, out, in, dtype, n);
      break;
    case DType::Q4_0:
      blocks(block_q4_0, out, in, dtype, n);
      break;
    case DType::Q4_1:
      blocks(block_q4_1, out, in, dtype, n);
      break;
    case DType::Q5_0:
      blocks(block_q5_0, out, in, dtype, n);
      break;
    case DType::Q5_1:
      blocks(block_q5_1, out, in, dtype, n);
      break;
    case DType::Q4_K:
      blocks(block_q4_k, out, in, dtype, n);
      break;
    case DType::Q5_K:
      blocks(block_q5_k, out, in, dtype, n);
      break;
    case DType::Q6_K:
      blocks(block_q6_k, out, in, dtype, n);
      break;
    case DType::I32:
    case DType::F64:
      assert(false);
      break;
  }
}

}  // namespace longspan
