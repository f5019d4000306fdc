// The distribution of attention over distance, per layer and head: how far back a model really attends (the
// relative-position bottleneck that motivated NLPE; FlagAttention's total_attention measures the same).
// Weights are computed from the queries and keys that attention itself reads, zones, slopes and decay
// included, for a sample of the queries against all of their keys.
//
// The first token is counted separately: many heads put unused attention on it (the attention sink, Xiao
// 2023, arXiv 2309.17453), which would look like long-range attention. It is in no bin.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/progress.h"
#include "model/forward.h"

namespace longspan {

struct AttentionMapOptions {
  int64_t queries = 256;  // roughly: every k-th is sampled, counting back from the last
  int64_t chunk = 512;    // tokens a forward pass
  CacheTypes cache_types;
};

/// Statistics of one head, averaged over the late queries: those sampled from the second half of the text,
/// which all have long histories.
struct HeadAttention {
  double first_token = 0;      // weight of the first token
  double entropy = 0;          // nats, of all weights
  double mean_distance = 0;    // of the weight that is not on the first token
  std::vector<double> beyond;  // [beyond] weight at distances above beyond[i], without the first token's
  std::vector<double> late;    // [B] weight in each bin
};

/// L layers, H heads, B bins: bin b holds the distances edges[b] .. edges[b + 1] - 1.
struct AttentionMap {
  int64_t layers = 0, heads = 0, length = 0, trained_context = 0;
  int64_t queries = 0;                // sampled
  std::vector<int64_t> edges{};       // [B + 1] one distance per bin at first, then four bins per octave
  std::vector<int64_t> beyond{};      // 1024, 4096 and the trained window, those below the length of the text
  std::vector<int64_t> seen{};        // [L, B] sampled queries that see the whole bin
  std::vector<double> mass{};         // [L, H, B] mean weight of the bin, over the queries that see it whole
  std::vector<double> density{};      // [L, H, B] the same per key, relative to the mean over all keys seen:
                                      // uniform attention gives 1
  std::vector<HeadAttention> head{};  // [L, H]

  int64_t bins() const { return static_cast<int64_t>(edges.size()) - 1; }
};

/// Distances 0 .. distances - 1 in bins: 0, 1, ..., 7, then each octave in four of equal width (unequal
/// widths would show as stripes). The last bin may be shorter.
std::vector<int64_t> distance_edges(int64_t distances);

/// Reads `ids` under `spec`; nullopt when progress asked to stop. Error if there are fewer than two ids.
std::optional<AttentionMap> attention_map(const Model& model, const PositionSpec& spec,
                                          std::span<const int32_t> ids, const AttentionMapOptions& options,
                                          const Progress& progress = {});

/// The distance within which `share` of the weight lies, given the weight of each bin; interpolated inside
/// the bin.
double distance_quantile(std::span<const int64_t> edges, std::span<const double> weights, double share);

/// Mean of a layer's heads.
HeadAttention layer_mean(const AttentionMap& map, int64_t layer);

/// Bins that fewer queries see completely are noise: they are measured but not drawn or evaluated.
constexpr int64_t kLeastQueries = 4;
bool enough_seen(const AttentionMap& map, int64_t layer, int64_t bin);

/// The bottleneck: the farthest distance at which a key still gets at least uniform attention (density >= 1),
/// by the mean density of heads [begin, end) of a layer, rounded up to the end of its bin; -1 if none does.
int64_t reach(const AttentionMap& map, int64_t layer, int64_t begin, int64_t end);

}  // namespace longspan
