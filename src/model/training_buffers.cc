#include "model/training_buffers.h"

#include "model/block.h"

namespace longspan {

namespace {

/// Element types: F32, or that of inputs of products.
enum class Type : uint8_t { F32, Product, I32, F64 };

struct Part {
  const char* label;
  Tensor TrainingBuffers::*tensor;
  int64_t rows, cols;
  Type type = Type::F32;
};

DType dtype_of(Type type, DType product) {
  switch (type) {
    case Type::Product:
      return product;
    case Type::I32:
      return DType::I32;
    case Type::F64:
      return DType::F64;
    default:
      return DType::F32;
  }
}

std::vector<Part> shared_parts(const ModelConfig& c, const PositionSpec& spec, int64_t T,
                               const TrainingPlan& plan, int64_t rank) {
  int64_t C = c.hidden_size, F = c.intermediate_size, q = c.num_attention_heads * c.head_dim,
          kv = c.num_key_value_heads * c.head_dim, half = c.rotary_dim / 2, V = c.vocab_size,
          n = plan.head_chunk;
  auto zones = static_cast<int64_t>(spec.zones.size());
  int64_t tables = rope_tables(c, spec), head_norms = c.qk_norm ? T : 0, branches = c.post_norms ? T : 0,
          adapted = rank > 0 ? T : 0;
  using B = TrainingBuffers;
  return {{"normed", &B::normed, T, C, Type::Product},
          {"k", &B::k, T, kv},
          {"v", &B::v, T, kv},
          {"rotated k", &B::rotated_k, key_copies(spec) > 1 ? T : 0, kv},
          {"mlp", &B::mlp, T, F, Type::Product},
          {"branch", &B::branch, branches, C},
          {"angles", &B::cos, tables * T, half},
          {"angles", &B::sin, tables * T, half},
          {"adapters' products", &B::low_rank, adapted, rank},
          {"adapters' products", &B::d_low_rank, adapted, rank},
          {"adapters' products", &B::half_low_rank, adapted, rank, Type::Product},
          {"gradients of activations", &B::d_branch, branches, C},
          {"gradients of activations", &B::dx, T, C},
          {"gradients of activations", &B::dnormed, T, C},
          {"gradients of activations", &B::dhidden, T, C},
          {"gradients of activations", &B::dattended, T, q},
          {"gradients of activations", &B::dmlp, T, F},
          {"gradients of activations", &B::dv, T, kv},
          {"gradients of activations", &B::dq, zones * T, q},
          {"gradients of activations", &B::dk, zones * T, kv},
          {"gradients of activations", &B::dgate, T, F, Type::Product},
          {"gradients of activations", &B::dup, T, F, Type::Product},
          {"gradients of activations", &B::d_small, T, C, Type::Product},
          {"gradients of activations", &B::d_q, T, q, Type::Product},
          {"gradients of activations", &B::d_k, T, kv, Type::Product},
          {"gradients of activations", &B::d_v, T, kv, Type::Product},
          {"gradients of activations", &B::q_raw, 2 * head_norms, q},
          {"gradients of activations", &B::k_raw, 2 * head_norms, kv},
          {"head", &B::hidden, T, C},
          {"head", &B::original, T, C},
          {"head", &B::gathered, n, C, Type::Product},
          {"head", &B::original_gathered, n, C, Type::Product},
          {"head", &B::dgathered, n, C},
          {"head", &B::logits, n, V},
          {"head", &B::original_logits, n, V},
          {"head", &B::dlogits, n, V, Type::Product},
          {"head", &B::head_rows, 1, T, Type::I32},
          {"head", &B::targets, 1, T, Type::I32},
          {"head", &B::weights, 1, T},
          {"head", &B::loss, 1, 1, Type::F64}};
}

struct SetPart {
  Tensor LayerSet::*tensor;
  int64_t rows, cols;
  Type type = Type::F32;
};

std::vector<SetPart> set_parts(const ModelConfig& c, const PositionSpec& spec, int64_t T) {
  int64_t q = c.num_attention_heads * c.head_dim;
  auto queries = static_cast<int64_t>(rotations(spec).queries.size());
  int64_t views = key_copies(spec) + 1;
  return {
      {&LayerSet::middle, T, c.hidden_size},
      {&LayerSet::q, T, q},
      {&LayerSet::rotated_q, (queries - 1) * T, q},
      {&LayerSet::gate, T, c.intermediate_size},
      {&LayerSet::up, T, c.intermediate_size},
      {&LayerSet::kv, views * pages_for(T) * c.num_key_value_heads * kPageTokens, c.head_dim, Type::Product}};
}

int64_t sets_of(const ModelConfig& c, const TrainingPlan& plan) {
  return plan.recompute ? 1 : c.num_hidden_layers;
}

int64_t attention_sets_of(const ModelConfig& c, const TrainingPlan& plan) {
  return plan.recompute && !plan.keep_attention ? 1 : c.num_hidden_layers;
}

}  // namespace

std::shared_ptr<TrainingBuffers> make_training_buffers(const TrainingModel& m, const PositionSpec& spec,
                                                       int64_t tokens, const TrainingPlan& plan,
                                                       int64_t context) {
  auto b = std::make_shared<TrainingBuffers>();
  const ModelConfig& c = m.model.config;
  b->plan = plan, b->rows = tokens, b->dtype = m.model.kernels().product_dtype(m.model.compute, tokens);
  b->arena = Arena(*m.model.device);
  auto make = [&](const char* label, int64_t rows, int64_t cols, Type type) {
    return rows > 0 ? b->arena.matrix(label, dtype_of(type, b->dtype), rows, cols) : Tensor{};
  };
  for (const Part& p : shared_parts(c, spec, tokens, plan, m.model.adapter_rank()))
    (*b).*p.tensor = make(p.label, p.rows, p.cols, p.type);
  for (int64_t l = 0; l <= c.num_hidden_layers; ++l)
    b->stream.push_back(make("residual stream", tokens, c.hidden_size, Type::F32));
  b->sets.resize(static_cast<size_t>(sets_of(c, plan)));
  for (LayerSet& s : b->sets)
    for (const SetPart& p : set_parts(c, spec, tokens)) s.*p.tensor = make("layers", p.rows, p.cols, p.type);
  b->attention.resize(static_cast<size_t>(attention_sets_of(c, plan)));
  for (AttentionSet& s : b->attention)
    s = {make("layers", tokens, c.num_attention_heads * c.head_dim, Type::Product),
         make("layers", tokens, c.num_attention_heads, Type::F32)};
  b->inputs = PassInputs::make(*m.model.device, b->arena, c, tokens);
  if (context > 0) b->frozen = std::make_shared<FrozenContext>(m.model, spec, context, tokens, b->dtype);
  return b;
}

int64_t training_buffer_bytes(const TrainingBuffers& buffers) {
  return buffers.arena.bytes() + (buffers.frozen ? buffers.frozen->allocated() : 0);
}

int64_t training_buffer_bytes(const ModelConfig& c, DType dtype, const PositionSpec& spec, int64_t tokens,
                              const TrainingPlan& plan, int64_t adapter_rank) {
  int64_t bytes = PassInputs::bytes(c, tokens) +
                  (c.num_hidden_layers + 1) * dtype_bytes(DType::F32, tokens * c.hidden_size);
  for (const Part& p : shared_parts(c, spec, tokens, plan, adapter_rank))
    bytes += dtype_bytes(dtype_of(p.type, dtype), p.rows * p.cols);
  int64_t set = 0;
  for (const SetPart& p : set_parts(c, spec, tokens))
    set += dtype_bytes(dtype_of(p.type, dtype), p.rows * p.cols);
  int64_t attention = dtype_bytes(dtype, tokens * c.num_attention_heads * c.head_dim) +
                      dtype_bytes(DType::F32, tokens * c.num_attention_heads);
  return bytes + set * sets_of(c, plan) + attention * attention_sets_of(c, plan);
}

}  // namespace longspan
