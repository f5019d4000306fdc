// Which tensors train: they are copied to F32 memory of our own, the rest stays as it was loaded (quantised,
// mapped). Names are those of transformers and PEFT.
#include "model/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "base/threads.h"
#include "model/gradients.h"

namespace longspan {

namespace {

struct Role {
  const char* name;  // of the projection, as --lora-projections and PEFT's target_modules say it
  const char* path;
  Linear LayerWeights::*linear;
  Adapter LayerAdapters::*adapter;
  LinearGradient LayerGradients::*gradient;
};
const Role kRoles[] = {
    {"q_proj", "self_attn.q_proj", &LayerWeights::q, &LayerAdapters::q, &LayerGradients::q},
    {"k_proj", "self_attn.k_proj", &LayerWeights::k, &LayerAdapters::k, &LayerGradients::k},
    {"v_proj", "self_attn.v_proj", &LayerWeights::v, &LayerAdapters::v, &LayerGradients::v},
    {"o_proj", "self_attn.o_proj", &LayerWeights::o, &LayerAdapters::o, &LayerGradients::o},
    {"gate_proj", "mlp.gate_proj", &LayerWeights::gate, &LayerAdapters::gate, &LayerGradients::gate},
    {"up_proj", "mlp.up_proj", &LayerWeights::up, &LayerAdapters::up, &LayerGradients::up},
    {"down_proj", "mlp.down_proj", &LayerWeights::down, &LayerAdapters::down, &LayerGradients::down},
};

struct Norm {
  const char* path;
  Tensor LayerWeights::*weight;
  Tensor LayerGradients::*gradient;
};
const Norm kNorms[] = {
    {"input_layernorm", &LayerWeights::attn_norm, &LayerGradients::attn_norm},
    {"self_attn.q_norm", &LayerWeights::q_norm, &LayerGradients::q_norm},
    {"self_attn.k_norm", &LayerWeights::k_norm, &LayerGradients::k_norm},
    {"post_attention_layernorm", &LayerWeights::mlp_norm, &LayerGradients::mlp_norm},
};

void check(const ModelConfig& c, const Trained& t) {
  if (c.post_norms || c.activation != Activation::Silu)
    fail(
        "training of the architecture {} is not supported; supported are those with two norms a layer and "
        "SwiGLU",
        c.architecture);
  if (c.norm_head && t.embeddings)
    fail("training the head of a model with NormHead is not supported: leave embeddings out");
  if (!t.all && t.lora_rank <= 0 && !t.norms && !t.embeddings)
    fail("nothing trains: ask for all weights, a LoRA rank, norms or embeddings");
  if (t.all && t.lora_rank > 0) fail("all weights and adapters cannot train together: choose one");
  if (t.lora_rank > 0 && t.projections.empty()) fail("a LoRA rank needs projections to stand beside");
  for (const std::string& name : t.projections) {
    std::string known;
    for (const Role& role : kRoles) known += (known.empty() ? "" : ", ") + std::string(role.name);
    if (std::none_of(std::begin(kRoles), std::end(kRoles),
                     [&](const Role& role) { return name == role.name; }))
      fail("projection \"{}\" is unknown; there are: {}", name, known);
  }
}

bool adapted(const Trained& t, const char* role) {
  return t.lora_rank > 0 &&
         std::find(t.projections.begin(), t.projections.end(), role) != t.projections.end();
}

/// Makes parameters, in the order in which they are asked for.
struct Maker {
  TrainingModel& model;

  /// A value of ours in the place of `tensor`, and its gradient.
  Tensor own(Tensor& tensor, const std::string& name, bool decays) {
    if (!tensor) return {};
    Tensor value = model.memory.matrix("trained weights", DType::F32, tensor.rows(), tensor.cols());
    parallel_for(tensor.rows(), [&](int64_t t) {
      dequantise(value.row(t), tensor.row<std::byte>(t), tensor.dtype, tensor.cols());
    });
    bool vector = tensor.dims == 1;
    tensor = vector ? vector_view(value.data, DType::F32, value.cols()) : value;
    return add(tensor, name, decays);
  }

  Tensor add(Tensor value, const std::string& name, bool decays) {
    Tensor gradient = model.memory.matrix("gradients", DType::F32, value.rows(), value.cols());
    if (value.dims == 1) gradient = vector_view(gradient.data, DType::F32, value.cols());
    model.parameters.push_back({name, value, gradient, decays});
    return gradient;
  }

  /// A in U(-1/sqrt(C), 1/sqrt(C)) as PEFT draws it, B zero.
  void adapt(Adapter& adapter, LinearGradient& gradient, const Linear& w, const std::string& name,
             const Trained& trained, Random random) {
    int64_t rank = trained.lora_rank, inputs = w.weight.cols();
    adapter.a.weight = model.memory.matrix("adapters", DType::F32, rank, inputs);
    adapter.b.weight = model.memory.matrix("adapters", DType::F32, w.weight.rows(), rank);
    double alpha = trained.lora_alpha > 0 ? trained.lora_alpha : static_cast<double>(rank);
    adapter.scale = static_cast<float>(alpha / static_cast<double>(rank));
    double bound = 1 / std::sqrt(static_cast<double>(inputs));
    for (int64_t r = 0; r < rank; ++r)
      for (int64_t i = 0; i < inputs; ++i)
        adapter.a.weight.row(r)[i] = static_cast<float>(bound * (2 * random.uniform() - 1));
    gradient.a = add(adapter.a.weight, name + ".lora_A.weight", true);
    gradient.b = add(adapter.b.weight, name + ".lora_B.weight", true);
  }
};

}  // namespace

TrainingModel make_training_model(const Checkpoint& checkpoint, const ModelConfig& config, const Kernels& k,
                                  Compute compute, const Trained& trained, uint64_t seed) {
  check(config, trained);
  TrainingModel m;
  m.model = {config, load_weights(checkpoint, config), {}, &k, compute};
  m.gradients = std::make_shared<Gradients>();
  m.gradients->layers.resize(static_cast<size_t>(config.num_hidden_layers));
  if (trained.lora_rank > 0) m.model.adapters.resize(static_cast<size_t>(config.num_hidden_layers));
  Weights& w = m.model.weights;
  Gradients& g = *m.gradients;
  Maker maker{m};
  bool norms = trained.all || trained.norms;

  if (trained.embeddings) {
    bool tied = w.head.weight.data == w.embedding.data;
    g.embedding = maker.own(w.embedding, "model.embed_tokens.weight", false);
    if (tied) w.head.weight = w.embedding, g.head.weight = g.embedding;
    if (!tied) g.head.weight = maker.own(w.head.weight, "lm_head.weight", false);
  }
  for (size_t l = 0; l < w.layers.size(); ++l) {
    std::string layer = fmt::format("model.layers.{}.", l);
    for (const Norm& norm : kNorms)
      if (norms)
        g.layers[l].*norm.gradient =
            maker.own(w.layers[l].*norm.weight, layer + norm.path + ".weight", false);
    for (size_t r = 0; r < std::size(kRoles); ++r) {
      const Role& role = kRoles[r];
      Linear& linear = w.layers[l].*role.linear;
      LinearGradient& gradient = g.layers[l].*role.gradient;
      if (trained.all) {
        gradient.weight = maker.own(linear.weight, layer + role.path + ".weight", true);
        gradient.bias = maker.own(linear.bias, layer + role.path + ".bias", false);
      } else if (adapted(trained, role.name)) {
        Random random(seed * 1'000'003 + l * std::size(kRoles) + r);
        maker.adapt(m.model.adapters[l].*role.adapter, gradient, linear,
                    "base_model.model." + layer + role.path, trained, random);
      }
    }
  }
  if (norms) g.final_norm = maker.own(w.final_norm, "model.norm.weight", false);
  return m;
}

void parameters_changed(TrainingModel& m) {
  Gradients& g = *m.gradients;
  if (g.head.weight) m.model.weights.head.packed.reset();
  for (size_t l = 0; l < g.layers.size(); ++l)
    for (const Role& role : kRoles) {
      const LinearGradient& gradient = g.layers[l].*role.gradient;
      if (gradient.weight) (m.model.weights.layers[l].*role.linear).packed.reset();
      if (gradient.a) {
        Adapter& adapter = m.model.adapters[l].*role.adapter;
        adapter.a.packed.reset(), adapter.b.packed.reset();
      }
    }
}

}  // namespace longspan
