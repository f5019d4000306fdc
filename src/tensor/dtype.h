// Element types: one row each. Quantised types are blocks of 32 or 256 weights with their scales, laid out as
// in GGUF. F64 is for sums that a device writes and the host reads, never for weights.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace longspan {

enum class DType : uint8_t { F32, F16, BF16, I32, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, F64 };

struct DTypeInfo {
  DType dtype;
  const char* name;    // "F32", "Q4_K"
  int block_elements;  // 1, 32 or 256
  int block_bytes;     // bytes of one block
};

const DTypeInfo& dtype_info(DType dtype);
inline const char* name(DType dtype) { return dtype_info(dtype).name; }
/// Upper or lower case name; nullopt when unknown.
std::optional<DType> dtype_from_name(std::string_view name);
/// Bytes of `elements` consecutive elements; elements must be a multiple of the block.
int64_t dtype_bytes(DType dtype, int64_t elements);
inline bool is_quantised(DType dtype) { return dtype_info(dtype).block_elements > 1; }

/// IEEE half and bfloat16 conversions, round to nearest even; NaN stays NaN.
float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);
inline float bf16_to_f32(uint16_t b) {
  uint32_t bits = static_cast<uint32_t>(b) << 16;
  float f;
  __builtin_memcpy(&f, &bits, 4);
  return f;
}
inline uint16_t f32_to_bf16(float f) {
  uint32_t bits;
  __builtin_memcpy(&bits, &f, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace longspan
