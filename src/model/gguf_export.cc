#include "model/gguf_export.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "base/threads.h"
#include "kernels/quantise.h"

namespace longspan {

namespace {

/// The row of the model that becomes row `row` of the file.
int64_t source_row(const FiledTensor& t, int64_t row) {
  if (t.permuted_heads == 0) return row;
  int64_t in_head = row % t.head_dim;
  if (in_head >= t.rotary_dim) return row;
  return row - in_head + in_head / 2 + (in_head % 2 == 1 ? t.rotary_dim / 2 : 0);
}

/// The collector of tensors in the order of the file.
struct Collect {
  const ModelConfig& config;
  const TensorNames& names;
  bool permuted;
  std::vector<FiledTensor> out = {};

  void add(std::string name, std::vector<Tensor> parts, int64_t heads = 0) {
    if (!parts[0]) return;
    FiledTensor t{std::move(name), std::move(parts), {}, heads, config.head_dim, config.rotary_dim};
    int64_t rows = 0;
    for (const Tensor& part : t.parts) rows += part.dims == 1 ? part.size[0] : part.rows();
    t.sizes = t.parts[0].dims == 1 ? std::vector{rows} : std::vector{rows, t.parts[0].cols()};
    out.push_back(std::move(t));
  }

  void norm(const std::string& layer, const char* stem, const Tensor& weight) {
    if (stem) add(layer + stem + ".weight", {weight});
  }

  void linear(const std::string& stem, std::vector<const Linear*> parts, int64_t heads = 0) {
    std::vector<Tensor> weights, biases;
    for (const Linear* w : parts) weights.push_back(w->weight), biases.push_back(w->bias);
    add(stem + ".weight", weights, heads);
    add(stem + ".bias", biases, heads);
  }

  /// One product of all experts as a tensor of three sizes.
  void experts(const std::string& stem, const LayerWeights& w, Linear ExpertWeights::*part) {
    std::vector<const Linear*> parts;
    for (const ExpertWeights& expert : w.experts) parts.push_back(&(expert.*part));
    linear(stem, parts);
    out.back().sizes = {config.num_experts, parts[0]->weight.rows(), parts[0]->weight.cols()};
  }

  void mixture(const LayerWeights& w, const std::string& layer) {
    linear(layer + names.router, {&w.router});
    experts(layer + names.expert_gate, w, &ExpertWeights::gate);
    experts(layer + names.expert_up, w, &ExpertWeights::up);
    experts(layer + names.expert_down, w, &ExpertWeights::down);
    if (!w.shared_router) return;
    Tensor router = w.shared_router.weight;  // [1, C], of which the file has a vector
    router.dims = 1, router.size[0] = config.hidden_size;
    add(layer + names.shared_router + ".weight", {router});
    linear(layer + names.shared_gate, {&w.shared.gate});
    linear(layer + names.shared_up, {&w.shared.up});
    linear(layer + names.shared_down, {&w.shared.down});
  }

  void layer(const LayerWeights& w, int64_t l) {
    std::string layer = fmt::format(fmt::runtime(names.layer), l);
    norm(layer, names.attn_norm, w.attn_norm);
    if (names.q_k_v) {
      linear(layer + names.q_k_v, {&w.q, &w.k, &w.v});
    } else {
      linear(layer + names.q, {&w.q}, permuted ? config.num_attention_heads : 0);
      linear(layer + names.k, {&w.k}, permuted ? config.num_key_value_heads : 0);
      linear(layer + names.v, {&w.v});
    }
    norm(layer, names.q_norm, w.q_norm), norm(layer, names.k_norm, w.k_norm);
    linear(layer + names.o, {&w.o});
    norm(layer, names.attn_post_norm, w.attn_post_norm);
    norm(layer, names.mlp_norm, w.mlp_norm);
    if (config.num_experts > 0) {
      mixture(w, layer);
    } else if (names.gate_up) {
      linear(layer + names.gate_up, {&w.gate, &w.up});
    } else {
      linear(layer + names.gate, {&w.gate});
      linear(layer + names.up, {&w.up});
    }
    if (w.down) linear(layer + names.down, {&w.down});
    norm(layer, names.mlp_post_norm, w.mlp_post_norm);
  }
};

}  // namespace

std::vector<FiledTensor> gguf_tensors(const Weights& weights, const ModelConfig& config) {
  Collect collect{config, *row_of(config).gguf_names, row_of(config).gguf_permuted};
  const TensorNames& names = collect.names;
  collect.add(std::string(names.embedding) + ".weight", {weights.embedding});
  for (size_t l = 0; l < weights.layers.size(); ++l)
    collect.layer(weights.layers[l], static_cast<int64_t>(l));
  collect.add(std::string(names.final_norm) + ".weight", {weights.final_norm});
  if (!config.tie_word_embeddings) collect.add(std::string(names.head) + ".weight", {weights.head.weight});
  return std::move(collect.out);
}

Json config_to_gguf(const ModelConfig& c) {
  const Architecture& row = row_of(c);
  Json keys = {{"general.architecture", row.name}};
  auto put = [&](const char* key, const Json& value) { keys[row.name + std::string(".") + key] = value; };
  put("block_count", c.num_hidden_layers);
  put("embedding_length", c.hidden_size);
  put("feed_forward_length", c.intermediate_size);
  put("attention.head_count", c.num_attention_heads);
  put("attention.head_count_kv", c.num_key_value_heads);
  put("attention.key_length", c.head_dim);
  put("attention.value_length", c.head_dim);
  put("attention.layer_norm_rms_epsilon", static_cast<double>(c.rms_norm_eps));
  put("vocab_size", c.vocab_size);
  if (c.num_experts > 0) {
    put("expert_count", c.num_experts);
    put("expert_used_count", c.num_experts_per_tok);
    put("expert_feed_forward_length", c.moe_intermediate_size);
    if (c.shared_expert_intermediate_size > 0)
      put("expert_shared_feed_forward_length", c.shared_expert_intermediate_size);
  }
  if (row.multipliers) {
    put("embedding_scale", c.embedding_scale);
    put("residual_scale", c.residual_multiplier);
    put("logit_scale", c.logits_scaling);
    put("attention.scale", 1 / std::sqrt(c.query_pre_attn_scalar));
  }
  if (c.sliding_window > 0) put("attention.sliding_window", c.sliding_window);
  if (c.attn_logit_softcapping > 0) put("attn_logit_softcapping", c.attn_logit_softcapping);
  if (c.final_logit_softcapping > 0) put("final_logit_softcapping", c.final_logit_softcapping);
  // llama.cpp knows the pattern of Gemma 2 by itself, and reads none of it.
  if (c.sliding_window_pattern > 0 && !row.soft_caps) {
    Json local = Json::array();
    for (int64_t l = 0; l < c.num_hidden_layers; ++l) local.push_back(c.local_layer(l));
    put("attention.sliding_window_pattern", local);
    put("rope.freq_base_swa", c.rope_local_base_freq);
  }
  return keys;
}

TensorSource filed_as(const FiledTensor& t, DType dtype) {
  bool vector = t.sizes.size() == 1;
  auto fill = [t, dtype, vector](std::byte* out, int64_t first, int64_t rows) {
    if (vector)
      first = 0, rows = t.sizes[0];  // a vector is one row of the file, and rows of one element here
    int64_t out_bytes = vector ? dtype_bytes(dtype, 1) : dtype_bytes(dtype, t.sizes.back());
    auto one = [&](int64_t r) {
      int64_t row = source_row(t, first + r);
      size_t part = 0;
      auto height = [&](const Tensor& p) { return p.dims == 1 ? p.size[0] : p.rows(); };
      while (row >= height(t.parts[part])) row -= height(t.parts[part++]);
      const Tensor& p = t.parts[part];
      int64_t cols = vector ? 1 : p.cols();
      auto bytes = static_cast<size_t>(dtype_bytes(p.dtype, cols));
      const auto* in =
          static_cast<const std::byte*>(p.data) + row * (vector ? dtype_bytes(p.dtype, 1) : p.row_stride);
      std::byte* to = out + r * out_bytes;
      if (p.dtype == dtype) {
        std::memcpy(to, in, bytes);
        return;
      }
      std::vector<std::byte> raw(in, in + bytes);  // aligned, which the file's bytes need not be
      std::vector<float> values(static_cast<size_t>(cols));
      dequantise(values.data(), raw.data(), p.dtype, cols);
      if (!quantise(to, values.data(), dtype, cols))
        fail("tensor {} holds values that {} cannot; use --type bf16", excerpt(t.name), name(dtype));
    };
    parallel_for(rows, one);
  };
  return {t.name, dtype, t.sizes, fill};
}

}  // namespace longspan
