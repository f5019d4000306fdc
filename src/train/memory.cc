// What a run holds in memory, from shapes alone, and whether there is as much.
#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "base/text.h"
#include "train/flops.h"
#include "train/trainer.h"

namespace longspan {

namespace {

constexpr int64_t kProgramBytes = int64_t{64} << 20;  // code, libraries, rows, tokenizer: rounded up

/// Bytes that the system could give without taking them from others: MemAvailable, or what is left below the
/// limit of the container, where that is less; 0 when it cannot be told.
int64_t available_bytes() {
  int64_t available = 0;
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("MemAvailable:")) {
      std::istringstream(line.substr(13)) >> available;
      available *= 1024;
    }
  int64_t limit = 0, used = 0, files = 0;
  std::ifstream statistics("/sys/fs/cgroup/memory.stat");
  for (std::string line; std::getline(statistics, line);)
    if (line.starts_with("file ")) std::istringstream(line.substr(5)) >> files;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit &&
      std::ifstream("/sys/fs/cgroup/memory.current") >> used && limit > 0)
    available = std::min(available, std::max<int64_t>(0, limit - used + files));  // files can be read again
  return available;
}

}  // namespace

std::vector<std::pair<std::string, int64_t>> training_memory(const Recipe& recipe,
                                                             const Checkpoint& checkpoint) {
  ModelConfig config = read_config(checkpoint);
  const Kernels& k = kernels();
  Compute compute = recipe.compute.value_or(preferred_compute(k));
  WeightsPlan weights = plan_weights(checkpoint, config, k, compute);
  int64_t trained = trained_elements(config, recipe.trained) * 4;
  bool packs_head = recipe.trained.embeddings || recipe.trained.all || recipe.trained.lora_rank > 0;
  // Backward packs the other side of a product, too.
  int64_t packed = 2 * (weights.packed + (packs_head ? weights.packed_head : 0));
  int64_t buffers = 0;
  bool divergence = false;
  for (const Stage& stage : recipe.stages) {
    const ShortRows& s = stage.short_rows;
    buffers = std::max(
        buffers, training_buffer_bytes(config, compute, stage_spec(stage, config),
                                       std::max(stage.row_tokens, s.rows > 0 ? s.tokens : 0), recipe.plan));
    divergence |= s.rows > 0 && s.divergence > 0;
  }
  bool second = divergence && (recipe.trained.all || recipe.trained.norms || recipe.trained.embeddings);
  std::vector<std::pair<std::string, int64_t>> table = {
      {"weights of the file", weights.mapped},
      {"copied weights", weights.copied},
      {"trained weights", trained},
      {"gradients", trained},
      {"moments", 2 * trained},
      {"packed for products", packed},
      {"buffers of a row", buffers},
      {"program", kProgramBytes},
  };
  if (second) table.emplace_back("original model", weights.copied + weights.packed + weights.packed_head);
  return table;
}

void check_memory(const std::vector<std::pair<std::string, int64_t>>& table) {
  int64_t needed = 0, available = available_bytes();
  for (const auto& [label, bytes] : table) needed += bytes;
  auto human = [](int64_t bytes) { return human_bytes(static_cast<double>(bytes)); };
  if (available == 0 || needed <= available) return;
  auto most = std::max_element(table.begin(), table.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; });
  fail(
      "the run needs {} of memory, {} are available, {} are missing; most of it is {} ({}): train adapters, "
      "shorter rows or with recompute",
      human(needed), human(available), human(needed - available), most->first, human(most->second));
}

}  // namespace longspan
