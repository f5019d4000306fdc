// Dense products of many rows by oneDNN. A weight is packed once for each precision it is used in, into the
// blocked format oneDNN prefers (BF16 weights too: as they lie they cost 10 to 40 % more time). A product is
// made for one number of rows, 0.3 ms each, and kept in a bounded cache: oneDNN 2.6 has fast products of any
// number of rows (DNNL_RUNTIME_DIM_VAL) for plain weights only; with packed ones it falls to its plain loops.
#include <omp.h>

#include <algorithm>
#include <array>
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

memory::desc packed_desc(int64_t features, int64_t cols, Compute compute) {
  memory::desc x({kTypicalRows, cols}, data_type(compute), memory::format_tag::ab);
  memory::desc w({cols, features}, data_type(compute), memory::format_tag::any);
  memory::desc out({kTypicalRows, features}, DataType::f32, memory::format_tag::ab);
  return dnnl::matmul::primitive_desc(dnnl::matmul::desc(x, w, out), engine()).weights_desc();
}

struct Packed {
  std::array<memory, 2> of;  // by Compute; empty until needed
};

/// Guards Linear::packed and the products below; never held while a product runs.
std::mutex lock;

memory pack(const Tensor& weight, Compute compute, DecodeRows decode) {
  int64_t features = weight.rows(), cols = weight.cols(), row_bytes = dtype_bytes(dtype_of(compute), cols);
  memory::desc target = packed_desc(features, cols, compute);
  memory packed(target, engine());
  dnnl::stream stream(engine());
  int64_t slab = std::min(features, std::max<int64_t>(1, kSlabBytes / row_bytes / 64) * 64);
  auto buffer = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(slab * row_bytes));
  for (int64_t first = 0; first < features; first += slab) {
    int64_t count = std::min(slab, features - first);
    decode(buffer.get(), dtype_of(compute), weight, first, count);
    memory from({{cols, count}, data_type(compute), memory::dims{1, cols}}, engine(), buffer.get());
    memory to(target.submemory_desc({cols, count}, {0, first}), engine(), packed.get_data_handle());
    dnnl::reorder(from, to).execute(stream, from, to);
  }
  stream.wait();
  return packed;
}

memory packed_weight(const Linear& w, Compute compute, DecodeRows decode) {
  std::lock_guard guard(lock);
  if (!w.packed) w.packed = std::make_shared<Packed>();
  memory& packed = static_cast<Packed*>(w.packed.get())->of[static_cast<size_t>(compute)];
  if (!packed) packed = pack(w.weight, compute, decode);
  return packed;
}

/// A product of one shape. oneDNN divides the work when it is made, so the number of threads belongs to the
/// shape.
using ProductKey = std::array<int64_t, 7>;

struct Product {
  dnnl::matmul primitive;
  memory::desc scratchpad;
};

Product product(const Tensor& out, const Tensor& x, const memory& weight, bool bias, bool accumulate,
                Compute compute) {
  static std::map<ProductKey, Product> products;
  ProductKey key{x.rows(), x.cols(), out.cols(), int64_t(compute), bias, accumulate, omp_get_max_threads()};
  std::lock_guard guard(lock);
  if (auto found = products.find(key); found != products.end()) return found->second;
  memory::desc in = rows_desc(x, data_type(compute)), to = rows_desc(out, DataType::f32);
  dnnl::matmul::desc desc(in, weight.get_desc(), to);
  if (bias) {
    memory::desc b({1, out.cols()}, DataType::f32, memory::format_tag::ab);
    desc = dnnl::matmul::desc(in, weight.get_desc(), b, to);
  }
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

bool contiguous(const Tensor& x) { return x.row_stride == dtype_bytes(x.dtype, x.cols()); }

/// A contiguous copy of x in `memory`, as F32 or as it is.
Tensor gathered(const Tensor& x, DType dtype, void* memory) {
  Tensor out = matrix_view(memory, dtype, x.rows(), x.cols());
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

/// The product of contiguous x and out.
void multiply(const Tensor& out, const Tensor& x, const Linear& w, bool accumulate, Compute compute,
              DecodeRows decode) {
  memory weight = packed_weight(w, compute, decode);
  auto [primitive, working] = product(out, x, weight, static_cast<bool>(w.bias), accumulate, compute);
  dnnl::stream stream(engine());
  std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, memory(rows_desc(x, data_type(compute)), engine(), x.data)},
      {DNNL_ARG_WEIGHTS, weight},
      {DNNL_ARG_DST, memory(rows_desc(out, DataType::f32), engine(), out.data)},
      {DNNL_ARG_SCRATCHPAD, memory(working, engine())}};
  if (w.bias) {
    memory::desc b({1, out.cols()}, DataType::f32, memory::format_tag::ab);
    arguments.emplace(DNNL_ARG_BIAS, memory(b, engine(), w.bias.data));
  }
  primitive.execute(stream, arguments);
  stream.wait();
}

}  // namespace

// oneDNN's fast products want contiguous rows on both sides (with strides it silently takes its plain loops).
void blocked_linear(Tensor out, Tensor x, const Linear& w, bool accumulate, Compute compute,
                    DecodeRows decode) {
  int64_t x_bytes = (x.rows() * x.cols() * 4 + 63) / 64 * 64, out_bytes = out.rows() * out.cols() * 4;
  bool whole = contiguous(out), as_is = contiguous(x) && x.dtype == dtype_of(compute);
  auto* copies =
      whole && as_is ? nullptr : static_cast<std::byte*>(scratch(x_bytes + (whole ? 0 : out_bytes)));
  if (!as_is) x = gathered(x, dtype_of(compute), copies);
  if (whole) return multiply(out, x, w, accumulate, compute, decode);
  Tensor y = matrix_view(copies + x_bytes, DType::F32, out.rows(), out.cols());
  multiply(y, x, w, false, compute, decode);
  scatter(out, y, accumulate);
}

int64_t packed_bytes_bf16(const Linear& w, Compute compute) {
  return static_cast<int64_t>(packed_desc(w.weight.rows(), w.weight.cols(), compute).get_size());
}

int64_t packed_bytes_f32(const Linear& w, Compute) { return packed_bytes_bf16(w, Compute::F32); }

}  // namespace longspan
