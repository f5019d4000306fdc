// What a model's files say about it as an embedder: sentence-transformers' modules.json with what it names,
// or the keys of a GGUF file. What would change the vectors in a way that is not implemented is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "embed/instructions.h"

namespace longspan {

/// How the rows of a text become one vector: the first row, their mean, or the last one.
enum class Pooling : uint8_t { Cls, Mean, Last };
/// "cls", "mean", "last".
const char* name(Pooling pooling);
/// Error listing the names.
Pooling pooling_named(std::string_view name);

struct EmbedderDescription {
  std::optional<Pooling> pooling;            // null: the files do not say
  std::optional<int64_t> max_tokens;         // of a text; null: what the architecture allows
  std::optional<Instructions> instructions;  // the model's own
};
EmbedderDescription describe_embedder(const Checkpoint& checkpoint);

}  // namespace longspan
