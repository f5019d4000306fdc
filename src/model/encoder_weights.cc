// The weights of an encoder, from either format. Norms, biases and positions become F32; the factors of
// products are written as the device multiplies them.
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "base/threads.h"
#include "model/encoder.h"

namespace longspan {

namespace {

/// Stems by role; those of a layer follow `layer` with its number for {}.
struct Names {
  const char* layer;
  const char *words, *positions, *types, *norm;
  const char *q, *k, *v, *o, *attn_norm, *up, *down, *mlp_norm;
};
constexpr Names kHuggingFace = {.layer = "encoder.layer.{}.",
                                .words = "embeddings.word_embeddings",
                                .positions = "embeddings.position_embeddings",
                                .types = "embeddings.token_type_embeddings",
                                .norm = "embeddings.LayerNorm",
                                .q = "attention.self.query",
                                .k = "attention.self.key",
                                .v = "attention.self.value",
                                .o = "attention.output.dense",
                                .attn_norm = "attention.output.LayerNorm",
                                .up = "intermediate.dense",
                                .down = "output.dense",
                                .mlp_norm = "output.LayerNorm"};
constexpr Names kGguf = {.layer = "blk.{}.",
                         .words = "token_embd",
                         .positions = "position_embd",
                         .types = "token_types",
                         .norm = "token_embd_norm",
                         .q = "attn_q",
                         .k = "attn_k",
                         .v = "attn_v",
                         .o = "attn_output",
                         .attn_norm = "attn_output_norm",
                         .up = "ffn_up",
                         .down = "ffn_down",
                         .mlp_norm = "layer_output_norm"};

/// Heads that training put on top, which an embedding does not go through.
bool ignorable(const std::string& name) {
  return name.find("pooler.") != name.npos || name.starts_with("cls.") || name.ends_with("position_ids");
}

struct Loader {
  const Checkpoint& checkpoint;
  const EncoderConfig& config;
  Device& device;
  Factors how;
  Arena& memory;
  bool gguf = checkpoint.format == CheckpointFormat::Gguf;
  const Names& names = gguf ? kGguf : kHuggingFace;
  std::string prefix = !gguf && checkpoint.find("bert.embeddings.word_embeddings.weight") ? "bert." : "";
  std::set<std::string> used = {};

  std::string file() const { return checkpoint.path.string(); }

  Tensor take(const std::string& stem, std::initializer_list<int64_t> sizes) {
    std::string name = prefix + stem;
    Tensor t = checkpoint.require(name);
    if (!std::equal(sizes.begin(), sizes.end(), t.size, t.size + t.dims))
      fail("{}: tensor {} is {}; the config asks for {}", file(), excerpt(name),
           fmt::join(t.size, t.size + t.dims, " x "), fmt::join(sizes, " x "));
    if (t.dtype == DType::I32) fail("{}: tensor {} holds integers", file(), excerpt(name));
    check_finite({name, t}, file());
    used.insert(name);
    return t;
  }

  /// Host memory of the loaded tensor becomes the device's.
  Tensor placed(const char* label, const Tensor& host) {
    Tensor t = host.dims == 1 ? memory.vector(label, host.dtype, host.size[0])
                              : memory.matrix(label, host.dtype, host.rows(), host.cols());
    device.upload(t.data, host.data, host.bytes());
    return t;
  }

  /// All elements as F32.
  static std::vector<float> values(const Tensor& t) {
    std::vector<float> out(static_cast<size_t>(t.rows() * t.cols()));
    auto bytes = static_cast<size_t>(dtype_bytes(t.dtype, t.cols()));
    parallel_for(t.rows(), [&](int64_t r) {
      std::vector<std::byte> raw(bytes);  // aligned, which the file's bytes need not be
      std::memcpy(raw.data(), static_cast<const std::byte*>(t.data) + r * t.row_stride, bytes);
      dequantise(out.data() + r * t.cols(), raw.data(), t.dtype, t.cols());
    });
    return out;
  }

  Tensor vector(const std::string& stem, int64_t n) {
    std::vector<float> x = values(take(stem, {n}));
    return placed("encoder norms and biases", host_vector(x.data(), DType::F32, n));
  }

  LayerNorm norm(const std::string& stem) {
    return {vector(stem + ".weight", config.hidden_size), vector(stem + ".bias", config.hidden_size)};
  }

  Linear linear(const std::string& stem, int64_t rows, int64_t cols) {
    std::vector<float> x = values(take(stem + ".weight", {rows, cols}));
    Linear w;
    w.bias = vector(stem + ".bias", rows);
    if (how == Factors::F32) {
      w.weight = placed("encoder weights", host_matrix(x.data(), DType::F32, rows, cols));
      return w;
    }
    int64_t parts = how == Factors::Split ? 3 : 1;
    std::vector<uint16_t> factors(static_cast<size_t>(rows * cols * parts));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < cols; ++i) {
        float value = x[static_cast<size_t>(r * cols + i)];
        uint16_t high = f32_to_bf16(value), low = f32_to_bf16(value - bf16_to_f32(high));
        // Against the high, low and high parts of the other factor.
        const uint16_t in_order[3] = {high, high, low};
        for (int64_t p = 0; p < parts; ++p)
          factors[static_cast<size_t>((r * parts + p) * cols + i)] = in_order[p];
      }
    w.weight = placed("encoder weights", host_matrix(factors.data(), DType::BF16, rows, cols * parts));
    return w;
  }

  /// Texts have one segment: its type's row belongs to every position.
  Tensor positions() {
    int64_t C = config.hidden_size;
    std::vector<float> rows =
        values(take(std::string(names.positions) + ".weight", {config.max_position_embeddings, C}));
    std::vector<float> types =
        values(take(std::string(names.types) + ".weight", {config.type_vocab_size, C}));
    for (size_t i = 0; i < rows.size(); ++i) rows[i] += types[i % static_cast<size_t>(C)];
    return placed("encoder positions",
                  host_matrix(rows.data(), DType::F32, config.max_position_embeddings, C));
  }

  EncoderLayer layer(int64_t l) {
    int64_t C = config.hidden_size, F = config.intermediate_size;
    std::string at = fmt::format(fmt::runtime(names.layer), l);
    EncoderLayer w;
    w.q = linear(at + names.q, C, C);
    w.k = linear(at + names.k, C, C);
    w.v = linear(at + names.v, C, C);
    w.o = linear(at + names.o, C, C);
    w.attn_norm = norm(at + names.attn_norm);
    w.up = linear(at + names.up, F, C);
    w.down = linear(at + names.down, C, F);
    w.mlp_norm = norm(at + names.mlp_norm);
    return w;
  }

  void refuse_others() const {
    for (const NamedTensor& t : checkpoint.tensors)
      if (!used.contains(t.name) && !ignorable(t.name))
        fail("{}: tensor {} has no place in a BERT encoder of {} layers; reading it without would be wrong",
             file(), excerpt(t.name), config.num_hidden_layers);
  }
};

}  // namespace

Encoder load_encoder(const Checkpoint& checkpoint, const EncoderConfig& config,
                     std::shared_ptr<Device> device, Compute compute) {
  Encoder e;
  e.device = std::move(device);
  e.config = config;
  e.memory = Arena(*e.device);
  bool native = e.kernels().preferred == Compute::BF16;
  e.factors = compute == Compute::BF16 ? Factors::BF16 : native ? Factors::Split : Factors::F32;
  Loader from{
      .checkpoint = checkpoint, .config = config, .device = *e.device, .how = e.factors, .memory = e.memory};
  std::vector<float> words = Loader::values(
      from.take(std::string(from.names.words) + ".weight", {config.vocab_size, config.hidden_size}));
  e.words = from.placed("encoder words",
                        host_matrix(words.data(), DType::F32, config.vocab_size, config.hidden_size));
  e.positions = from.positions();
  e.norm = from.norm(from.names.norm);
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) e.layers.push_back(from.layer(l));
  from.refuse_others();
  e.device->synchronise();
  return e;
}

}  // namespace longspan
