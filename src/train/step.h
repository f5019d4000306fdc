// One step of training: rows, gradient, update. Everything follows from the recipe, the sources and how many
// rows were taken.
#pragma once

#include "train/recipe.h"
#include "train/snapshot.h"

namespace longspan {

/// Sources of a stage; short_rows.rows is 0 where it has none.
struct StageRows {
  RowSource rows, short_rows;
};

struct StepRows {
  std::vector<TrainingRow> rows, short_rows;

  std::vector<std::string> documents() const;  // each once
  int64_t tokens() const;                      // read, of all rows and their frozen contexts
};

/// The next rows: long ones from state.rows on, at least one, until another row of the stage's length would
/// be further from batch_tokens; and the short ones.
StepRows next_rows(const Stage& stage, const StageRows& sources, const RunState& state);

/// Positions of a stage's rows. A method that depends on the length takes that of each row, which is its
/// largest position plus 1, as it would when the row is read (XVERSE's stage 2).
struct StagePositions {
  PositionConfig config;
  HeadShape shape;
  PositionSpec spec;  // of the longest row

  PositionSpec of(const TrainingRow& row) const;
};
StagePositions stage_positions(const Stage& stage, const ModelConfig& model);

/// The model to whose predictions short rows are tied by the divergence.
struct Original {
  const Model* model = nullptr;  // null: the trained one without its adapters
  PositionSpec spec;
};

struct StepLoss {
  double loss = 0;           // of long rows: sum of weight * -ln p over the sum of weights
  double short_loss = 0;     // NaN where it has no weight
  double divergence = 0;     // NaN where it has no weight
  double gradient_norm = 0;  // L2, over all parameters
  int64_t targets = 0;       // of long rows
};

/// What a step writes on the device and the host reads once: losses, and the square of the gradient's norm.
struct StepScalars {
  Tensor loss, short_loss, divergence, squares;  // [1] F64
  Arena memory;
};
StepScalars make_step_scalars(const TrainingModel& model);

/// Adds the gradient of  loss + cross_entropy * short_loss + divergence * KL  to every parameter's; each of
/// the three is a mean over its weights in the whole batch, however the batch is divided into rows: short
/// rows are joined into as few as the buffers hold, where positions do not depend on a row's length. Waits
/// for the device once, at the end.
StepLoss batch_gradient(TrainingModel& model, const StagePositions& positions, const Original& original,
                        const ShortRows& short_rows, const StepRows& rows, TrainingBuffers& buffers,
                        StepScalars& scalars);

void zero_gradients(TrainingModel& model);
/// Steps that the moments hold after state.step steps: all since the beginning, or since the last stage that
/// began with fresh ones.
int64_t moment_steps(const Recipe& recipe, const RunState& state);
/// AdamW on every parameter with its rate, decay where it decays; gradients are scaled by min(1, clip /
/// norm). `step` counts from 1, as the moments do.
void update(TrainingModel& model, Moments& moments, const Recipe& recipe, double lr, double norm,
            int64_t step);

}  // namespace longspan
