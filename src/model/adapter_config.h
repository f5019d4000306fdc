// adapter_config.json, with which PEFT describes an adapter. Every key is honoured, known to change nothing
// when the adapter is used, or refused by name: a key that was overlooked would give wrong numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "tokenizer/regex.h"

namespace longspan {

/// What the initialisation did to the base's weights: nothing, or it took the part out that A and B began as.
enum class AdapterStart : uint8_t { Plain, Pissa, Olora };

struct AdapterConfig {
  double rank = 0, alpha = 0;  // of modules that no pattern names
  struct Pattern {
    Regex module;
    double value = 0;
  };
  std::vector<Pattern> ranks, alphas;  // the first that matches counts
  bool rslora = false;                 // scale alpha / sqrt(rank) instead of alpha / rank
  bool dora = false;                   // rows of W + scale B A are given the length of a magnitude vector
  AdapterStart start = AdapterStart::Plain;
  bool ensure_weight_tying = false;  // a pair of the embedding is the head's, too, where they are shared

  std::vector<std::string> targets, excluded;  // modules, or the last parts of their names
  std::optional<Regex> target_regex, excluded_regex;
  bool all_linear = false;         // every projection is a target
  std::vector<int64_t> layers;     // only these; empty: all
  std::vector<Regex> layer_names;  // what precedes the number of a layer; empty: anything
};

/// Error naming `file` and the key.
AdapterConfig read_adapter_config(const Json& json, const std::string& file);

/// Whether PEFT puts a pair A, B beside the module ("model.layers.3.mlp.up_proj").
bool is_target(const AdapterConfig& config, const std::string& module);
double rank_of(const AdapterConfig& config, const std::string& module);
/// alpha / rank, or alpha / sqrt(rank).
float scale_of(const AdapterConfig& config, const std::string& module);

}  // namespace longspan
