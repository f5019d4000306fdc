// The kernels give the attention weights of a sample of the queries; here they become sums by distance.
#include "eval/attention_map.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/threads.h"
#include "generate/attention_weights.h"

namespace longspan {

namespace {

constexpr int64_t kMostWeights = int64_t{1} << 24;  // that exist at once, floats

/// What one query at one head gives.
struct Gathered {
  std::vector<double> bins;                     // [B] weights
  std::vector<double> beyond;                   // [beyond]
  double first = 0, entropy = 0, distance = 0;  // distance: sum of weight times distance
};

/// Keys begin .. m are seen by the query at m.
struct Query {
  int64_t m, row, begin;
  int64_t first_key() const { return std::max<int64_t>(1, begin); }  // the first token stands apart
  int64_t distances() const { return m + 1 - first_key(); }
};

class Gatherer {
 public:
  Gatherer(Device& device, AttentionMap& map, int64_t wanted)
      : device_(device),
        map_(map),
        stride_(std::max<int64_t>(1, map.length / std::max<int64_t>(1, wanted))) {}

  void observe(int64_t layer, std::span<const AttentionZone> zones, const AttentionShape& shape) {
    assert(shape.causal && !shape.positions && !shape.starts && shape.sequences.count == 1);
    std::vector<Query> queries = sample(zones[0].q.rows(), shape);
    // The weights of a few queries at a time: [queries H, keys].
    auto at_once =
        static_cast<size_t>(std::max<int64_t>(1, kMostWeights / (map_.heads * shape.sequences.most_keys)));
    for (size_t first = 0; first < queries.size(); first += at_once)
      gather_part(layer, zones, shape,
                  std::span(queries).subspan(first, std::min(at_once, queries.size() - first)));
    for (const Query& query : queries) count_query(layer, query);
  }

  /// Sums to means.
  void finish() {
    int64_t bins = map_.bins();
    for (int64_t i = 0; i < map_.layers * map_.heads * bins; ++i) {
      int64_t seen = map_.seen[static_cast<size_t>(i / bins / map_.heads * bins + i % bins)];
      for (std::vector<double>* sums : {&map_.mass, &map_.density})
        if (seen > 0) (*sums)[static_cast<size_t>(i)] /= static_cast<double>(seen);
    }
    for (HeadAttention& head : map_.head) {
      double weight = std::accumulate(head.late.begin(), head.late.end(), 0.0);
      if (weight > 0) head.mean_distance /= weight;
      auto late = static_cast<double>(late_);
      head.first_token /= late;
      head.entropy /= late;
      for (double& x : head.beyond) x /= late;
      for (double& x : head.late) x /= late;
    }
  }

 private:
  bool is_late(const Query& query) const { return 2 * query.m >= map_.length - 1; }

  void gather_part(int64_t layer, std::span<const AttentionZone> zones, const AttentionShape& shape,
                   std::span<const Query> queries) {
    int64_t keys = shape.sequences.most_keys, count = std::ssize(queries) * map_.heads;
    std::vector<int32_t> rows;
    for (const Query& query : queries) rows.push_back(static_cast<int32_t>(query.row));
    const std::vector<float> all = attention_weights(device_, zones, shape, rows);
    std::vector<Gathered> found(static_cast<size_t>(count));
    parallel_for(count, [&](int64_t i) {
      const Query& query = queries[static_cast<size_t>(i / map_.heads)];
      found[static_cast<size_t>(i)] = gather(
          query, std::span(all).subspan(static_cast<size_t>(i * keys), static_cast<size_t>(query.m + 1)));
    });
    // Added in the order of the queries, however many threads found them.
    for (int64_t i = 0; i < count; ++i)
      add(layer, i % map_.heads, queries[static_cast<size_t>(i / map_.heads)], found[static_cast<size_t>(i)]);
  }

  std::vector<Query> sample(int64_t rows, const AttentionShape& shape) const {
    std::vector<Query> queries;
    for (int64_t t = 0; t < rows; ++t) {
      int64_t m = shape.sequences.most_keys - rows + t;
      if (m < 1 || (map_.length - 1 - m) % stride_ != 0) continue;
      queries.push_back({m, t, shape.window > 0 ? std::max<int64_t>(0, m + 1 - shape.window) : 0});
    }
    return queries;
  }

  /// What becomes of the weights of one query, one for each key up to its own.
  Gathered gather(const Query& query, std::span<const float> weights) const {
    Gathered g;
    for (int64_t n = query.begin; n <= query.m; ++n) {
      auto w = static_cast<double>(weights[static_cast<size_t>(n)]);
      if (w > 0) g.entropy -= w * std::log(w);
    }
    for (int64_t n = query.first_key(); n < query.m; ++n)
      g.distance += static_cast<double>(weights[static_cast<size_t>(n)]) * static_cast<double>(query.m - n);
    auto between = [&](int64_t near, int64_t far) {  // weight at distances near .. far - 1
      int64_t from = std::max(query.first_key(), query.m + 1 - far), to = query.m + 1 - near;
      if (from >= to) return 0.0;
      return std::accumulate(weights.begin() + from, weights.begin() + to, 0.0);
    };
    g.first = query.begin == 0 ? static_cast<double>(weights[0]) : 0;
    for (int64_t d : map_.beyond) g.beyond.push_back(between(d + 1, map_.length));
    for (int64_t b = 0; b < map_.bins(); ++b)
      g.bins.push_back(between(map_.edges[static_cast<size_t>(b)], map_.edges[static_cast<size_t>(b + 1)]));
    return g;
  }

  bool sees_whole(const Query& query, int64_t bin) const {
    return map_.edges[static_cast<size_t>(bin + 1)] <= query.distances();
  }

  void add(int64_t layer, int64_t head, const Query& query, const Gathered& g) {
    int64_t at = layer * map_.heads + head;
    HeadAttention& sums = map_.head[static_cast<size_t>(at)];
    for (int64_t b = 0; b < map_.bins(); ++b) {
      double weight = g.bins[static_cast<size_t>(b)];
      if (is_late(query)) sums.late[static_cast<size_t>(b)] += weight;
      if (!sees_whole(query, b)) continue;
      int64_t width = map_.edges[static_cast<size_t>(b + 1)] - map_.edges[static_cast<size_t>(b)];
      map_.mass[static_cast<size_t>(at * map_.bins() + b)] += weight;
      map_.density[static_cast<size_t>(at * map_.bins() + b)] +=
          weight * static_cast<double>(query.m + 1 - query.begin) / static_cast<double>(width);
    }
    if (!is_late(query)) return;
    sums.first_token += g.first;
    sums.entropy += g.entropy;
    sums.mean_distance += g.distance;
    for (size_t i = 0; i < g.beyond.size(); ++i) sums.beyond[i] += g.beyond[i];
  }

  void count_query(int64_t layer, const Query& query) {
    for (int64_t b = 0; b < map_.bins(); ++b)
      map_.seen[static_cast<size_t>(layer * map_.bins() + b)] += sees_whole(query, b);
    if (layer > 0) return;
    ++map_.queries;
    late_ += is_late(query);
  }

  Device& device_;
  AttentionMap& map_;
  int64_t stride_, late_ = 0;
};

AttentionMap empty_map(const ModelConfig& config, int64_t length) {
  AttentionMap map{.layers = config.num_hidden_layers,
                   .heads = config.num_attention_heads,
                   .length = length,
                   .trained_context = config.position.trained_context,
                   .edges = distance_edges(length - 1)};
  for (int64_t d : {int64_t{1024}, int64_t{4096}, map.trained_context})
    if (d > 0 && d < length - 1) map.beyond.push_back(d);
  std::sort(map.beyond.begin(), map.beyond.end());
  map.beyond.erase(std::unique(map.beyond.begin(), map.beyond.end()), map.beyond.end());
  auto heads = static_cast<size_t>(map.layers * map.heads), bins = static_cast<size_t>(map.bins());
  map.seen.resize(static_cast<size_t>(map.layers) * bins);
  map.mass.resize(heads * bins);
  map.density.resize(heads * bins);
  HeadAttention none;
  none.beyond.resize(map.beyond.size());
  none.late.resize(bins);
  map.head.assign(heads, none);
  return map;
}

}  // namespace

std::vector<int64_t> distance_edges(int64_t distances) {
  std::vector<int64_t> edges{0};
  while (edges.back() < distances) {
    auto octave = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(edges.back())));
    edges.push_back(std::min(distances, edges.back() + std::max<int64_t>(1, octave / 4)));
  }
  return edges;
}

std::optional<AttentionMap> attention_map(const Model& model, const PositionSpec& spec,
                                          std::span<const int32_t> ids, const AttentionMapOptions& options,
                                          const Progress& progress) {
  auto length = static_cast<int64_t>(ids.size());
  if (length < 2) fail("the text has {} token: attention over distance needs at least 2", length);
  AttentionMap map = empty_map(model.config, length);
  Gatherer gatherer(*model.device, map, options.queries);
  KvCache cache(std::make_shared<KvPool>(
      *model.device, kv_layout(model.config, options.cache_types, key_copies(spec)), pages_for(length)));
  Activations activations = make_activations(model, spec, std::min(options.chunk, length));
  Reading reading{.progress = progress};
  reading.observer = [&](int64_t layer, std::span<const AttentionZone> zones, const AttentionShape& shape) {
    gatherer.observe(layer, zones, shape);
  };
  if (!read(model, cache, spec, ids, activations, reading)) return std::nullopt;
  gatherer.finish();
  return map;
}

double distance_quantile(std::span<const int64_t> edges, std::span<const double> weights, double share) {
  double wanted = share * std::accumulate(weights.begin(), weights.end(), 0.0), sum = 0;
  for (size_t b = 0; b < weights.size(); ++b) {
    if (weights[b] > 0 && sum + weights[b] >= wanted) {
      // A bin of one distance has nothing to interpolate.
      auto last = static_cast<double>(edges[b + 1] - 1 - edges[b]);
      return static_cast<double>(edges[b]) + last * (wanted - sum) / weights[b];
    }
    sum += weights[b];
  }
  return static_cast<double>(edges.back() - 1);
}

HeadAttention layer_mean(const AttentionMap& map, int64_t layer) {
  HeadAttention mean;
  mean.beyond.resize(map.beyond.size());
  mean.late.resize(static_cast<size_t>(map.bins()));
  auto share = 1.0 / static_cast<double>(map.heads);
  for (int64_t h = 0; h < map.heads; ++h) {
    const HeadAttention& head = map.head[static_cast<size_t>(layer * map.heads + h)];
    mean.first_token += share * head.first_token;
    mean.entropy += share * head.entropy;
    mean.mean_distance += share * head.mean_distance;
    for (size_t i = 0; i < mean.beyond.size(); ++i) mean.beyond[i] += share * head.beyond[i];
    for (size_t b = 0; b < mean.late.size(); ++b) mean.late[b] += share * head.late[b];
  }
  return mean;
}

bool enough_seen(const AttentionMap& map, int64_t layer, int64_t bin) {
  return map.seen[static_cast<size_t>(layer * map.bins() + bin)] >= std::min(kLeastQueries, map.queries);
}

int64_t reach(const AttentionMap& map, int64_t layer, int64_t begin, int64_t end) {
  for (int64_t b = map.bins() - 1; b >= 0; --b) {
    if (!enough_seen(map, layer, b)) continue;
    double sum = 0;
    for (int64_t h = begin; h < end; ++h)
      sum += map.density[static_cast<size_t>((layer * map.heads + h) * map.bins() + b)];
    if (sum >= static_cast<double>(end - begin)) return map.edges[static_cast<size_t>(b + 1)] - 1;
  }
  return -1;
}

}  // namespace longspan
