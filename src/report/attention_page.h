// An attention map as JSON, and as a page of heat maps over (layer, head) and distance.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "eval/attention_map.h"

namespace longspan {

/// length, queries, trained_context; distances = edges [B + 1]; seen [layer][bin]; mass and density
/// [layer][head][bin], null where no query sees the whole bin; heads [layer][head] and layers [layer] of
/// {reach, median_distance, distance_90, mean_distance, first_token, entropy, beyond: {"1024": weight, ...}}.
Json attention_json(const AttentionMap& map);

/// Writes the self-contained attention.html into FOLDER (created if missing), and beside it
/// attention_density, attention_mass and attention_layers as .svg and .png; without gnuplot the page has its
/// table only, and says so.
void write_attention_page(const std::filesystem::path& folder, const AttentionMap& map,
                          const std::string& title);

}  // namespace longspan
