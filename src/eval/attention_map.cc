// Scores of a sampled query are one product with the keys laid out as columns, so that the loop over keys is
// plain streaming multiply-adds. The softmax is computed here, over all keys that the query sees.
#include "eval/attention_map.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/threads.h"

namespace longspan {

namespace {

/// Statistics of one query at one head.
struct Gathered {
  std::vector<double> bins;                     // [B] weights
  std::vector<double> beyond;                   // [beyond]
  double first = 0, entropy = 0, distance = 0;  // distance: sum of weight times distance
};

/// The query at m sees the keys begin .. m.
struct Query {
  int64_t m, row, begin;
  int64_t first_key() const { return std::max<int64_t>(1, begin); }  // the first token is counted separately
  int64_t distances() const { return m + 1 - first_key(); }
};

/// One head's keys 0 .. count - 1 as columns: [pages, D, kPageTokens] F32.
std::vector<float> key_columns(const KvPages& keys, int64_t head, int64_t count) {
  int64_t pages = (count + kPageTokens - 1) / kPageTokens, d = keys.head_dim;
  std::vector<float> out(static_cast<size_t>(pages * d * kPageTokens));
  parallel_for(pages, [&](int64_t page) {
    Tensor rows = matrix_view(keys.pages[static_cast<size_t>(page)], keys.dtype, keys.heads * kPageTokens, d);
    std::vector<float> key(static_cast<size_t>(d));
    float* columns = out.data() + page * d * kPageTokens;
    for (int64_t n = 0; n < std::min(kPageTokens, count - page * kPageTokens); ++n) {
      dequantise(key.data(), rows.row(head * kPageTokens + n), keys.dtype, d);
      for (int64_t i = 0; i < d; ++i) columns[i * kPageTokens + n] = key[static_cast<size_t>(i)];
    }
  });
  return out;
}

/// exp(decay[i] r) at [i][length - 1 - r]: rising with the key's index, as the columns of keys are.
std::vector<float> decay_table(std::span<const float> decay, int64_t length) {
  std::vector<float> table(decay.size() * static_cast<size_t>(length));
  for (size_t i = 0; i < decay.size(); ++i)
    for (int64_t r = 0; r < length; ++r)
      table[i * static_cast<size_t>(length) + static_cast<size_t>(length - 1 - r)] =
          std::exp(decay[i] * static_cast<float>(r));
  return table;
}

/// One past the last key that is far enough from m for a zone.
int64_t zone_end(const AttentionZone& zone, int64_t chunk, int64_t m) {
  int64_t end = chunk == 0 ? m + 1 - zone.from : (m / chunk + 1 - zone.from) * chunk;
  return std::clamp<int64_t>(end, 0, m + 1);
}

class Gatherer {
 public:
  Gatherer(AttentionMap& map, int64_t wanted)
      : map_(map), stride_(std::max<int64_t>(1, map.length / std::max<int64_t>(1, wanted))) {}

  void observe(int64_t layer, std::span<const AttentionZone> zones, const AttentionShape& shape) {
    assert(shape.causal && shape.positions.empty() && shape.starts.empty());
    std::vector<Query> queries = sample(zones[0].q.rows(), shape);
    if (queries.empty()) return;
    if (!shape.decay.empty() && decay_.empty()) decay_ = decay_table(shape.decay, map_.length);
    auto group = shape.heads / shape.kv_heads, count = static_cast<int64_t>(queries.size());
    std::vector<Gathered> found(static_cast<size_t>(count * group));
    for (int64_t kv_head = 0; kv_head < shape.kv_heads; ++kv_head) {
      std::vector<std::vector<float>> columns;
      for (const AttentionZone& zone : zones)
        columns.push_back(key_columns(zone.keys, kv_head, queries.back().m + 1));
      parallel_for(count * group, [&](int64_t i) {
        const Query& query = queries[static_cast<size_t>(i / group)];
        found[static_cast<size_t>(i)] =
            gather(query, scores(query, kv_head * group + i % group, zones, columns, shape));
      });
      // Summed in query order, whatever the number of threads.
      for (int64_t i = 0; i < count * group; ++i)
        add(layer, kv_head * group + i % group, queries[static_cast<size_t>(i / group)],
            found[static_cast<size_t>(i)]);
    }
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

  std::vector<Query> sample(int64_t rows, const AttentionShape& shape) const {
    std::vector<Query> queries;
    for (int64_t t = 0; t < rows; ++t) {
      int64_t m = shape.past + t;
      if (m < 1 || (map_.length - 1 - m) % stride_ != 0) continue;
      queries.push_back({m, t, shape.window > 0 ? std::max<int64_t>(0, m + 1 - shape.window) : 0});
    }
    return queries;
  }

  /// [m + 1]; entries before query.begin are undefined.
  std::vector<float> scores(const Query& query, int64_t head, std::span<const AttentionZone> zones,
                            const std::vector<std::vector<float>>& columns,
                            const AttentionShape& shape) const {
    std::vector<float> out(static_cast<size_t>(query.m + 1));
    for (size_t z = 0; z < zones.size(); ++z) {
      // Distances fall as keys rise: the next zone's keys end where this one's begin.
      int64_t end = zone_end(zones[z], shape.chunk, query.m);
      int64_t begin = z + 1 < zones.size() ? zone_end(zones[z + 1], shape.chunk, query.m) : 0;
      add_products(out.data(), zones[z].q.row(query.row) + head * shape.head_dim, columns[z], shape, query.m,
                   std::max(begin, query.begin), end);
    }
    if (!shape.slopes.empty())
      for (int64_t n = query.begin; n <= query.m; ++n)
        out[static_cast<size_t>(n)] -=
            shape.slopes[static_cast<size_t>(head)] * static_cast<float>(query.m - n);
    return out;
  }

  void add_products(float* out, const float* q, const std::vector<float>& columns,
                    const AttentionShape& shape, int64_t m, int64_t begin, int64_t end) const {
    for (int64_t page = begin / kPageTokens; page * kPageTokens < end; ++page) {
      int64_t from = std::max(begin, page * kPageTokens), to = std::min(end, (page + 1) * kPageTokens);
      for (int64_t i = 0; i < shape.head_dim; ++i) {
        const float* k = columns.data() + (page * shape.head_dim + i) * kPageTokens - page * kPageTokens;
        const float* fade = shape.decay.empty() ? nullptr : decay_.data() + (i + 1) * map_.length - 1 - m;
        float x = q[i] * shape.scale;
        if (fade) {
#pragma omp simd
          for (int64_t n = from; n < to; ++n) out[n] += x * k[n] * fade[n];
        } else {
#pragma omp simd
          for (int64_t n = from; n < to; ++n) out[n] += x * k[n];
        }
      }
    }
  }

  /// The softmax of one query, and where its weights are added.
  Gathered gather(const Query& query, std::vector<float> weights) const {
    auto begin = weights.begin() + query.begin;
    float largest = *std::max_element(begin, weights.end());
    double total = 0, score = 0, distance = 0;
    for (auto w = begin; w != weights.end(); ++w) {
      float below = *w - largest;
      *w = std::exp(below);
      total += *w;
      score += static_cast<double>(*w) * below;
    }
    for (int64_t n = query.first_key(); n < query.m; ++n)
      distance += weights[static_cast<size_t>(n)] * static_cast<double>(query.m - n);
    auto between = [&](int64_t near, int64_t far) {  // weight at distances near .. far - 1
      int64_t from = std::max(query.first_key(), query.m + 1 - far), to = query.m + 1 - near;
      if (from >= to) return 0.0;
      return std::accumulate(weights.begin() + from, weights.begin() + to, 0.0) / total;
    };
    Gathered g;
    g.first = query.begin == 0 ? weights[0] / total : 0;
    g.entropy = std::log(total) - score / total;
    g.distance = distance / total;
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

  AttentionMap& map_;
  int64_t stride_, late_ = 0;
  std::vector<float> decay_;  // decay_table, or empty
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
  Gatherer gatherer(map, options.queries);
  KvCache cache(model.config, options.cache_dtype, static_cast<int64_t>(rotations(spec).keys.size()));
  Activations activations = make_activations(model.config, spec, std::min(options.chunk, length));
  AttentionObserver observer = [&](int64_t layer, std::span<const AttentionZone> zones,
                                   const AttentionShape& shape) { gatherer.observe(layer, zones, shape); };
  for (int64_t past = 0; past < length;) {
    int64_t count = std::min(length - past, activations.rows);
    forward(model, spec, cache,
            {ids.subspan(static_cast<size_t>(past), static_cast<size_t>(count)), past, observer},
            activations);
    past += count;
    if (progress && !progress(past, length)) return std::nullopt;
  }
  gatherer.finish();
  return map;
}

double distance_quantile(std::span<const int64_t> edges, std::span<const double> weights, double share) {
  double wanted = share * std::accumulate(weights.begin(), weights.end(), 0.0), sum = 0;
  for (size_t b = 0; b < weights.size(); ++b) {
    if (weights[b] > 0 && sum + weights[b] >= wanted) {
      // A bin of one distance needs no interpolation.
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
