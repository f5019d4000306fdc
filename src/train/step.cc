#include "train/step.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/threads.h"

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
    for (const TrainingRow& row : *list) n += row.tokens();
  return n;
}

StepRows next_rows(const Stage& stage, const StageRows& sources, const RunState& state) {
  StepRows step;
  int64_t tokens = 0;
  do {
    step.rows.push_back(sources.rows.row(state.rows + static_cast<int64_t>(step.rows.size())));
    tokens += step.rows.back().tokens();
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

StepLoss batch_gradient(TrainingModel& model, const StagePositions& positions, const Original& original,
                        const ShortRows& wish, const StepRows& step, TrainingBuffers& buffers) {
  StepLoss out{0, kNone, kNone, 0};
  // A batch without any target has no loss and no gradient.
  auto scaled = [](double wanted, double weight) { return weight > 0 ? wanted / weight : 0; };
  double scale = scaled(1, weight_of(step.rows, true));
  for (const TrainingRow& row : step.rows) {
    RowLoss loss = row_gradient(model, positions.of(row), row, scale, buffers);
    out.loss += loss.loss * scale;
    out.targets += loss.targets;
  }
  if (step.short_rows.empty()) return out;
  if (wish.cross_entropy > 0) {
    double mean = scaled(1, weight_of(step.short_rows, true));
    out.short_loss = 0;
    for (const TrainingRow& row : step.short_rows)
      out.short_loss +=
          mean * row_gradient(model, positions.of(row), row, wish.cross_entropy * mean, buffers).loss;
  }
  if (wish.divergence > 0) {
    double mean = scaled(1, weight_of(step.short_rows, false));
    out.divergence = 0;
    for (const TrainingRow& row : step.short_rows)
      out.divergence += mean * row_divergence(model, positions.of(row), original.model, original.spec, row,
                                              wish.divergence * mean, buffers)
                                   .loss;
  }
  return out;
}

void zero_gradients(TrainingModel& model) {
  parallel_for(static_cast<int64_t>(model.parameters.size()), [&](int64_t i) {
    const Tensor& g = model.parameters[static_cast<size_t>(i)].gradient;
    std::memset(g.data, 0, static_cast<size_t>(g.bytes()));
  });
}

double gradient_norm(const TrainingModel& model) {
  double sum = 0;
  for (const Parameter& p : model.parameters) sum += model.model.kernels->sum_of_squares(p.gradient);
  return std::sqrt(sum);
}

void update(TrainingModel& model, Moments& moments, const Recipe& recipe, double lr, double norm,
            int64_t step) {
  AdamW settings{.lr = lr, .beta1 = recipe.beta1, .beta2 = recipe.beta2, .eps = recipe.eps, .step = step};
  if (recipe.clip > 0 && norm > recipe.clip) settings.scale = recipe.clip / norm;
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    Parameter& p = model.parameters[i];
    settings.decay = p.decays ? recipe.weight_decay : 0;
    model.model.kernels->adamw(p.value, p.gradient, moments.first[i], moments.second[i], settings);
  }
  parameters_changed(model);
}

}  // namespace longspan
