// Adapters on disk as PEFT has them: adapter_config.json and adapter_model.safetensors, in which trained
// norms and embeddings lie whole (modules_to_save). longspan.json beside them says what positions they were
// trained under, which PEFT has no word for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/training.h"

namespace longspan {

/// Names of the tensors are those of the parameters. Files appear when they are whole, the configuration
/// last.
void write_adapter(const std::filesystem::path& directory, const TrainingModel& model, const Trained& trained,
                   const std::string& base_model, const std::string& position);

/// The position text of longspan.json; empty when there is none.
std::string adapter_position(const std::filesystem::path& directory);

/// Puts the adapter of a directory beside the model's projections, and its whole tensors in the place of the
/// model's; returns the latter. Their memory belongs to the model. Error naming file and tensor: a shape that
/// does not fit the model, a kind of adapter that this program has not (DoRA, ranks by pattern, ...), an
/// unknown tensor.
std::vector<NamedTensor> load_adapter(const std::filesystem::path& directory, Model& model);

/// Projections that have adapters, as Hugging Face names them: W + scale B A, F32, in `memory`.
std::vector<NamedTensor> merged_weights(const Model& model, Arena& memory);

}  // namespace longspan
