#include "kernels/cuda/attention_cudnn.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>
#include <vector>

#include "kernels/cuda/attention_pack.h"
#include "kernels/cuda/cudnn_plans.h"
#include "kernels/cuda/device.h"

namespace longspan {

namespace {

constexpr int64_t kFewestRows = 64;  // below, a plan costs more than it brings
constexpr int64_t kMostScratch = int64_t{2} << 30;
constexpr int64_t kKeyTile = 256;  // keys are read in tiles of at most this many

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/// Limits of plans. Everything whose rows are rows of results is allocated up to the limit, so that limit is
/// close above large sizes, which are those of training and of whole prompts.
int64_t row_limit(int64_t rows) {
  if (rows > 8192) return round_up(rows, 8192);
  return std::max<int64_t>(512, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(rows))));
}
/// Forward only reads keys, so a far limit costs nothing, and a prompt of 128K tokens passes three.
int64_t key_limit(int64_t keys) {
  int64_t limit = 8192;
  while (limit < keys) limit *= 4;
  return limit;
}

/// What one zone sees: `rows` last rows over `keys` first keys, distances below `left` (0: all) after the
/// shift.
struct Band {
  size_t zone;
  int64_t rows, keys, left;
};

std::vector<Band> bands_of(std::span<const AttentionZone> zones, const AttentionShape& shape) {
  int64_t rows = shape.sequences.most_rows, keys = shape.sequences.most_keys;
  int64_t window = shape.window > 0 ? std::min(shape.window, keys) : keys;
  std::vector<Band> bands;
  for (size_t z = 0; z < zones.size(); ++z) {
    int64_t from = z == 0 ? 0 : std::max<int64_t>(zones[z].from, 0);
    int64_t end = z + 1 < zones.size() ? std::min(zones[z + 1].from, window) : window;
    if (from >= end) continue;
    int64_t seen = keys - from;
    bands.push_back({z, std::min(rows, seen), seen, end < keys ? end - from : 0});
  }
  return bands;
}

bool aligned(const Tensor& x) {
  return reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && x.row_stride % 16 == 0;
}

bool suits(const Tensor& out, std::span<const AttentionZone> zones, const AttentionShape& s) {
  const Sequences& q = s.sequences;
  bool plain = s.causal && s.chunk == 0 && !s.positions && !s.starts && !s.slopes && !s.decay;
  bool sizes = q.count == 1 && q.most_rows >= kFewestRows && q.most_keys >= q.most_rows &&
               q.most_keys <= std::numeric_limits<int32_t>::max() && s.head_dim % 8 == 0 && s.head_dim <= 256;
  bool types = out.dtype == DType::BF16 && aligned(out) && zones.size() <= kMaxAttentionZones;
  for (const AttentionZone& zone : zones) types = types && zone.q.dtype == DType::F32 && aligned(zone.q);
  return plain && sizes && types && !zones.empty();
}

CudnnPlans* plans_of(CudaDevice& device) {
  if (!device.cudnn) device.cudnn = std::make_shared<CudnnPlans>(device);
  return device.cudnn->usable() ? device.cudnn.get() : nullptr;
}

/// One call, which goes through the heads in equal groups.
struct Call {
  CudaDevice& device;
  CudnnPlans& plans;
  std::span<const AttentionZone> zones;
  const KvPages& values;
  const AttentionShape& shape;
  std::vector<Band> bands;
  int64_t heads = 0, kv_heads = 0;  // of a group
  std::vector<const CudnnPlan*> ready{};

  int64_t rows() const { return shape.sequences.most_rows; }
  int64_t width() const { return heads * shape.head_dim; }
  int64_t kv_width() const { return kv_heads * shape.head_dim; }
  int64_t groups() const { return shape.kv_heads / kv_heads; }

  /// Of a tensor of all heads, the columns of a group.
  Tensor queries(Tensor x, int64_t group) const { return x.columns(group * width(), width()); }
  Tensor keys(Tensor x, int64_t group) const { return x.columns(group * kv_width(), kv_width()); }
  /// Of those, the rows of a band.
  Tensor queries(Tensor x, int64_t group, const Band& band) const {
    return queries(x, group).slice(rows() - band.rows, band.rows);
  }

  /// The largest groups of which one needs no more than kMostScratch, given the need of all heads.
  void set_groups(int64_t bytes) {
    int64_t count = 1;
    while (count < shape.kv_heads && (shape.kv_heads % count != 0 || bytes / count > kMostScratch)) ++count;
    heads = shape.heads / count;
    kv_heads = shape.kv_heads / count;
  }

  BandShape band_shape(const Band& band, bool backward) const {
    int64_t keys = backward ? row_limit(band.keys) : key_limit(band.keys);
    return {.backward = backward,
            .heads = heads,
            .kv_heads = kv_heads,
            .head_dim = shape.head_dim,
            .rows = row_limit(band.rows),
            .keys = keys,
            .left = band.left < keys ? band.left : 0,
            .scale = shape.scale};
  }
};

/// The numbers of rows and keys of a band on the device.
int32_t* counts(Scratch& scratch, const Call& call, const Band& band) {
  auto* to = scratch.take<int32_t>(2 * kCountStride);
  write_counts(call.device, to, band.rows, band.keys);
  return to;
}

int64_t forward_bytes(const Call& call) {
  const AttentionShape& s = call.shape;
  int64_t width = s.heads * s.head_dim, kv_width = s.kv_heads * s.head_dim, out = 0, most = 0;
  for (const Band& band : call.bands) {
    out += row_limit(band.rows) * width * (call.bands.size() > 1 ? 4 : 2);
    most = std::max(most, 2 * row_limit(band.rows) * width + 2 * band.keys * kv_width);
  }
  return out + most + 2 * s.sequences.most_keys * kv_width;
}

/// cuDNN's workspace is F32 gradients of queries and, where heads share keys, gradients of keys and values of
/// every head.
int64_t backward_bytes(const Call& call) {
  const AttentionShape& s = call.shape;
  int64_t width = s.heads * s.head_dim, kv_width = s.kv_heads * s.head_dim, most = 0;
  for (const Band& band : call.bands) {
    int64_t rows = row_limit(band.rows), keys = row_limit(band.keys);
    int64_t shared = s.heads != s.kv_heads ? 4 * keys * width : 0;
    most = std::max(most, 12 * rows * width + 8 * keys * kv_width + shared);
  }
  return most;
}

/// A single band whose rows end at the limit of its plan is written to where it belongs.
bool writes_out(const Call& call) { return call.bands.size() == 1 && row_limit(call.rows()) == call.rows(); }

void forward_group(const Call& call, Tensor out, Tensor log_sum, int64_t group) {
  bool direct = writes_out(call);
  auto part_dtype = call.bands.size() > 1 ? DType::F32 : DType::BF16;
  Scratch results(call.device);
  int64_t value_rows = round_up(call.shape.sequences.most_keys, kKeyTile);
  auto* v = results.take<uint16_t>(value_rows * call.kv_width());
  pack_pages(call.device, v, call.values, group * call.kv_heads, call.kv_heads,
             call.shape.sequences.most_keys, value_rows);
  std::vector<BandPart> parts;
  for (size_t i = 0; i < call.bands.size(); ++i) {
    const Band& band = call.bands[i];
    const AttentionZone& zone = call.zones[band.zone];
    int64_t limit = row_limit(band.rows), key_rows = round_up(band.keys, kKeyTile);
    void* part = direct ? call.queries(out, group).data
                        : results.bytes(limit * call.width() * (part_dtype == DType::F32 ? 4 : 2));
    auto* sums = results.take<float>(limit * call.heads);
    parts.push_back({part, sums, call.rows() - band.rows, limit});

    Scratch scratch(call.device);
    auto* q = scratch.take<uint16_t>(limit * call.width());
    auto* k = scratch.take<uint16_t>(key_rows * call.kv_width());
    int32_t* count = counts(scratch, call, band);
    pack_rows(call.device, q, call.queries(zone.q, group, band), limit);
    pack_pages(call.device, k, zone.keys, group * call.kv_heads, call.kv_heads, band.keys, key_rows);
    call.plans.run(*call.ready[i],
                   {.q = q,
                    .k = k,
                    .v = v,
                    .out = part,
                    .log_sum = sums,
                    .row_count = count,
                    .key_count = count + kCountStride},
                   scratch.bytes(std::max<int64_t>(workspace_bytes(*call.ready[i]), 1)));
  }
  Tensor sums = log_sum ? log_sum.columns(group * call.heads, call.heads) : Tensor{};
  if (direct && !sums) return;
  merge_bands(call.device, direct ? Tensor{} : call.queries(out, group), sums, parts, part_dtype, call.rows(),
              call.heads, call.shape.head_dim);
}

/// The tensors of a band's backward run but for its inputs' contents, from scratch.
BandTensors backward_tensors(Scratch& scratch, const Call& call, int64_t rows, int64_t keys) {
  auto query = [&] { return scratch.take<uint16_t>(rows * call.width()); };
  auto key = [&] { return scratch.take<uint16_t>(keys * call.kv_width()); };
  return {.q = query(),
          .k = key(),
          .v = key(),
          .out = query(),
          .log_sum = scratch.take<float>(rows * call.heads),
          .dout = query(),
          .dq = query(),
          .dk = key(),
          .dv = key()};
}

void backward_band(const Call& call, const AttentionGradients& gradients, Tensor dout, Tensor out,
                   Tensor log_sum, size_t index, int64_t group) {
  const Band& band = call.bands[index];
  const AttentionZone& zone = call.zones[band.zone];
  CudaDevice& device = call.device;
  int64_t rows = row_limit(band.rows), keys = row_limit(band.keys), first_head = group * call.kv_heads;
  Scratch scratch(device);
  BandTensors t = backward_tensors(scratch, call, rows, keys);
  int32_t* count = counts(scratch, call, band);
  t.row_count = count;
  t.key_count = count + kCountStride;
  auto bits = [](void* data) { return static_cast<uint16_t*>(data); };
  pack_rows(device, bits(t.q), call.queries(zone.q, group, band), rows);
  pack_rows(device, bits(t.out), call.queries(out, group, band), rows);
  pack_rows(device, bits(t.dout), call.queries(dout, group, band), rows);
  pack_pages(device, bits(t.k), zone.keys, first_head, call.kv_heads, band.keys, keys);
  pack_pages(device, bits(t.v), call.values, first_head, call.kv_heads, band.keys, keys);
  Tensor sums = log_sum.columns(group * call.heads, call.heads).slice(call.rows() - band.rows, band.rows);
  pack_log_sum(device, static_cast<float*>(t.log_sum), sums, rows);
  const CudnnPlan& plan = *call.ready[index];
  call.plans.run(plan, t, scratch.bytes(std::max<int64_t>(workspace_bytes(plan), 1)));

  unpack_gradient(device, call.queries(gradients.q[band.zone], group), bits(t.dq), call.rows() - band.rows,
                  band.rows, false);
  unpack_gradient(device, call.keys(gradients.keys[band.zone], group), bits(t.dk), 0, band.keys, false);
  // The first band has all keys, so it overwrites.
  unpack_gradient(device, call.keys(gradients.values, group), bits(t.dv), 0, band.keys, index > 0);
}

/// Gradients of zones that no pair is in.
void clear_unseen(const Call& call, const AttentionGradients& gradients) {
  for (size_t z = 0; z < call.zones.size(); ++z) {
    bool seen = std::any_of(call.bands.begin(), call.bands.end(), [&](const Band& b) { return b.zone == z; });
    if (seen) continue;
    unpack_gradient(call.device, gradients.q[z], nullptr, 0, 0, false);
    unpack_gradient(call.device, gradients.keys[z], nullptr, 0, 0, false);
  }
}

}  // namespace

bool cudnn_attention(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                     const AttentionShape& shape) {
  if (!suits(out, zones, shape)) return false;
  CudaDevice& device = device_of(out);
  CudnnPlans* plans = plans_of(device);
  if (!plans) return false;
  Call call{device, *plans, zones, values, shape, bands_of(zones, shape)};
  call.set_groups(forward_bytes(call));
  for (const Band& band : call.bands) {
    BandShape wanted = call.band_shape(band, false);
    wanted.out_f32 = call.bands.size() > 1;
    wanted.out_stride = writes_out(call) ? out.row_stride / 2 : call.width();
    call.ready.push_back(plans->plan(wanted));
    if (!call.ready.back()) return false;
  }
  for (int64_t group = 0; group < call.groups(); ++group) forward_group(call, out, log_sum, group);
  return true;
}

bool cudnn_attention_backward(const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
                              std::span<const AttentionZone> zones, const KvPages& values,
                              const AttentionShape& shape) {
  if (!suits(out, zones, shape) || dout.dtype != DType::F32 || !aligned(dout) || !aligned(gradients.values))
    return false;
  for (size_t z = 0; z < zones.size(); ++z)
    if (!aligned(gradients.q[z]) || !aligned(gradients.keys[z])) return false;
  CudaDevice& device = device_of(out);
  CudnnPlans* plans = plans_of(device);
  if (!plans) return false;
  Call call{device, *plans, zones, values, shape, bands_of(zones, shape)};
  call.set_groups(backward_bytes(call));
  for (const Band& band : call.bands) {
    call.ready.push_back(plans->plan(call.band_shape(band, true)));
    if (!call.ready.back()) return false;
  }
  clear_unseen(call, gradients);
  for (int64_t group = 0; group < call.groups(); ++group)
    for (size_t i = 0; i < call.bands.size(); ++i)
      backward_band(call, gradients, dout, out, log_sum, i, group);
  return true;
}

}  // namespace longspan
