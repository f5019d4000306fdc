#include "model/frozen_context.h"

#include <algorithm>
#include <cassert>

#include "base/error.h"

namespace longspan {

namespace {

constexpr int64_t kHostChunk = 512, kGpuChunk = 16384;

int64_t chunk_of(const Kernels& k, int64_t context) { return std::min(frozen_chunk(k), context); }

/// Tokens before a row that need not be in the last zone of all its tokens.
int64_t near_tokens(const PositionSpec& spec, int64_t longest_row) {
  return spec.zones.size() > 1 ? spec.zones.back().from + longest_row : 0;
}

/// Pages beside those of the context: each row has pages of its own, of which the first may hold the end of
/// the context and the last may be almost empty.
int64_t row_pages(int64_t tokens) { return pages_for(tokens) + 2 * std::min(kMostFrozenRows, tokens); }

int64_t pool_pages(int64_t context, int64_t tokens) { return pages_for(context) + row_pages(tokens); }

KvLayout layout_of(const ModelConfig& c, const PositionSpec& spec, DType dtype) {
  return kv_layout(c, {dtype, dtype}, key_copies(spec));
}

constexpr int64_t kTables = 2 + 1;  // numbers of the small tables

}  // namespace

int64_t frozen_chunk(const Kernels& k) { return k.on_host ? kHostChunk : kGpuChunk; }

void check_frozen(const ModelConfig& config, const PositionSpec& spec) {
  const char* what = !spec.slopes.empty()        ? "slopes of distance (ALiBi)"
                     : !spec.decay.empty()       ? "decay with distance (xPos)"
                     : spec.chunk > 0            ? "zones counted in chunks"
                     : config.sliding_window > 0 ? "sliding windows"
                                                 : nullptr;
  if (what)
    fail("frozen contexts cannot be combined with {}; leave out frozen, or choose another method", what);
}

FrozenContext::FrozenContext(const Model& model, const PositionSpec& spec, int64_t context, int64_t tokens,
                             DType dtype)
    : pool_(std::make_shared<KvPool>(*model.device, layout_of(model.config, spec, dtype),
                                     pool_pages(context, tokens))),
      context_(pool_),
      activations_(make_activations(model, spec, chunk_of(model.kernels(), context))),
      arena_(*model.device) {
  const ModelConfig& c = model.config;
  make_far_buffers(far_, *model.device, arena_, tokens, c.num_attention_heads, c.head_dim, dtype);
  auto table = [&](int64_t n) { return arena_.vector("frozen context", DType::I32, n); };
  far_table_ = table(pages_for(context)), far_rows_ = table(2), far_past_ = table(1);
}

int64_t FrozenContext::bytes(const ModelConfig& c, const PositionSpec& spec, int64_t context, int64_t tokens,
                             DType dtype, const Kernels& k, int64_t adapter_rank) {
  return pool_pages(context, tokens) * layout_of(c, spec, dtype).page_bytes() +
         activation_bytes(c, spec, chunk_of(k, context), kHeadRows, adapter_rank) +
         far_buffer_bytes(tokens, c.num_attention_heads, c.head_dim, dtype) +
         dtype_bytes(DType::I32, pages_for(context) + kTables);
}

int64_t FrozenContext::allocated() const {
  return pool_->limit() * pool_->layout().page_bytes() + activations_.arena.bytes() + arena_.bytes();
}

void FrozenContext::read(const Model& model, const PositionSpec& spec, std::span<const int32_t> context) {
  rows_.clear();
  context_.truncate(0);
  longspan::read(model, context_, spec, context, activations_, {});
}

PassRows FrozenContext::lay(Device& device, const TrainingRow& row, const PositionSpec& spec) {
  rows_.clear();
  std::vector<int32_t> first;
  for (int64_t t = 0; t < row.tokens(); ++t)
    if (row.starts[static_cast<size_t>(t)] == t) first.push_back(static_cast<int32_t>(t));
  auto count = std::ssize(first);
  assert(count > 0 && count <= kMostFrozenRows);
  first.push_back(static_cast<int32_t>(row.tokens()));
  int64_t longest = 0, context = context_.length();
  for (size_t r = 0; r + 1 < first.size(); ++r) longest = std::max<int64_t>(longest, first[r + 1] - first[r]);
  // Whole pages are far, so that the tail begins with a page.
  int64_t far_pages = std::max<int64_t>(0, context - near_tokens(spec, longest)) / kPageTokens;
  int64_t tail = context - far_pages * kPageTokens;  // tokens of it

  PassRows pass;
  pass.ids = row.ids, pass.positions = row.positions, pass.first = first;
  for (size_t r = 0; r + 1 < first.size(); ++r) {
    int32_t n = first[r + 1] - first[r];
    rows_.push_back(context_.fork(context));
    rows_.back().reserve(context + n);
    pass.past.push_back(static_cast<int32_t>(tail));
    pass.specs.push_back(&spec);
  }
  for (const KvCache& fork : rows_)
    pass.pages.push_back(fork.pages().subspan(static_cast<size_t>(far_pages)));

  far_.keys = far_.values = {};
  far_.shape = {};
  if (far_pages == 0) return pass;
  auto tokens = static_cast<int32_t>(row.tokens()), keys = static_cast<int32_t>(far_pages * kPageTokens);
  std::vector<int32_t> span = {0, tokens}, before = {keys - tokens};
  device.upload(far_table_, context_.pages().first(static_cast<size_t>(far_pages)));
  device.upload(far_rows_, std::span<const int32_t>(span));
  device.upload(far_past_, std::span<const int32_t>(before));
  far_.shape.causal = false;
  far_.shape.sequences = {
      .count = 1, .rows = far_rows_, .past = far_past_, .most_rows = tokens, .most_keys = keys};
  return pass;
}

LayerKv FrozenContext::kv(int64_t layer, const LayerKind& kind, Tensor table) {
  auto keys_of = [&](Tensor pages) {
    std::vector<KvPages> keys;
    for (int64_t r = 0; r < std::ssize(kind.keys); ++r) keys.push_back(pool_->keys(layer, r, pages));
    return keys;
  };
  LayerKv kv{keys_of(table), pool_->values(layer, table)};
  if (far_.shape.sequences.most_keys == 0) return kv;
  Tensor pages = far_table_.viewed(DType::I32, 1, far_table_.cols());
  far_.keys = keys_of(pages)[kind.rotations.key_of.back()];
  far_.values = pool_->values(layer, pages);
  far_.shape.heads = kind.shape.heads, far_.shape.kv_heads = kind.shape.kv_heads;
  far_.shape.head_dim = kind.shape.head_dim, far_.shape.scale = kind.shape.scale;
  kv.far = &far_;
  return kv;
}

void FrozenContext::backward(const Kernels& k, const AttentionGradients& gradients, Tensor dout, Tensor out,
                             Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                             const AttentionShape& shape) {
  k.attention_backward(gradients, dout, out, log_sum, zones, values, shape);
  if (!far_) return;
  // What the near part needed of these buffers has been copied.
  Tensor dq = far_.far.slice(0, dout.rows());
  AttentionGradients to;
  to.q[0] = dq;
  std::vector<AttentionZone> part = {{0, zones.back().q, far_.keys}};
  k.attention_backward(to, dout, out, log_sum, part, far_.values, far_.shape);
  k.add(gradients.q[zones.size() - 1], dq);
}

}  // namespace longspan
