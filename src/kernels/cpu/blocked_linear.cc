// Dense products of many rows by oneDNN. A weight is packed once for each precision it is used in, into the
// blocked format that oneDNN prefers (BF16 weights too: as stored they take 10 to 40 % more time). A oneDNN
// primitive is created for one number of rows, 0.3 ms each, and kept in a bounded cache: oneDNN 2.6 has fast
// products of any number of rows (DNNL_RUNTIME_DIM_VAL) for plain weights only; with packed ones it falls
// back to plain loops.
#include <omp.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "kernels/cpu/cpu.h"

namespace longspan {

namespace {

using dnnl::memory;
using DataType = memory::data_type;

/// Rows for which the packed format is chosen; it serves any number of rows.
constexpr int64_t kTypicalRows = 512;
/// Products kept. A model needs about ten for each number of rows, and most prompts come in chunks of equal
/// size.
constexpr size_t kMaxProducts = 512;
/// Bytes of one dequantised piece of a weight while it is packed.
constexpr int64_t kSlabBytes = 4 << 20;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

DataType data_type(Compute compute) { return compute == Compute::BF16 ? DataType::bf16 : DataType::f32; }
DType dtype_of(Compute compute) { return compute == Compute::BF16 ? DType::BF16 : DType::F32; }

memory::desc rows_desc(const Tensor& x, DataType type) {
  return memory::desc({x.rows(), x.cols()}, type, memory::format_tag::ab);
}

/// Which side of the weight the rows meet: forward x [T, C] times W^T, or its gradient dout [T, N] times W.
enum class Side : uint8_t { Forward, InputGradient };

/// The format in which oneDNN wants the second factor [inner, outer] of a product.
memory::desc packed_desc(int64_t inner, int64_t outer, Compute compute) {
  memory::desc x({kTypicalRows, inner}, data_type(compute), memory::format_tag::ab);
  memory::desc w({inner, outer}, data_type(compute), memory::format_tag::any);
  memory::desc out({kTypicalRows, outer}, DataType::f32, memory::format_tag::ab);
  return dnnl::matmul::primitive_desc(dnnl::matmul::desc(x, w, out), engine()).weights_desc();
}

struct Packed {
  std::array<std::array<memory, 2>, 2> of;  // by Side and Compute; empty until needed
};

/// Guards Linear::packed and the products below; never held while a product runs.
std::mutex lock;

memory pack(const Tensor& weight, Side side, Compute compute, DecodeRows decode) {
  int64_t features = weight.rows(), cols = weight.cols(), row_bytes = dtype_bytes(dtype_of(compute), cols);
  bool forward = side == Side::Forward;
  memory::desc target = forward ? packed_desc(cols, features, compute) : packed_desc(features, cols, compute);
  memory packed(target, engine());
  dnnl::stream stream(engine());
  int64_t slab = std::min(features, std::max<int64_t>(1, kSlabBytes / row_bytes / 64) * 64);
  auto buffer = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(slab * row_bytes));
  for (int64_t first = 0; first < features; first += slab) {
    int64_t count = std::min(slab, features - first);
    decode(buffer.get(), dtype_of(compute), weight, first, count);
    memory::dims size{count, cols}, at{first, 0}, strides{cols, 1};
    if (forward)
      for (memory::dims* d : {&size, &at, &strides}) std::swap((*d)[0], (*d)[1]);
    memory from({size, data_type(compute), strides}, engine(), buffer.get());
    memory to(target.submemory_desc(size, at), engine(), packed.get_data_handle());
    dnnl::reorder(from, to).execute(stream, from, to);
  }
  stream.wait();
  return packed;
}

memory packed_weight(const Linear& w, Side side, Compute compute, DecodeRows decode) {
  std::lock_guard guard(lock);
  std::shared_ptr<void>& copies = w.packed.of(&lock);  // all implementations for this processor share them
  if (!copies) copies = std::make_shared<Packed>();
  memory& packed =
      static_cast<Packed*>(copies.get())->of[static_cast<size_t>(side)][static_cast<size_t>(compute)];
  if (!packed) packed = pack(w.weight, side, compute, decode);
  return packed;
}

/// A product of one shape. oneDNN divides the work when it is made, so the number of threads belongs to the
/// shape; the formats of the factors do too, of which there are three kinds: see Factors.
using ProductKey = std::array<int64_t, 8>;

struct Product {
  dnnl::matmul primitive;
  memory::desc scratchpad;
};

enum class Factors : uint8_t { RowsAndPacked, RowsAndPackedGradient, TransposedRowsAndRows };

/// out [M, N] F32 = a [M, K] b [K, N] + bias [N].
Product product(Factors factors, const memory::desc& out, const memory::desc& a, const memory::desc& b,
                bool bias, bool accumulate) {
  static std::map<ProductKey, Product> products;
  int64_t rows = out.dims()[0], cols = out.dims()[1];
  ProductKey key{int64_t(factors),       rows, a.dims()[1], cols,
                 int64_t(a.data_type()), bias, accumulate,  omp_get_max_threads()};
  std::lock_guard guard(lock);
  if (auto found = products.find(key); found != products.end()) return found->second;
  dnnl::matmul::desc desc(a, b, out);
  if (bias)
    desc = dnnl::matmul::desc(a, b, memory::desc({1, cols}, DataType::f32, memory::format_tag::ab), out);
  dnnl::primitive_attr attributes;
  // oneDNN's own scratchpad belongs to the thread that made the product; others run it too.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (accumulate) {
    dnnl::post_ops add;
    add.append_sum();
    attributes.set_post_ops(add);
  }
  if (products.size() >= kMaxProducts) products.clear();
  dnnl::matmul::primitive_desc made(desc, attributes, engine());
  return products.emplace(key, Product{dnnl::matmul(made), made.scratchpad_desc()}).first->second;
}

/// Runs a product on existing memory; bias null for none.
void run(Factors factors, const memory& out, const memory& a, const memory& b, const memory* bias,
         bool accumulate) {
  auto [primitive, working] =
      product(factors, out.get_desc(), a.get_desc(), b.get_desc(), bias != nullptr, accumulate);
  dnnl::stream stream(engine());
  std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, a},
                                            {DNNL_ARG_WEIGHTS, b},
                                            {DNNL_ARG_DST, out},
                                            {DNNL_ARG_SCRATCHPAD, memory(working, engine())}};
  if (bias) arguments.emplace(DNNL_ARG_BIAS, *bias);
  primitive.execute(stream, arguments);
  stream.wait();
}

memory rows_memory(const Tensor& x, DataType type) { return memory(rows_desc(x, type), engine(), x.data); }

bool contiguous(const Tensor& x) { return x.row_stride == dtype_bytes(x.dtype, x.cols()); }

/// A contiguous copy of x in `memory`, as F32 or as it is.
Tensor gathered(const Tensor& x, DType dtype, void* memory) {
  assert(dtype == x.dtype || (dtype == DType::F32 && x.dtype == DType::BF16));
  Tensor out = host_matrix(memory, dtype, x.rows(), x.cols());
#pragma omp parallel for schedule(static)
  for (int64_t t = 0; t < x.rows(); ++t)
    if (dtype == x.dtype)
      std::memcpy(out.row<void>(t), x.row<void>(t), static_cast<size_t>(out.row_stride));
    else
      for (int64_t i = 0; i < x.cols(); ++i) out.row(t)[i] = bf16_to_f32(x.row<uint16_t>(t)[i]);
  return out;
}

void scatter(Tensor out, const Tensor& from, bool accumulate) {
#pragma omp parallel for schedule(static)
  for (int64_t t = 0; t < out.rows(); ++t)
    for (int64_t i = 0; i < out.cols(); ++i)
      out.row(t)[i] = (accumulate ? out.row(t)[i] : 0.0f) + from.row(t)[i];
}

/// The product of contiguous x and out with a packed weight.
void multiply(Side side, const Tensor& out, const Tensor& x, const Linear& w, bool accumulate,
              Compute compute, DecodeRows decode) {
  memory weight = packed_weight(w, side, compute, decode), to = rows_memory(out, DataType::f32),
         from = rows_memory(x, data_type(compute));
  bool biased = side == Side::Forward && w.bias;
  memory bias;
  if (biased) bias = memory({{1, out.cols()}, DataType::f32, memory::format_tag::ab}, engine(), w.bias.data);
  run(side == Side::Forward ? Factors::RowsAndPacked : Factors::RowsAndPackedGradient, to, from, weight,
      biased ? &bias : nullptr, accumulate);
}

/// Either side, on rows of any stride.
void multiply_any(Side side, Tensor out, Tensor x, const Linear& w, bool accumulate, Compute compute,
                  DecodeRows decode) {
  int64_t x_bytes = (x.rows() * x.cols() * 4 + 63) / 64 * 64, out_bytes = out.rows() * out.cols() * 4;
  bool whole = contiguous(out), as_is = contiguous(x) && x.dtype == dtype_of(compute);
  auto* copies =
      whole && as_is ? nullptr : static_cast<std::byte*>(scratch(x_bytes + (whole ? 0 : out_bytes)));
  if (!as_is) x = gathered(x, dtype_of(compute), copies);
  if (whole) return multiply(side, out, x, w, accumulate, compute, decode);
  Tensor y = host_matrix(copies + x_bytes, DType::F32, out.rows(), out.cols());
  multiply(side, y, x, w, false, compute, decode);
  scatter(out, y, accumulate);
}

}  // namespace

// oneDNN's fast products want contiguous rows on both sides (with strides it silently takes its plain loops).
void blocked_linear(Tensor out, Tensor x, const Linear& w, bool accumulate, Compute compute,
                    DecodeRows decode) {
  multiply_any(Side::Forward, out, x, w, accumulate, compute, decode);
}

void blocked_input_gradient(Tensor dx, Tensor dout, const Linear& w, bool accumulate, Compute compute,
                            DecodeRows decode) {
  multiply_any(Side::InputGradient, dx, dout, w, accumulate, compute, decode);
}

void blocked_weight_gradient(Tensor dweight, Tensor dout, Tensor x, Compute compute) {
  assert(contiguous(dweight) && dout.dtype == x.dtype && dout.rows() == x.rows());
  DType dtype = dtype_of(x.dtype == DType::BF16 ? compute : Compute::F32);
  auto as_is = [&](const Tensor& t) { return contiguous(t) && t.dtype == dtype; };
  int64_t x_bytes = (x.rows() * x.cols() * 4 + 63) / 64 * 64, dout_bytes = dout.rows() * dout.cols() * 4;
  auto* copies = as_is(x) && as_is(dout) ? nullptr : static_cast<std::byte*>(scratch(x_bytes + dout_bytes));
  if (!as_is(x)) x = gathered(x, dtype, copies);
  if (!as_is(dout)) dout = gathered(dout, dtype, copies + x_bytes);
  DataType type = dtype == DType::BF16 ? DataType::bf16 : DataType::f32;
  memory transposed({{dout.cols(), dout.rows()}, type, memory::format_tag::ba}, engine(), dout.data);
  run(Factors::TransposedRowsAndRows, rows_memory(dweight, DataType::f32), transposed, rows_memory(x, type),
      nullptr, true);
}

int64_t packed_bytes_bf16(const Linear& w, Compute compute) {
  if (reads_as_stored(w) || rounds_to_eight_bits(w)) return 0;
  return static_cast<int64_t>(packed_desc(w.weight.cols(), w.weight.rows(), compute).get_size());
}

int64_t packed_bytes_f32(const Linear& w, Compute) { return packed_bytes_bf16(w, Compute::F32); }

}  // namespace longspan
