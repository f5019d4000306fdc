// Dense products through cuBLASLt, loaded when first needed. A weight that is not of the product's type is
// converted into working memory for the call: for many rows that costs little beside the product. Tensors are
// row-major and cuBLASLt thinks in columns, so each product is computed transposed: out^T = W x^T.
#include <cublasLt.h>
#include <dlfcn.h>

#include <array>
#include <cassert>
#include <map>

#include "base/error.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

constexpr size_t kWorkspace = size_t{32} << 20;

/// One product in column-major terms: D [m, n] = op(A) op(B) + beta D, op(A) [m, k].
struct Product {
  bool transpose_a = false, transpose_b = false;
  int64_t m = 0, n = 0, k = 0, lda = 0, ldb = 0, ldd = 0;
  DType type = DType::F32;  // of A and B; D is F32
  const void *a = nullptr, *b = nullptr;
  void* d = nullptr;
  bool accumulate = false;  // beta is 1, else 0
};

/// The largest power of two that divides the address, at most what algorithms ask for.
uint32_t alignment(const void* address) {
  auto bits = reinterpret_cast<uintptr_t>(address) | 256;
  return static_cast<uint32_t>(bits & -bits);
}

using Key = std::array<int64_t, 12>;
Key key_of(const Product& p) {
  return {p.transpose_a,
          p.transpose_b,
          p.m,
          p.n,
          p.k,
          p.lda,
          p.ldb,
          p.ldd,
          static_cast<int64_t>(p.type),
          alignment(p.a),
          alignment(p.b),
          alignment(p.d)};
}

}  // namespace

struct CublasLt {
  void* library = nullptr;
  cublasLtHandle_t handle = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  decltype(&cublasLtMatmulDescCreate) desc_create = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  decltype(&cublasLtGetStatusString) status_string = nullptr;

  struct Plan {
    cublasLtMatmulDesc_t desc = nullptr;
    cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
    cublasLtMatmulAlgo_t algorithm{};
  };
  std::map<Key, Plan> plans;

  CublasLt();
  ~CublasLt() {
    if (handle) destroy(handle);
  }
  void check(cublasStatus_t status, const char* what) const {
    if (status != CUBLAS_STATUS_SUCCESS) fail("cuBLASLt: {} failed: {}", what, status_string(status));
  }
  Plan& plan(const Product& p);
};

CublasLt::CublasLt() {
  for (const char* name : {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13"})
    if (!library) library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    fail(
        "--device cuda needs libcublasLt.so.13 of the CUDA toolkit 13, which was not found ({}); add its "
        "folder "
        "to LD_LIBRARY_PATH, or use --device cpu",
        ::dlerror());
  auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
    if (!function) fail("libcublasLt.so.13 has no function {}: is it damaged?", name);
  };
  decltype(&cublasLtCreate) create = nullptr;
  find(create, "cublasLtCreate");
  find(destroy, "cublasLtDestroy");
  find(matmul, "cublasLtMatmul");
  find(desc_create, "cublasLtMatmulDescCreate");
  find(desc_set, "cublasLtMatmulDescSetAttribute");
  find(layout_create, "cublasLtMatrixLayoutCreate");
  find(preference_create, "cublasLtMatmulPreferenceCreate");
  find(preference_set, "cublasLtMatmulPreferenceSetAttribute");
  find(preference_destroy, "cublasLtMatmulPreferenceDestroy");
  find(heuristic, "cublasLtMatmulAlgoGetHeuristic");
  find(status_string, "cublasLtGetStatusString");
  check(create(&handle), "its start");
}

CublasLt::Plan& CublasLt::plan(const Product& p) {
  auto [at, made] = plans.try_emplace(key_of(p));
  Plan& plan = at->second;
  if (!made) return plan;
  cudaDataType_t type = p.type == DType::BF16 ? CUDA_R_16BF : CUDA_R_32F;
  check(desc_create(&plan.desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "the description of a product");
  cublasOperation_t a = p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                    b = p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  check(desc_set(plan.desc, CUBLASLT_MATMUL_DESC_TRANSA, &a, sizeof a), "the description of a product");
  check(desc_set(plan.desc, CUBLASLT_MATMUL_DESC_TRANSB, &b, sizeof b), "the description of a product");
  auto layout = [&](cublasLtMatrixLayout_t& to, cudaDataType_t of, bool transposed, int64_t rows,
                    int64_t cols, int64_t ld) {
    if (transposed) std::swap(rows, cols);
    check(layout_create(&to, of, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), ld),
          "the layout of a matrix");
  };
  layout(plan.a, type, p.transpose_a, p.m, p.k, p.lda);
  layout(plan.b, type, p.transpose_b, p.k, p.n, p.ldb);
  layout(plan.d, CUDA_R_32F, false, p.m, p.n, p.ldd);
  cublasLtMatmulPreference_t preference = nullptr;
  check(preference_create(&preference), "the search for an algorithm");
  auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
    check(preference_set(preference, what, &value, sizeof value), "the search for an algorithm");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(p.a));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(p.b));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(p.d));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(p.d));
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  cublasStatus_t status =
      heuristic(handle, plan.desc, plan.a, plan.b, plan.d, plan.d, preference, 1, &result, &found);
  preference_destroy(preference);
  if (status != CUBLAS_STATUS_SUCCESS || found == 0)
    fail("cuBLASLt has no algorithm for a product of {} x {} x {}", p.m, p.n, p.k);
  plan.algorithm = result.algo;
  return plan;
}

namespace {

void multiply(CudaDevice& device, const Product& p) {
  if (p.m == 0 || p.n == 0) return;
  if (!device.cublas) device.cublas = std::make_shared<CublasLt>();
  CublasLt& lt = *device.cublas;
  CublasLt::Plan& plan = lt.plan(p);
  Scratch scratch(device);
  void* workspace = scratch.bytes(static_cast<int64_t>(kWorkspace));
  float alpha = 1, beta = p.accumulate ? 1 : 0;
  lt.check(lt.matmul(lt.handle, plan.desc, &alpha, p.a, plan.a, p.b, plan.b, &beta, p.d, plan.d, p.d, plan.d,
                     &plan.algorithm, workspace, kWorkspace, device.stream()),
           "a product");
}

int64_t leading(const Tensor& t) {
  int64_t stride = t.rows() > 1 ? t.row_stride : dtype_bytes(t.dtype, t.cols());
  return stride / dtype_bytes(t.dtype, 1);
}

/// The weight in the product's type: itself, or a copy in working memory.
Tensor as_type(const Tensor& weight, DType type, Scratch& scratch) {
  if (weight.dtype == type) return weight;
  int64_t rows = weight.rows(), cols = weight.cols();
  Tensor copy = weight.device->matrix(scratch.bytes(rows * dtype_bytes(type, cols)), type, rows, cols);
  cuda_convert(copy, weight);
  return copy;
}

}  // namespace

DType cuda_product_dtype(Compute compute, int64_t rows) {
  return compute == Compute::BF16 && rows > kFewRows ? DType::BF16 : DType::F32;
}

void cuda_linear(Tensor out, Tensor x, const Linear& w, bool accumulate) {
  if (x.rows() <= kFewRows) return cuda_few_rows(out, x, w, accumulate);
  CudaDevice& device = device_of(out);
  Scratch scratch(device);
  Tensor weight = as_type(w.weight, x.dtype, scratch);
  if (w.bias) cuda_add_bias(out, w.bias, accumulate);
  Product p{.transpose_a = true,
            .m = weight.rows(),
            .n = x.rows(),
            .k = x.cols(),
            .lda = leading(weight),
            .ldb = leading(x),
            .ldd = leading(out),
            .type = x.dtype,
            .a = weight.data,
            .b = x.data,
            .d = out.data,
            .accumulate = accumulate || w.bias};
  multiply(device, p);
}

void cuda_low_rank(Tensor out, Tensor low, Tensor x, const Adapter& adapter) {
  cuda_linear(low, x, adapter.a, false);
  cuda_scale(low, adapter.scale, {});
  cuda_linear(out, low, adapter.b, true);
}

void cuda_merge(Tensor w, const Adapter& adapter) {
  const Tensor &a = adapter.a.weight, &b = adapter.b.weight;
  assert(w.dtype == DType::F32 && a.dtype == DType::F32 && b.dtype == DType::F32);
  CudaDevice& device = device_of(w);
  Scratch scratch(device);
  Tensor scaled = w.device->matrix(scratch.bytes(b.rows() * b.cols() * 4), DType::F32, b.rows(), b.cols());
  cuda_convert(scaled, b);
  cuda_scale(scaled, adapter.scale, {});
  Product p{.m = a.cols(),
            .n = b.rows(),
            .k = a.rows(),
            .lda = leading(a),
            .ldb = leading(scaled),
            .ldd = leading(w),
            .type = DType::F32,
            .a = a.data,
            .b = scaled.data,
            .d = w.data,
            .accumulate = true};
  multiply(device, p);
}

void cuda_linear_input_gradient(Tensor dx, Tensor dout, const Linear& w, bool accumulate) {
  CudaDevice& device = device_of(dx);
  Scratch scratch(device);
  Tensor weight = as_type(w.weight, dout.dtype, scratch);
  Product p{.m = weight.cols(),
            .n = dout.rows(),
            .k = dout.cols(),
            .lda = leading(weight),
            .ldb = leading(dout),
            .ldd = leading(dx),
            .type = dout.dtype,
            .a = weight.data,
            .b = dout.data,
            .d = dx.data,
            .accumulate = accumulate};
  multiply(device, p);
}

void cuda_linear_weight_gradient(Tensor dweight, Tensor dbias, Tensor dout, Tensor x) {
  assert(dout.dtype == x.dtype && dweight.dtype == DType::F32);
  CudaDevice& device = device_of(dweight);
  Product p{.transpose_b = true,
            .m = x.cols(),
            .n = dout.cols(),
            .k = x.rows(),
            .lda = leading(x),
            .ldb = leading(dout),
            .ldd = leading(dweight),
            .type = x.dtype,
            .a = x.data,
            .b = dout.data,
            .d = dweight.data,
            .accumulate = true};
  multiply(device, p);
  if (dbias) cuda_add_column_sums(dbias, dout);
}

}  // namespace longspan
