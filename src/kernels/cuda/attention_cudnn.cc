#include "kernels/cuda/attention_cudnn.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "kernels/cuda/attention_pack.h"
#include "kernels/cuda/cudnn_plans.h"
#include "kernels/cuda/device.h"

namespace longspan {

namespace {

constexpr int64_t kFewestRows = 64;  // below, a plan costs more than it brings
constexpr int64_t kMostScratch = int64_t{2} << 30;
constexpr int64_t kRowTile = 128;          // rows and keys of exact plans are multiples of this
constexpr int64_t kKeyTile = 256;          // keys of limits are read in tiles of at most this many
constexpr int64_t kMostBatchRows = 65536;  // documents of one launch, padded, together
constexpr int64_t kMostPadding = 4;        // padded rows per row from which on documents are not for cuDNN

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/// The sizes of documents that go into one batch: up to 1/8 above the real one, so that the plans of a
/// training run are few and many documents share a launch.
int64_t document_limit(int64_t rows) {
  int64_t step = kRowTile;
  while (rows > 16 * step) step *= 2;
  return round_up(rows, step);
}

/// The keys of a chunk of a prompt: forward only reads them, so a far limit costs nothing, and a prompt of
/// 128K tokens passes three.
int64_t key_limit(int64_t keys) {
  int64_t limit = 8192;
  while (limit < keys) limit *= 4;
  return limit;
}

/// One run of cuDNN: segments of equal padded length of one zone.
struct Launch {
  size_t zone;
  int64_t left;  // distances below it, after the shift; 0: all
  Segments queries, keys;
  bool limits;  // fewer rows than keys

  /// Whether what has a row a query needs no copy: the packed rows are rows first .. first + length - 1.
  bool in_place() const { return queries.count == 1 && queries.rows[0] == queries.length; }
};

struct Document {
  int64_t first, rows;
};

void add_segment(Segments& s, int64_t first, int64_t rows) {
  s.first[s.count] = static_cast<int32_t>(first);
  s.rows[s.count++] = static_cast<int32_t>(rows);
}

/// Batches of documents of one padded length. Their sizes are powers of two, so that few plans exist.
void add_batches(std::vector<Launch>& launches, const Launch& form, std::span<const Document> documents,
                 int64_t shift) {
  int64_t length = form.queries.length;
  while (!documents.empty()) {
    int64_t count = Segments::kMost;
    while (count > std::ssize(documents) || (count > 1 && count * length > kMostBatchRows)) count /= 2;
    launches.push_back(form);
    for (const Document& d : documents.first(static_cast<size_t>(count))) {
      add_segment(launches.back().queries, d.first + shift, d.rows);
      add_segment(launches.back().keys, d.first, d.rows);
    }
    documents = documents.subspan(static_cast<size_t>(count));
  }
}

/// A zone of distances from <= r < end over whole documents: of each, the rows that have keys so far away
/// over the keys without the last `from`.
void add_documents(std::vector<Launch>& launches, size_t zone, int64_t from, int64_t end,
                   const AttentionShape& shape) {
  std::vector<int32_t> firsts = shape.documents;
  if (firsts.empty()) firsts = {0, static_cast<int32_t>(shape.sequences.most_rows)};
  std::map<int64_t, std::vector<Document>> by_length;
  for (size_t d = 0; d + 1 < firsts.size(); ++d) {
    int64_t rows = firsts[d + 1] - firsts[d] - from;
    if (rows <= 0) continue;
    int64_t length = firsts.size() == 2 ? round_up(rows, kRowTile) : document_limit(rows);
    by_length[length].push_back({firsts[d], rows});
  }
  for (const auto& [length, documents] : by_length) {
    Launch form{zone, end - from < length ? end - from : 0, {}, {}, false};
    form.queries.length = form.keys.length = static_cast<int32_t>(length);
    add_batches(launches, form, documents, from);
  }
}

/// A zone for a chunk of a prompt: its last rows over its first keys.
Launch chunk_launch(size_t zone, int64_t from, int64_t end, const AttentionShape& shape) {
  int64_t total = shape.sequences.most_rows, keys = shape.sequences.most_keys - from;
  int64_t rows = std::min(total, keys);
  Launch launch{zone, end - from < keys ? end - from : 0, {}, {}, true};
  launch.queries.length = static_cast<int32_t>(round_up(rows, kRowTile));
  launch.keys.length = static_cast<int32_t>(round_up(keys, kKeyTile));
  add_segment(launch.queries, total - rows, rows);
  add_segment(launch.keys, 0, keys);
  return launch;
}

std::vector<Launch> launches_of(std::span<const AttentionZone> zones, const AttentionShape& shape) {
  int64_t rows = shape.sequences.most_rows, keys = shape.sequences.most_keys;
  int64_t window = shape.window > 0 ? std::min(shape.window, keys) : keys;
  std::vector<Launch> launches;
  for (size_t z = 0; z < zones.size(); ++z) {
    int64_t from = z == 0 ? 0 : std::max<int64_t>(zones[z].from, 0);
    int64_t end = z + 1 < zones.size() ? std::min(zones[z + 1].from, window) : window;
    if (from >= end) continue;
    if (rows == keys)
      add_documents(launches, z, from, end, shape);
    else
      launches.push_back(chunk_launch(z, from, end, shape));
  }
  return launches;
}

bool aligned(const Tensor& x) {
  return reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && x.row_stride % 16 == 0;
}

bool suits(const Tensor& out, std::span<const AttentionZone> zones, const AttentionShape& s) {
  const Sequences& q = s.sequences;
  // Positions matter only where something depends on distances; without them, distances are those of rows.
  bool by_distance = zones.size() > 1 || s.window > 0;
  bool plain =
      s.causal && s.chunk == 0 && !s.slopes && !s.decay && s.soft_cap == 0 && !(s.positions && by_distance);
  bool known = !s.starts || (!s.documents.empty() && q.most_keys == q.most_rows);
  bool sizes = q.count == 1 && q.most_rows >= kFewestRows && q.most_keys >= q.most_rows &&
               q.most_keys <= std::numeric_limits<int32_t>::max() - kKeyTile && s.head_dim % 8 == 0 &&
               s.head_dim <= 256;
  bool types = out.dtype == DType::BF16 && aligned(out) && zones.size() <= kMaxAttentionZones;
  for (const AttentionZone& zone : zones) types = types && zone.q.dtype == DType::F32 && aligned(zone.q);
  return plain && known && sizes && types && !zones.empty();
}

CudnnPlans* plans_of(CudaDevice& device) {
  if (!device.cudnn) device.cudnn = std::make_shared<CudnnPlans>(device);
  return device.cudnn->usable() ? device.cudnn.get() : nullptr;
}

/// One call, which goes through the heads in equal groups.
struct Call {
  CudaDevice& device;
  std::span<const AttentionZone> zones;
  const KvPages& values;
  const AttentionShape& shape;
  std::vector<Launch> launches;
  CudnnPlans* cudnn = nullptr;
  int64_t heads = 0, kv_heads = 0;  // of a group
  std::vector<const CudnnPlan*> plans{};

  int64_t rows() const { return shape.sequences.most_rows; }
  int64_t width() const { return heads * shape.head_dim; }
  int64_t kv_width() const { return kv_heads * shape.head_dim; }
  int64_t groups() const { return shape.kv_heads / kv_heads; }
  bool one_zone() const { return launches.front().zone == launches.back().zone; }

  /// Of a tensor of all heads, the columns of a group.
  Tensor queries(Tensor x, int64_t group) const { return x.columns(group * width(), width()); }
  Tensor keys(Tensor x, int64_t group) const { return x.columns(group * kv_width(), kv_width()); }
  Tensor log_sums(Tensor x, int64_t group) const { return x.columns(group * heads, heads); }

  /// Whether documents are so short that most rows would be padding.
  bool padded() const {
    int64_t packed = 0;
    for (const Launch& launch : launches) packed += launch.queries.packed_rows();
    int64_t most = kMostPadding * std::ssize(zones) * round_up(rows(), kRowTile);
    return packed > most;
  }

  /// The largest groups of which one needs no more than kMostScratch, given the need of all heads.
  void set_groups(int64_t bytes) {
    int64_t count = 1;
    while (count < shape.kv_heads && (shape.kv_heads % count != 0 || bytes / count > kMostScratch)) ++count;
    heads = shape.heads / count;
    kv_heads = shape.kv_heads / count;
  }

  BandShape band_shape(const Launch& launch, bool backward, int64_t out_stride) const {
    return {.backward = backward,
            .limits = launch.limits,
            .deterministic = backward && cudnn->deterministic,
            .batch = launch.queries.count,
            .heads = heads,
            .kv_heads = kv_heads,
            .head_dim = shape.head_dim,
            .rows = launch.queries.length,
            .keys = launch.limits ? key_limit(launch.keys.length) : launch.keys.length,
            .left = launch.left,
            .scale = shape.scale,
            .out_stride = out_stride != width() ? out_stride : 0};
  }

  /// False where cuDNN refuses one. `in_place`: launches that can, read or write the rows of out themselves.
  bool make_plans(bool backward, bool in_place, const Tensor& out) {
    if (!cudnn) return false;
    for (const Launch& launch : launches) {
      int64_t stride = in_place && launch.in_place() ? out.row_stride / 2 : width();
      plans.push_back(cudnn->plan(band_shape(launch, backward, stride)));
      if (!plans.back()) return false;
    }
    return true;
  }

  void run(const CudnnPlan& plan, const BandTensors& tensors) const {
    Scratch scratch(device);
    cudnn->run(plan, tensors, scratch.bytes(std::max<int64_t>(workspace_bytes(plan), 1)));
  }
};

Tensor matrix(Scratch& scratch, CudaDevice& device, DType dtype, int64_t rows, int64_t cols) {
  Tensor x = host_matrix(nullptr, dtype, rows, cols);
  x.data = scratch.bytes(x.bytes());
  x.device = &device;
  return x;
}

uint16_t* bits(void* data) { return static_cast<uint16_t*>(data); }

int64_t forward_bytes(const Call& call) {
  const AttentionShape& s = call.shape;
  int64_t width = s.heads * s.head_dim, kv_width = s.kv_heads * s.head_dim, most = 0;
  for (const Launch& launch : call.launches)
    most = std::max(most, 4 * launch.queries.packed_rows() * (width + s.heads) +
                              4 * launch.keys.packed_rows() * kv_width);
  int64_t zones = call.one_zone() ? 0 : std::ssize(call.zones);
  return most + zones * call.rows() * (2 * width + 4 * s.heads);
}

/// cuDNN's workspace is F32 gradients of queries and, where heads share keys, gradients of keys and values of
/// every head.
int64_t backward_bytes(const Call& call) {
  const AttentionShape& s = call.shape;
  int64_t width = s.heads * s.head_dim, kv_width = s.kv_heads * s.head_dim, most = 0;
  for (const Launch& launch : call.launches) {
    int64_t rows = launch.queries.packed_rows();
    int64_t shared = s.heads != s.kv_heads ? 4 * rows * width : 0;
    most = std::max(most, 12 * rows * width + 8 * rows * kv_width + shared);
  }
  return most;
}

/// Writes the rows of a launch to `to`, packed, or where that is null to the rows of out; and the log-sums,
/// if wanted, to their rows.
void forward_launch(const Call& call, size_t index, int64_t group, void* to, Tensor out, Tensor log_sum) {
  const Launch& launch = call.launches[index];
  const AttentionZone& zone = call.zones[launch.zone];
  int64_t rows = launch.queries.packed_rows(), keys = launch.keys.packed_rows();
  Scratch scratch(call.device);
  BandTensors t{.q = scratch.take<uint16_t>(rows * call.width()),
                .k = scratch.take<uint16_t>(keys * call.kv_width()),
                .v = scratch.take<uint16_t>(keys * call.kv_width()),
                .out = to ? to : scratch.take<uint16_t>(rows * call.width()),
                .log_sum = scratch.take<float>(rows * call.heads)};
  pack_rows(call.device, bits(t.q), call.queries(zone.q, group), launch.queries);
  pack_pages(call.device, bits(t.k), bits(t.v), zone.keys, call.values, group * call.kv_heads, call.kv_heads,
             launch.keys);
  if (launch.limits) {
    auto* counts = scratch.take<int32_t>(2 * kCountStride);
    write_counts(call.device, counts, launch.queries.rows[0], launch.keys.rows[0]);
    t.row_count = counts;
    t.key_count = counts + kCountStride;
  }
  call.run(*call.plans[index], t);
  if (!to) unpack_rows(call.device, out, bits(t.out), launch.queries, false);
  if (log_sum) unpack_log_sum(call.device, log_sum, static_cast<float*>(t.log_sum), launch.queries);
}

void forward_one_zone(const Call& call, Tensor out, Tensor log_sum, int64_t group) {
  for (size_t i = 0; i < call.launches.size(); ++i) {
    const Launch& launch = call.launches[i];
    void* to = launch.in_place() ? out.slice(launch.queries.first[0], launch.queries.length).data : nullptr;
    forward_launch(call, i, group, to, out, log_sum);
  }
}

void forward_zones(const Call& call, Tensor out, Tensor log_sum, int64_t group) {
  Scratch scratch(call.device);
  std::vector<ZonePart> parts;
  for (size_t i = 0; i < call.launches.size();) {
    size_t end = i;
    while (end < call.launches.size() && call.launches[end].zone == call.launches[i].zone) ++end;
    const Segments& first = call.launches[i].queries;
    // The packed rows can be merged as they are.
    bool whole = end == i + 1 && first.count == 1 && first.first[0] + first.rows[0] == call.rows();
    int64_t rows = whole ? first.packed_rows() : call.rows();
    Tensor part = matrix(scratch, call.device, DType::BF16, rows, call.width());
    Tensor sums = matrix(scratch, call.device, DType::F32, call.rows(), call.heads);
    if (!whole) hide_rows(call.device, sums);
    parts.push_back({bits(part.data), sums, whole ? first.first[0] : 0});
    for (; i < end; ++i) forward_launch(call, i, group, whole ? part.data : nullptr, part, sums);
  }
  merge_zones(call.device, out, log_sum, parts, call.heads);
}

void backward_launch(const Call& call, const AttentionGradients& gradients, Tensor dout, Tensor out,
                     Tensor log_sum, size_t index, int64_t group) {
  const Launch& launch = call.launches[index];
  const AttentionZone& zone = call.zones[launch.zone];
  const Segments& queries = launch.queries;
  CudaDevice& device = call.device;
  Scratch scratch(device);
  auto query = [&] { return scratch.take<uint16_t>(queries.packed_rows() * call.width()); };
  auto key = [&] { return scratch.take<uint16_t>(queries.packed_rows() * call.kv_width()); };
  Tensor read = call.queries(out, group);
  BandTensors t{.q = query(),
                .k = key(),
                .v = key(),
                .out = launch.in_place() ? read.slice(queries.first[0], queries.length).data : query(),
                .log_sum = scratch.take<float>(queries.packed_rows() * call.heads),
                .dout = query(),
                .dq = query(),
                .dk = key(),
                .dv = key()};
  pack_rows(device, bits(t.q), call.queries(zone.q, group), queries);
  pack_rows(device, bits(t.dout), call.queries(dout, group), queries);
  // Padding rows of out, dout and q are zeros, so they give nothing to the keys that they see.
  if (!launch.in_place()) pack_rows(device, bits(t.out), read, queries);
  pack_log_sum(device, static_cast<float*>(t.log_sum), call.log_sums(log_sum, group), queries);
  pack_pages(device, bits(t.k), bits(t.v), zone.keys, call.values, group * call.kv_heads, call.kv_heads,
             launch.keys);
  call.run(*call.plans[index], t);

  // The first zone has all keys, so it overwrites the gradients of values.
  bool adds = launch.zone != call.launches.front().zone;
  unpack_rows(device, call.queries(gradients.q[launch.zone], group), bits(t.dq), queries, false);
  unpack_rows(device, call.keys(gradients.keys[launch.zone], group), bits(t.dk), launch.keys, false);
  unpack_rows(device, call.keys(gradients.values, group), bits(t.dv), launch.keys, adds);
}

/// Zeros where a zone has no pair: before its queries and behind its keys, or, among several documents,
/// everywhere first.
void clear_unseen(const Call& call, const AttentionGradients& gradients) {
  for (size_t z = 0; z < call.zones.size(); ++z) {
    int64_t rows = 0;
    bool one = call.shape.documents.size() <= 2;
    for (const Launch& launch : call.launches)
      if (launch.zone == z)
        for (int32_t b = 0; b < launch.queries.count; ++b) rows += launch.queries.rows[b];
    int64_t gap = call.rows() - rows;
    if (gap == 0) continue;
    clear_rows(call.device, gradients.q[z], 0, one ? gap : call.rows());
    clear_rows(call.device, gradients.keys[z], one ? rows : 0, one ? gap : call.rows());
  }
}

}  // namespace

void make_attention_deterministic(CudaDevice& device) {
  if (CudnnPlans* plans = plans_of(device)) plans->deterministic = true;
}

bool cudnn_attention(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                     const AttentionShape& shape) {
  if (!suits(out, zones, shape)) return false;
  CudaDevice& device = device_of(out);
  Call call{device, zones, values, shape, launches_of(zones, shape), plans_of(device)};
  if (call.padded()) return false;
  call.set_groups(forward_bytes(call));
  if (!call.make_plans(false, call.one_zone(), out)) return false;
  for (int64_t group = 0; group < call.groups(); ++group) {
    Tensor sums = log_sum ? call.log_sums(log_sum, group) : Tensor{};
    (call.one_zone() ? forward_one_zone : forward_zones)(call, call.queries(out, group), sums, group);
  }
  return true;
}

bool cudnn_attention_backward(const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
                              std::span<const AttentionZone> zones, const KvPages& values,
                              const AttentionShape& shape) {
  if (!suits(out, zones, shape) || shape.sequences.most_keys != shape.sequences.most_rows ||
      dout.dtype != DType::F32 || !aligned(dout) || !gradients.values || !aligned(gradients.values))
    return false;
  for (size_t z = 0; z < zones.size(); ++z)
    if (!aligned(gradients.q[z]) || !aligned(gradients.keys[z])) return false;
  CudaDevice& device = device_of(out);
  Call call{device, zones, values, shape, launches_of(zones, shape), plans_of(device)};
  if (call.padded()) return false;
  call.set_groups(backward_bytes(call));
  if (!call.make_plans(true, true, out)) return false;
  clear_unseen(call, gradients);
  for (int64_t group = 0; group < call.groups(); ++group)
    for (size_t i = 0; i < call.launches.size(); ++i)
      backward_launch(call, gradients, dout, out, log_sum, i, group);
  return true;
}

}  // namespace longspan
