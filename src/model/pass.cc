#include "model/pass.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

#include "base/error.h"

namespace longspan {

namespace {

/// Local layers with a base of their own rotate by plain RoPE whatever the others do: what they see is inside
/// their window.
PositionSpec local_spec(const ModelConfig& c) {
  PositionConfig plain;
  plain.base = c.rope_local_base_freq;
  return position_spec(plain, c.head_shape(), 0);
}

/// Angles of 0, whatever the others do.
PositionSpec unrotated_spec(const ModelConfig& c) {
  PositionSpec spec;
  spec.inv_freq.assign(static_cast<size_t>(c.rotary_dim / 2), 0.0);
  return spec;
}

struct Part {
  Tensor PassInputs::*tensor;
  DType dtype;
  int64_t n;
};

std::vector<Part> parts(const ModelConfig& c, int64_t rows) {
  return {
      {&PassInputs::ids, DType::I32, rows},         {&PassInputs::positions, DType::F64, rows},
      {&PassInputs::indices, DType::F32, rows},     {&PassInputs::starts, DType::I32, rows},
      {&PassInputs::sharpness, DType::F32, rows},   {&PassInputs::first, DType::I32, rows + 1},
      {&PassInputs::past, DType::I32, rows},        {&PassInputs::slopes, DType::F32, c.num_attention_heads},
      {&PassInputs::decay, DType::F32, c.head_dim}, {&PassInputs::wanted, DType::I32, rows}};
}

/// The beginning of a buffer, filled with these values.
template <class T>
Tensor put(Device& device, const Tensor& buffer, const std::vector<T>& values) {
  device.upload(buffer, std::span<const T>(values));
  return buffer.viewed(buffer.dtype, std::ssize(values));
}

constexpr size_t kLeastPages = 16;

/// The table of pages, as wide as the longest list and some more: a table that keeps its shape while a text
/// grows lets a device repeat what it has recorded.
void put_table(Device& device, const PassRows& rows, PassInputs& in) {
  size_t most = kLeastPages;
  for (auto pages : rows.pages) most = std::max(most, std::bit_ceil(pages.size()));
  std::vector<int32_t> table(rows.pages.size() * most);
  for (size_t s = 0; s < rows.pages.size(); ++s)
    std::copy(rows.pages[s].begin(), rows.pages[s].end(), table.begin() + static_cast<ptrdiff_t>(s * most));
  if (in.tables.bytes() < static_cast<int64_t>(table.size() * sizeof(int32_t))) {
    in.tables.release();
    in.table_memory =
        in.tables.vector("page tables", DType::I32, std::max<int64_t>(64, 2 * std::ssize(table)));
  }
  in.table = in.table_memory.viewed(DType::I32, std::ssize(rows.pages), static_cast<int64_t>(most));
  device.upload(in.table, std::span<const int32_t>(table));
}

/// The tables of one kind of layer; `specs` by sequence. `tables` is the number in use, to which those made
/// here are added.
void make_tables(Device& device, const PassRows& rows, const std::vector<const PositionSpec*>& specs,
                 Tensor positions, Tensor cos, Tensor sin, int64_t& tables, LayerKind& kind) {
  std::vector<Rotations> of;  // by sequence
  for (const PositionSpec* spec : specs) of.push_back(rotations(*spec));
  kind.rotations = of[0];
  // Two rotations that are equal in every sequence share a table.
  auto same = [&](size_t a, bool a_keys, size_t b, bool b_keys) {
    return std::all_of(of.begin(), of.end(), [&](const Rotations& r) {
      return (a_keys ? r.keys : r.queries)[a] == (b_keys ? r.keys : r.queries)[b];
    });
  };
  std::vector<std::pair<size_t, bool>> made;
  int64_t count = rows.count();
  auto table = [&](size_t r, bool keys) {
    auto found = std::find_if(made.begin(), made.end(),
                              [&](const auto& m) { return same(r, keys, m.first, m.second); });
    int64_t at = (tables + (found - made.begin())) * count;
    RopeTable whole{cos.slice(at, count), sin.slice(at, count)};
    if (found != made.end()) return whole;
    made.emplace_back(r, keys);
    for (size_t s = 0; s < specs.size();) {  // neighbours of one spec at once
      size_t end = s + 1;
      while (end < specs.size() && (specs[end] == specs[s] || *specs[end] == *specs[s])) ++end;
      int64_t first = rows.first[s], n = rows.first[end] - first;
      device.kernels().rope_table({whole.cos.slice(first, n), whole.sin.slice(first, n)},
                                  positions.columns(first, n), (keys ? of[s].keys : of[s].queries)[r],
                                  specs[s]->attention_scale);
      s = end;
    }
    return whole;
  };
  for (size_t r = 0; r < kind.rotations.queries.size(); ++r) kind.queries.push_back(table(r, false));
  for (size_t r = 0; r < kind.rotations.keys.size(); ++r) kind.keys.push_back(table(r, true));
  tables += std::ssize(made);
}

/// The first row of each document and the number of rows; empty where a document begins before the rows.
std::vector<int32_t> documents_of(const PassRows& rows) {
  std::vector<int32_t> first;
  auto count = static_cast<int32_t>(rows.count());
  for (int32_t t = 0; t < count; ++t) {
    int32_t start = rows.starts[static_cast<size_t>(t)];
    if (start == t)
      first.push_back(t);
    else if (first.empty() || start != first.back())
      return {};
  }
  if (rows.past[0] != 0) return {};
  first.push_back(count);
  return first;
}

/// Whether positions rise by 1 from row to row within each document.
bool consecutive(const PassRows& rows) {
  for (size_t t = 1; t < rows.positions.size(); ++t) {
    bool first = !rows.starts.empty() && rows.starts[t] == static_cast<int32_t>(t) + rows.past[0];
    if (!first && rows.positions[t] != rows.positions[t - 1] + 1) return false;
  }
  return rows.past[0] == 0;
}

AttentionShape shape_of(Device& device, const ModelConfig& c, const PositionSpec& spec, int64_t window,
                        const PassRows& rows, const PassInputs& in, const Sequences& sequences) {
  double divisor = c.query_pre_attn_scalar > 0 ? c.query_pre_attn_scalar : static_cast<double>(c.head_dim);
  AttentionShape shape{.heads = c.num_attention_heads,
                       .kv_heads = c.num_key_value_heads,
                       .head_dim = c.head_dim,
                       .sequences = sequences,
                       .scale = static_cast<float>(1 / std::sqrt(divisor)),
                       .soft_cap = static_cast<float>(c.attn_logit_softcapping),
                       .window = window,
                       .chunk = spec.chunk};
  // Attention needs positions only where something depends on distance.
  bool by_distance =
      spec.zones.size() > 1 || !spec.decay.empty() || !spec.slopes.empty() || c.sliding_window > 0;
  // Distances within documents of consecutive positions are those of the rows; chunks are counted from 0.
  bool same_distances = rows.indices || (spec.chunk == 0 && consecutive(rows));
  if (!same_distances && by_distance) shape.positions = in.indices.viewed(DType::F32, rows.count());
  if (!rows.starts.empty()) {
    shape.starts = in.starts.viewed(DType::I32, rows.count());
    shape.documents = documents_of(rows);
  }
  if (!spec.slopes.empty())
    shape.slopes = put(device, in.slopes, std::vector<float>(spec.slopes.begin(), spec.slopes.end()));
  if (!spec.decay.empty()) {
    std::vector<float> decay(static_cast<size_t>(c.head_dim), 0.0f);
    size_t half = spec.decay.size();
    for (size_t i = 0; i < half; ++i) decay[i] = decay[i + half] = static_cast<float>(spec.decay[i]);
    shape.decay = put(device, in.decay, decay);
  }
  return shape;
}

}  // namespace

void PassRows::add(std::span<const int32_t> sequence_ids, int64_t before, int64_t skipped,
                   const PositionSpec& spec, std::span<const int32_t> sequence_pages) {
  ids.insert(ids.end(), sequence_ids.begin(), sequence_ids.end());
  for (size_t t = 0; t < sequence_ids.size(); ++t)
    positions.push_back(static_cast<double>(before + skipped) + static_cast<double>(t));
  first.push_back(static_cast<int32_t>(ids.size()));
  past.push_back(static_cast<int32_t>(before));
  specs.push_back(&spec);
  pages.push_back(sequence_pages);
}

int64_t PassInputs::bytes(const ModelConfig& config, int64_t rows) {
  int64_t bytes = 0;
  for (const Part& p : parts(config, rows)) bytes += dtype_bytes(p.dtype, p.n);
  return bytes;
}

PassInputs PassInputs::make(Device& device, Arena& arena, const ModelConfig& config, int64_t rows) {
  PassInputs in;
  in.tables = Arena(device);
  for (const Part& p : parts(config, rows)) in.*p.tensor = arena.vector("inputs", p.dtype, p.n);
  return in;
}

float sharpness(const PositionSpec& spec, double position) {
  if (spec.log_n == 0) return 1;
  double factor = std::log(position + 1) / std::log(static_cast<double>(spec.log_n));
  return static_cast<float>(std::max(1.0, factor));
}

int64_t rope_tables(const ModelConfig& config, const PositionSpec& spec) {
  Rotations r = rotations(spec);
  bool local = config.sliding_window_pattern > 0 && config.rope_local_base_freq > 0;
  return std::ssize(r.queries) + std::ssize(r.keys) + (local ? 1 : 0) +
         (config.no_rope_layer_interval > 0 ? 1 : 0);
}

bool same_but_frequencies(const PositionSpec& a, const PositionSpec& b) {
  auto without = [](PositionSpec spec) {
    spec.inv_freq.clear();
    spec.attention_scale = 1;
    for (Zone& z : spec.zones) z.inv_freq.clear();
    return spec;
  };
  return without(a) == without(b);
}

LayerKinds prepare_pass(Device& device, const ModelConfig& c, const PassRows& rows, PassInputs& in,
                        Tensor cos, Tensor sin) {
  for (int32_t id : rows.ids)
    if (id < 0 || id >= c.vocab_size)
      fail("token id {} is outside the model's vocabulary of {}", id, c.vocab_size);
  const PositionSpec& spec = *rows.specs[0];
  for ([[maybe_unused]] const PositionSpec* other : rows.specs)
    assert(other == &spec || same_but_frequencies(*other, spec));
  put(device, in.ids, rows.ids);
  put(device, in.positions, rows.positions);
  if (!rows.indices)
    put(device, in.indices, std::vector<float>(rows.positions.begin(), rows.positions.end()));
  if (!rows.starts.empty()) put(device, in.starts, rows.starts);
  Sequences sequences{.count = rows.sequences(),
                      .rows = put(device, in.first, rows.first),
                      .past = put(device, in.past, rows.past)};
  for (size_t s = 0; s < rows.past.size(); ++s) {
    int64_t own = rows.first[s + 1] - rows.first[s];
    sequences.most_rows = std::max(sequences.most_rows, own);
    sequences.most_keys = std::max(sequences.most_keys, rows.past[s] + own);
  }
  if (!rows.pages.empty()) put_table(device, rows, in);

  LayerKinds kinds;
  int64_t tables = 0;
  bool pattern = c.sliding_window_pattern > 0;
  auto fill = [&](LayerKind& kind, const std::vector<const PositionSpec*>& specs, int64_t window) {
    make_tables(device, rows, specs, in.positions, cos, sin, tables, kind);
    for (const Zone& zone : specs[0]->zones) kind.from.push_back(zone.from);
    kind.shape = shape_of(device, c, *specs[0], window, rows, in, sequences);
  };
  fill(kinds.whole, rows.specs, pattern ? 0 : c.sliding_window);
  if (spec.log_n > 0) {
    std::vector<float> factors;
    for (double position : rows.positions) factors.push_back(sharpness(spec, position));
    kinds.whole.sharpness = put(device, in.sharpness, factors);
  }
  if (pattern && c.rope_local_base_freq == 0) {
    kinds.local = kinds.whole;
    kinds.local.shape.window = c.sliding_window;
  } else if (pattern) {
    PositionSpec local = local_spec(c);
    fill(kinds.local, std::vector<const PositionSpec*>(rows.specs.size(), &local), c.sliding_window);
  }
  if (c.no_rope_layer_interval > 0) {
    PositionSpec none = unrotated_spec(c);
    fill(kinds.unrotated, std::vector<const PositionSpec*>(rows.specs.size(), &none), c.sliding_window);
  }
  return kinds;
}

}  // namespace longspan
