// Which tensors train: they are copied to F32 memory, the rest stays as loaded (quantised, mapped). Names are
// those of transformers and PEFT.
#include "model/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "model/roles.h"

namespace longspan {

namespace {

constexpr float kUnitEps = 1e-30f;  // keeps rows of zeros at zero

void check(const Trained& t) {
  if (!t.all && t.lora_rank <= 0 && !t.norms && !t.embeddings)
    fail("nothing trains: ask for all weights, a LoRA rank, norms or embeddings");
  if (t.all && t.lora_rank > 0) fail("all weights and adapters cannot train together: choose one");
  if (t.lora_rank > 0 && t.projections.empty()) fail("a LoRA rank needs projections to stand beside");
  for (const std::string& name : t.projections) {
    std::string known;
    for (const Role& role : kRoles) known += (known.empty() ? "" : ", ") + std::string(role.name);
    if (std::none_of(std::begin(kRoles), std::end(kRoles),
                     [&](const Role& role) { return name == role.name; }))
      fail("projection {} is unknown; there are: {}", in_quotes(name), known);
  }
}

void refuse_untrained(const ModelConfig& config) {
  if (!row_of(config).trains)
    fail("training a {} model is not supported yet; it can be read, measured and stretched",
         config.architecture);
}

bool adapted(const Trained& t, const char* role) {
  return t.lora_rank > 0 &&
         std::find(t.projections.begin(), t.projections.end(), role) != t.projections.end();
}

/// Makes parameters, in the order of the calls.
struct Maker {
  TrainingModel& model;

  /// Replaces `tensor` by an F32 copy that trains, and makes its gradient.
  Tensor own(Tensor& tensor, const std::string& name, bool decays, float offset = 0) {
    if (!tensor) return {};
    tensor = copied(tensor);
    return add(tensor, name, decays, offset);
  }

  Tensor copied(const Tensor& tensor) {
    Tensor value = model.memory.matrix("trained weights", DType::F32, tensor.rows(), tensor.cols());
    model.model.kernels().convert(value, tensor);
    return tensor.dims == 1 ? value.viewed(DType::F32, value.cols()) : value;
  }

  Tensor add(Tensor value, const std::string& name, bool decays, float offset = 0) {
    Tensor gradient = model.memory.matrix("gradients", DType::F32, value.rows(), value.cols());
    if (value.dims == 1) gradient = gradient.viewed(DType::F32, value.cols());
    model.parameters.push_back({name, value, gradient, decays, offset});
    return gradient;
  }

  /// The head of a model with NormHead: rows of the parameter may have any length.
  Tensor own_unit_head(Tensor& head, const std::string& name) {
    UnitHead& u = model.unit_head;
    u.raw = copied(head);
    u.raw_gradient = add(u.raw, name, false);
    u.unit = head = copied(head);
    u.unit_gradient = model.memory.matrix("gradients", DType::F32, head.rows(), head.cols());
    u.scale = model.memory.vector("trained weights", DType::F32, head.cols());
    model.model.kernels().fill(u.scale, static_cast<float>(1 / std::sqrt(static_cast<double>(head.cols()))));
    return u.unit_gradient;
  }

  /// A in U(-s/sqrt(C), s/sqrt(C)) with s = lora_start, B zero.
  void adapt(Adapter& adapter, LinearGradient& gradient, const Linear& w, const std::string& name,
             const Trained& trained, Random random) {
    int64_t rank = trained.lora_rank, inputs = w.weight.cols();
    adapter.a.weight = model.memory.matrix("adapters", DType::F32, rank, inputs);
    adapter.b.weight = model.memory.matrix("adapters", DType::F32, w.weight.rows(), rank);
    double alpha = trained.lora_alpha > 0 ? trained.lora_alpha : static_cast<double>(rank);
    adapter.scale = static_cast<float>(alpha / static_cast<double>(rank));
    double bound = trained.lora_start / std::sqrt(static_cast<double>(inputs));
    std::vector<float> start(static_cast<size_t>(rank * inputs));
    for (float& x : start) x = static_cast<float>(bound * (2 * random.uniform() - 1));
    model.model.device->upload(adapter.a.weight, std::span<const float>(start));
    gradient.a = add(adapter.a.weight, name + ".lora_A.weight", true);
    gradient.b = add(adapter.b.weight, name + ".lora_B.weight", true);
  }
};

}  // namespace

TrainingModel make_training_model(const Checkpoint& checkpoint, const ModelConfig& config,
                                  std::shared_ptr<Device> device, Compute compute, const Trained& trained,
                                  uint64_t seed) {
  check(trained);
  refuse_untrained(config);
  TrainingModel m;
  m.memory = Arena(*device);
  Weights weights = load_weights(checkpoint, config, *device);
  m.model = {std::move(device), config, std::move(weights), {}, compute};
  m.gradients = std::make_shared<Gradients>();
  m.gradients->layers.resize(static_cast<size_t>(config.num_hidden_layers));
  if (trained.lora_rank > 0) m.model.adapters.resize(static_cast<size_t>(config.num_hidden_layers));
  Weights& w = m.model.weights;
  Gradients& g = *m.gradients;
  Maker maker{m};
  bool norms = trained.all || trained.norms;
  const TensorNames& names = parameter_names(config);

  if (trained.embeddings) {
    bool tied = w.head.weight.data == w.embedding.data;
    g.embedding = maker.own(w.embedding, "model.embed_tokens.weight", false);
    if (tied) w.head.weight = w.embedding, g.head.weight = g.embedding;
    if (!tied && config.norm_head) g.head.weight = maker.own_unit_head(w.head.weight, "lm_head.weight");
    if (!tied && !config.norm_head) g.head.weight = maker.own(w.head.weight, "lm_head.weight", false);
  }
  for (size_t l = 0; l < w.layers.size(); ++l) {
    std::string layer = fmt::format("model.layers.{}.", l);
    for (const Norm& norm : kNorms)
      if (norms)
        if (const char* path = names.*norm.path)
          g.layers[l].*norm.gradient =
              maker.own(w.layers[l].*norm.weight, layer + path + ".weight", false, norm_offset(config));
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
  if (norms) g.final_norm = maker.own(w.final_norm, "model.norm.weight", false, norm_offset(config));
  for (Parameter& p : m.parameters)
    if (p.name.ends_with("norm.weight")) p.rate = trained.norm_lr;
  return m;
}

void finish_gradients(TrainingModel& m) {
  const UnitHead& u = m.unit_head;
  if (!u) return;
  m.model.kernels().rmsnorm_backward(u.raw_gradient, {}, u.unit_gradient, u.raw, u.scale, kUnitEps);
  m.model.kernels().fill(u.unit_gradient, 0);
}

Tensor as_filed(const TrainingModel& m, const Parameter& p, Arena& memory) {
  if (m.model.device->is_host() && p.offset == 0) return p.value;
  std::vector<float> values = m.model.device->download<float>(p.value);
  Tensor out = memory.matrix("parameters on their way to a file", DType::F32, p.value.rows(), p.value.cols());
  for (size_t i = 0; i < values.size(); ++i) out.row(0)[i] = values[i] - p.offset;
  return p.value.dims == 1 ? out.viewed(DType::F32, out.cols()) : out;
}

void parameters_changed(TrainingModel& m) {
  Gradients& g = *m.gradients;
  if (g.head.weight) m.model.weights.head.packed.clear();
  if (const UnitHead& u = m.unit_head) m.model.kernels().rmsnorm(u.unit, u.raw, u.scale, kUnitEps);
  for (size_t l = 0; l < g.layers.size(); ++l)
    for (const Role& role : kRoles) {
      const LinearGradient& gradient = g.layers[l].*role.gradient;
      if (gradient.weight) (m.model.weights.layers[l].*role.linear).packed.clear();
      if (gradient.a) {
        Adapter& adapter = m.model.adapters[l].*role.adapter;
        adapter.a.packed.clear(), adapter.b.packed.clear();
      }
    }
}

}  // namespace longspan
