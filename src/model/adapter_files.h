// Adapters on disk in PEFT's format: adapter_config.json and adapter_model.safetensors, which holds trained
// norms and embeddings whole (modules_to_save). longspan.json beside them records the position method of the
// training, which PEFT has no key for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/training.h"

namespace longspan {

/// Names of the tensors are those of the parameters; `type` is theirs in the file: F32, F16 or BF16. Each
/// file appears once it is complete, the configuration last.
void write_adapter(const std::filesystem::path& directory, const TrainingModel& model, const Trained& trained,
                   const std::string& base_model, const std::string& position, DType type = DType::F32);

/// The position text of longspan.json; empty when there is none.
std::string adapter_position(const std::filesystem::path& directory);
/// The positions that the adapter was trained under; `base`, those of its model, when it does not say.
PositionConfig position_with_adapter(const std::filesystem::path& directory, const PositionConfig& base);

/// Adds the adapter of a directory to the model. Pairs A, B of projections stay beside their weights
/// (of PiSSA and OLoRA with what their initialisation took out of the weights, at twice the rank); pairs
/// of the embedding and the head, and DoRA, are added to the weights (F32, 4 bytes each), and whole tensors
/// take the place of the model's. Returns, of a model in host memory, the tensors that are new as files
/// hold them; their memory belongs to the model. A model whose embedding and head differ afterwards is no
/// longer tied (its config says so). Error naming file and tensor or key: a shape that does not fit the
/// model, an unknown tensor, a kind of adapter that this program does not have (adapter_config.h).
std::vector<NamedTensor> load_adapter(const std::filesystem::path& directory, Model& model);

/// Projections that have adapters, as Hugging Face names them: W + scale B A, F32, in `memory`.
std::vector<NamedTensor> merged_weights(const Model& model, Arena& memory);

}  // namespace longspan
