#include "tensor/dtype.h"

#include <strings.h>

#include <cassert>
#include <cstring>
#include <string>

namespace longspan {

namespace {
constexpr DTypeInfo kTypes[] = {
    {DType::F32, "F32", 1, 4},       {DType::F16, "F16", 1, 2},       {DType::BF16, "BF16", 1, 2},
    {DType::I32, "I32", 1, 4},       {DType::Q8_0, "Q8_0", 32, 34},   {DType::Q4_0, "Q4_0", 32, 18},
    {DType::Q4_1, "Q4_1", 32, 20},   {DType::Q5_0, "Q5_0", 32, 22},   {DType::Q5_1, "Q5_1", 32, 24},
    {DType::Q4_K, "Q4_K", 256, 144}, {DType::Q5_K, "Q5_K", 256, 176}, {DType::Q6_K, "Q6_K", 256, 210},
    {DType::F64, "F64", 1, 8},
};
}  // namespace

const DTypeInfo& dtype_info(DType dtype) {
  const DTypeInfo& row = kTypes[static_cast<int>(dtype)];
  assert(row.dtype == dtype);
  return row;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeInfo& row : kTypes)
    if (strcasecmp(std::string(name).c_str(), row.name) == 0) return row.dtype;
  return std::nullopt;
}

int64_t dtype_bytes(DType dtype, int64_t elements) {
  const DTypeInfo& row = dtype_info(dtype);
  assert(elements % row.block_elements == 0);
  return elements / row.block_elements * row.block_bytes;
}

float f16_to_f32(uint16_t h) {
  uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16, exponent = (h >> 10) & 0x1f,
           mantissa = h & 0x3ffu, bits;
  if (exponent == 0x1f) {
    bits = sign | 0x7f800000u | (mantissa << 13);
  } else if (exponent != 0) {
    bits = sign | ((exponent + 112) << 23) | (mantissa << 13);
  } else {
    float f = static_cast<float>(mantissa) * 0x1.0p-24f;  // subnormal: exact in F32
    std::memcpy(&bits, &f, 4);
    bits |= sign;
  }
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

uint16_t f32_to_f16(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds to 65536 or more
  if (magnitude < 0x38800000u) {  // subnormal half: let the F32 adder round at the right bit
    float g;
    std::memcpy(&g, &magnitude, 4);
    g += 0.5f;
    uint32_t r;
    std::memcpy(&r, &g, 4);
    return static_cast<uint16_t>(sign | (r - 0x3f000000u));
  }
  uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

}  // namespace longspan
