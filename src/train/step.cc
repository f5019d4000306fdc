#include "train/step.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "model/training_buffers.h"

namespace longspan {

namespace {

/// Sum of the weights that row_gradient (targets needed) or row_divergence will count.
double weight_of(const std::vector<TrainingRow>& rows, bool targets_needed) {
  double sum = 0;
  for (const TrainingRow& row : rows)
    for (size_t t = 0; t < row.weights.size(); ++t)
      if (!targets_needed || row.targets[t] >= 0) sum += static_cast<double>(row.weights[t]);
  return sum;
}

void append(TrainingRow& row, const TrainingRow& next) {
  auto shift = row.tokens();
  auto join = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  join(row.ids, next.ids), join(row.positions, next.positions), join(row.targets, next.targets);
  join(row.weights, next.weights), join(row.documents, next.documents);
  for (int64_t start : next.starts) row.starts.push_back(start + shift);
}

/// The same documents in order, in fewer rows of at most `longest` tokens: short rows would leave a GPU idle.
std::vector<TrainingRow> joined(const std::vector<TrainingRow>& rows, int64_t longest) {
  std::vector<TrainingRow> out;
  for (const TrainingRow& row : rows) {
    bool fits = !out.empty() && out.back().tokens() + row.tokens() <= longest;
    if (fits)
      append(out.back(), row);
    else
      out.push_back(row);
  }
  return out;
}

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

}  // namespace

std::vector<std::string> StepRows::documents() const {
  std::vector<std::string> all;
  for (const auto* list : {&rows, &short_rows})
    for (const TrainingRow& row : *list)
      for (const std::string& document : row.documents)
        if (std::find(all.begin(), all.end(), document) == all.end()) all.push_back(document);
  return all;
}

int64_t StepRows::tokens() const {
  int64_t n = 0;
  for (const auto* list : {&rows, &short_rows})
    for (const TrainingRow& row : *list) n += row.tokens() + std::ssize(row.context);
  return n;
}

StepRows next_rows(const Stage& stage, const StageRows& sources, const RunState& state) {
  StepRows step;
  int64_t tokens = 0;
  do {
    step.rows.push_back(sources.rows.row(state.rows + static_cast<int64_t>(step.rows.size())));
    tokens += step.rows.back().tokens() + std::ssize(step.rows.back().context);
  } while (tokens + stage.row_tokens / 2 < stage.batch_tokens);
  for (int64_t i = 0; i < stage.short_rows.rows; ++i)
    step.short_rows.push_back(sources.short_rows.row(state.short_rows + i));
  return step;
}

PositionSpec StagePositions::of(const TrainingRow& row) const {
  if (!spec.depends_on_length || row.positions.empty()) return spec;
  double last = *std::max_element(row.positions.begin(), row.positions.end());
  return position_spec(config, shape, static_cast<int64_t>(last) + 1);
}

StagePositions stage_positions(const Stage& stage, const ModelConfig& model) {
  return {stage_position(stage, model), model.head_shape(), stage_spec(stage, model)};
}

StepScalars make_step_scalars(const TrainingModel& model) {
  StepScalars s;
  s.memory = Arena(*model.model.device);
  for (Tensor* t : {&s.loss, &s.short_loss, &s.divergence, &s.squares})
    *t = s.memory.vector("losses", DType::F64, 1);
  return s;
}

StepLoss batch_gradient(TrainingModel& model, const StagePositions& positions, const Original& original,
                        const ShortRows& wish, const StepRows& step, TrainingBuffers& buffers,
                        StepScalars& scalars) {
  const Kernels& k = model.model.kernels();
  for (const Tensor& t : {scalars.loss, scalars.short_loss, scalars.divergence}) k.fill(t, 0);
  // A batch without any target has no loss and no gradient.
  auto scaled = [](double wanted, double weight) { return weight > 0 ? wanted / weight : 0; };
  StepLoss out{0, kNone, kNone, 0, 0};
  double scale = scaled(1, weight_of(step.rows, true));
  for (const TrainingRow& row : step.rows)
    out.targets += add_row_gradient(model, positions.of(row), row, scale, buffers, scalars.loss).targets;
  bool shorts = !step.short_rows.empty() && wish.cross_entropy > 0,
       divergence = !step.short_rows.empty() && wish.divergence > 0;
  double short_mean = shorts ? scaled(1, weight_of(step.short_rows, true)) : 0,
         divergence_mean = divergence ? scaled(1, weight_of(step.short_rows, false)) : 0;
  std::vector<TrainingRow> short_rows =
      positions.spec.depends_on_length ? step.short_rows : joined(step.short_rows, buffers.rows);
  if (shorts)
    for (const TrainingRow& row : short_rows)
      add_row_gradient(model, positions.of(row), row, wish.cross_entropy * short_mean, buffers,
                       scalars.short_loss);
  if (divergence)
    for (const TrainingRow& row : short_rows)
      add_row_divergence(model, positions.of(row), original.model, original.spec, row,
                         wish.divergence * divergence_mean, buffers, scalars.divergence);
  std::vector<Tensor> gradients;
  for (const Parameter& p : model.parameters) gradients.push_back(p.gradient);
  k.sum_of_squares(scalars.squares, gradients);

  auto read = [&](const Tensor& t) { return model.model.device->download<double>(t)[0]; };
  out.loss = read(scalars.loss) * scale;
  if (shorts) out.short_loss = read(scalars.short_loss) * short_mean;
  if (divergence) out.divergence = read(scalars.divergence) * divergence_mean;
  out.gradient_norm = std::sqrt(read(scalars.squares));
  return out;
}

void zero_gradients(TrainingModel& model) {
  for (const Parameter& p : model.parameters) model.model.kernels().fill(p.gradient, 0);
}

int64_t moment_steps(const Recipe& recipe, const RunState& state) {
  int64_t steps = 0;
  for (auto s = static_cast<size_t>(0); s <= static_cast<size_t>(state.stage); ++s) {
    if (recipe.stages[s].fresh_optimizer) steps = 0;
    steps += static_cast<int64_t>(s) == state.stage ? state.stage_step : recipe.stages[s].steps;
  }
  return steps;
}

void update(TrainingModel& model, Moments& moments, const Recipe& recipe, double lr, double norm,
            int64_t step) {
  AdamW settings{.lr = lr, .beta1 = recipe.beta1, .beta2 = recipe.beta2, .eps = recipe.eps, .step = step};
  if (recipe.clip > 0 && norm > recipe.clip) settings.scale = recipe.clip / norm;
  settings.decay = recipe.weight_decay;
  std::map<double, std::vector<AdamWTensor>> by_rate;
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const Parameter& p = model.parameters[i];
    by_rate[p.rate].push_back({p.value, p.gradient, moments.first[i], moments.second[i], p.decays});
  }
  for (const auto& [rate, tensors] : by_rate) {
    settings.lr = rate * lr;
    model.model.kernels().adamw(tensors, settings);
  }
  parameters_changed(model);
}

}  // namespace longspan
