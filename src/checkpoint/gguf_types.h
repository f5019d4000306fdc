// Numbers of GGUF's files, for reader and writer: types of tensors and of metadata values.
#pragma once

#include <cstdint>

namespace longspan {

struct GgufType {
  uint32_t number;
  const char* name;
  bool supported;  // there is a DType of this name
};
inline constexpr GgufType kGgufTypes[] = {
    {0, "F32", true},      {1, "F16", true},       {30, "BF16", true},    {8, "Q8_0", true},
    {2, "Q4_0", true},     {3, "Q4_1", true},      {6, "Q5_0", true},     {7, "Q5_1", true},
    {12, "Q4_K", true},    {13, "Q5_K", true},     {14, "Q6_K", true},    {10, "Q2_K", false},
    {11, "Q3_K", false},   {16, "IQ2_XXS", false}, {17, "IQ2_XS", false}, {18, "IQ3_XXS", false},
    {19, "IQ1_S", false},  {20, "IQ4_NL", false},  {21, "IQ3_S", false},  {22, "IQ2_S", false},
    {23, "IQ4_XS", false}, {24, "I8", false},      {25, "I16", false},    {26, "I32", false},
    {27, "I64", false},    {28, "F64", false},     {29, "IQ1_M", false},  {34, "TQ1_0", false},
    {35, "TQ2_0", false},  {39, "MXFP4", false},
};

enum class GgufValue : uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

}  // namespace longspan
