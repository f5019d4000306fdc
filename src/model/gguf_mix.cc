#include "model/gguf_mix.h"

#include <cassert>
#include <charconv>

namespace longspan {

namespace {

bool named(const MixedTensor& t, const char* part) { return t.name.find(part) != std::string::npos; }

/// The number in "blk.N."; -1 where there is none.
int64_t layer_of(const std::string& name) {
  int64_t layer = -1;
  if (name.starts_with("blk.")) std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return layer;
}

/// The first and last eighth of the layers, and every third one between.
bool finer_layer(int64_t layer, int64_t layers) {
  int64_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

}  // namespace

DType fitting_type(DType type, int64_t cols) {
  if (cols % dtype_info(type).block_elements == 0) return type;
  DType other = type == DType::Q4_K   ? DType::Q5_0
                : type == DType::Q5_K ? DType::Q5_1
                : type == DType::Q6_K ? DType::Q8_0
                                      : DType::F16;
  return cols % dtype_info(other).block_elements == 0 ? other : DType::F16;
}

DType mixed_type(const MixedTensor& t, DType type) {
  // The choice of experts decides everything that follows it.
  bool router = named(t, "ffn_gate_inp");
  if (t.dims == 1 || router || type == DType::F32) return DType::F32;
  if (!is_quantised(type)) return type;
  DType wished = type;
  bool k_mix = type == DType::Q4_K || type == DType::Q5_K;
  bool sensitive = named(t, "attn_v.") || named(t, "attn_qkv.") || named(t, "ffn_down");
  if (t.is_head && type != DType::Q8_0) wished = DType::Q6_K;
  if (k_mix && sensitive && finer_layer(layer_of(t.name), t.layers)) wished = DType::Q6_K;
  return fitting_type(wished, t.cols);
}

int gguf_file_type(DType type) {
  constexpr struct {
    DType type;
    int number;
  } kNumbers[] = {{DType::F32, 0},   {DType::F16, 1},   {DType::Q4_0, 2}, {DType::Q4_1, 3},
                  {DType::Q8_0, 7},  {DType::Q5_0, 8},  {DType::Q5_1, 9}, {DType::Q4_K, 15},
                  {DType::Q5_K, 17}, {DType::Q6_K, 18}, {DType::BF16, 32}};
  for (const auto& row : kNumbers)
    if (row.type == type) return row.number;
  assert(false);
  return 0;
}

}  // namespace longspan
