// Gradients of attention on the tensor cores: FlashAttention-2's backward pass (Dao 2023, arXiv 2307.08691)
// by mma.sync. q, k, v, dout, p and ds are rounded to BF16, sums are F32. One kernel gives dq and one dk and
// dv, at seven products instead of five: nothing is added from two sides, so the same bits come out of every
// run.
//
// Rows are the (token, head) pairs of the query heads that share a head of keys, as in attention_tiles.cu,
// and are copied in that order first, rounded. A row that sees nothing has the log-sum +inf there: its
// weights are 0.
#include "kernels/cuda/attention_gradient_tile.h"

namespace longspan {

namespace {

/// One warp a row.
__global__ void rows_kernel(BackwardView b, GradientRows rows, int sequences) {
  const AttentionView& v = b.view;
  int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  int lane = static_cast<int>(threadIdx.x) % 32, d = v.head_dim;
  if (at >= rows.padded * v.kv_heads * sequences) return;
  int64_t i = at % rows.padded, kv = at / rows.padded % v.kv_heads, head = kv * v.group + i % v.group;
  SequenceView s = sequence_of(v, static_cast<int>(at / rows.padded / v.kv_heads));
  if (i / v.group >= s.rows) {
    if (lane == 0) rows.log_sum[at] = INFINITY, rows.delta[at] = 0;
    return;
  }
  int64_t t = s.first + i / v.group;
  for (int e = lane; e < d; e += 32) {
    for (int z = 0; z < v.zones; ++z)
      rows.q[z][at * d + e] = __float2bfloat16_rn(v.zone[z].q[t * v.zone[z].q_stride + head * d + e]);
    rows.dout[at * d + e] = __float2bfloat16_rn(b.dout[t * b.dout_stride + head * d + e]);
  }
  if (lane == 0) {
    float log_sum = b.log_sum[t * b.log_sum_stride + head];
    rows.log_sum[at] = log_sum == -INFINITY ? INFINITY : log_sum * kLog2e;
    rows.delta[at] = static_cast<float>(b.delta[t * v.heads + head]);
  }
}

/// rows.ranges; a warp each.
__global__ void row_range_kernel(AttentionView v, GradientRows rows, int indices) {
  SequenceView s = sequence_of(v, 0);
  auto i = static_cast<int>(blockIdx.x * kRangeUnit + threadIdx.x);
  Range range = warp_range(place_of<float>(v, s.past + min(i, indices - 1) / v.group));
  if (threadIdx.x == 0) rows.ranges[blockIdx.x] = range;
}

}  // namespace

bool tiled_attention_backward(CudaDevice& device, const BackwardView& b, const Sequences& sequences) {
  const AttentionView& v = b.view;
  if (v.decay || v.head_dim % 16 != 0 || v.head_dim > 128 || !(v.scale > 0)) return false;
  int64_t indices = sequences.most_rows * v.group;
  if (indices > INT32_MAX / 2) return false;
  int64_t padded = (indices + kRowPadding - 1) / kRowPadding * kRowPadding,
          all = padded * v.kv_heads * sequences.count;
  Scratch scratch(device);
  GradientRows rows{.dout = scratch.take<__nv_bfloat16>(all * v.head_dim),
                    .log_sum = scratch.take<float>(all),
                    .delta = scratch.take<float>(all),
                    .key_ranges = make_key_ranges(device, scratch, v, sequences.most_keys),
                    .padded = padded};
  for (int z = 0; z < v.zones; ++z) rows.q[z] = scratch.take<__nv_bfloat16>(all * v.head_dim);
  constexpr int kThreads = 256;
  rows_kernel<<<blocks_for(all * 32, kThreads), kThreads, 0, device.stream()>>>(
      b, rows, static_cast<int>(sequences.count));
  check_launch("attention_backward (rows)");
  if (v.positions) {
    rows.ranges = scratch.take<Range>(padded / kRangeUnit);
    row_range_kernel<<<blocks_for(padded, kRangeUnit), kRangeUnit, 0, device.stream()>>>(
        v, rows, static_cast<int>(indices));
    check_launch("attention_backward (ranges of rows)");
  }
  return launch_dq(device, b, rows, sequences) && (!b.dvalues.data || launch_dkv(device, b, rows, sequences));
}

}  // namespace longspan
