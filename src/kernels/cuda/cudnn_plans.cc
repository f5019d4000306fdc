#include "kernels/cuda/cudnn_plans.h"

#include <dlfcn.h>

#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

// Nothing of cuDNN, the shared runtime or nvrtc is linked.
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include "base/error.h"
#include "kernels/cuda/device.h"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // the frontend looks its functions up here
}  // namespace cudnn_frontend

namespace longspan {

namespace fe = cudnn_frontend;
using GraphTensor = std::shared_ptr<fe::graph::Tensor_attributes>;

struct CudnnPlan {
  BandShape shape;
  fe::graph::Graph graph;
  int64_t workspace = 0;
  std::string refusal;
};

namespace {

constexpr size_t kOldestVersion = 91600;

enum Uid : int64_t { kQ = 1, kK, kV, kOut, kLogSum, kRows, kKeys, kDout, kDq, kDk, kDv };

bool open_library() {
  static std::once_flag once;
  std::call_once(once, [] { fe::cudnn_dlhandle = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL); });
  return fe::cudnn_dlhandle && fe::detail::get_backend_version() >= kOldestVersion;
}

/// [batch, heads, rows, head_dim] as cuDNN counts sizes; in memory the rows of a sequence are outermost.
void set_layout(fe::graph::Tensor_attributes& tensor, int64_t uid, int64_t batch, int64_t heads, int64_t rows,
                int64_t head_dim, int64_t row_stride) {
  tensor.set_uid(uid)
      .set_dim({batch, heads, rows, head_dim})
      .set_stride({rows * row_stride, head_dim, row_stride, 1})
      .set_data_type(fe::DataType_t::BFLOAT16);
}

/// Queries and what is shaped like them; row_stride 0: contiguous.
void set_query_layout(fe::graph::Tensor_attributes& tensor, int64_t uid, const BandShape& s,
                      int64_t row_stride = 0) {
  set_layout(tensor, uid, s.batch, s.heads, s.rows, s.head_dim,
             row_stride > 0 ? row_stride : s.heads * s.head_dim);
}
void set_key_layout(fe::graph::Tensor_attributes& tensor, int64_t uid, const BandShape& s) {
  set_layout(tensor, uid, s.batch, s.kv_heads, s.keys, s.head_dim, s.kv_heads * s.head_dim);
}
void set_log_sum_layout(fe::graph::Tensor_attributes& tensor, const BandShape& s) {
  tensor.set_uid(kLogSum)
      .set_dim({s.batch, s.heads, s.rows, 1})
      .set_stride({s.heads * s.rows, s.rows, 1, 1})
      .set_data_type(fe::DataType_t::FLOAT);
}

GraphTensor queries(fe::graph::Graph& graph, int64_t uid, const BandShape& s, int64_t row_stride = 0) {
  fe::graph::Tensor_attributes tensor;
  set_query_layout(tensor, uid, s, row_stride);
  return graph.tensor(tensor);
}
GraphTensor keys(fe::graph::Graph& graph, int64_t uid, const BandShape& s) {
  fe::graph::Tensor_attributes tensor;
  set_key_layout(tensor, uid, s);
  return graph.tensor(tensor);
}
GraphTensor count(fe::graph::Graph& graph, int64_t uid) {
  return graph.tensor(fe::graph::Tensor_attributes()
                          .set_uid(uid)
                          .set_dim({1, 1, 1, 1})
                          .set_stride({1, 1, 1, 1})
                          .set_data_type(fe::DataType_t::INT32));
}

/// What forward and backward have in common.
template <class Attributes>
Attributes band(fe::graph::Graph& graph, const BandShape& s) {
  Attributes attributes;
  attributes.set_attn_scale(s.scale).set_diagonal_band_right_bound(0);
  if (s.limits)
    attributes.set_padding_mask(true)
        .set_seq_len_q(count(graph, kRows))
        .set_seq_len_kv(count(graph, kKeys))
        .set_diagonal_alignment(fe::DiagonalAlignment_t::BOTTOM_RIGHT);
  else
    attributes.set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT);
  if (s.left > 0) attributes.set_diagonal_band_left_bound(s.left);
  return attributes;
}

void add_forward(fe::graph::Graph& graph, const BandShape& s) {
  auto attributes = band<fe::graph::SDPA_attributes>(graph, s).set_generate_stats(true);
  auto [out, log_sum] = graph.sdpa(queries(graph, kQ, s), keys(graph, kK, s), keys(graph, kV, s), attributes);
  set_query_layout(*out, kOut, s, s.out_stride);
  out->set_output(true);
  set_log_sum_layout(*log_sum, s);
  log_sum->set_output(true);
}

void add_backward(fe::graph::Graph& graph, const BandShape& s) {
  fe::graph::Tensor_attributes log_sum;
  set_log_sum_layout(log_sum, s);
  auto [dq, dk, dv] = graph.sdpa_backward(
      queries(graph, kQ, s), keys(graph, kK, s), keys(graph, kV, s), queries(graph, kOut, s, s.out_stride),
      queries(graph, kDout, s), graph.tensor(log_sum),
      band<fe::graph::SDPA_backward_attributes>(graph, s).set_deterministic_algorithm(s.deterministic));
  set_query_layout(*dq, kDq, s);
  set_key_layout(*dk, kDk, s);
  set_key_layout(*dv, kDv, s);
  for (const GraphTensor& gradient : {dq, dk, dv}) gradient->set_output(true);
}

/// For a GPU that is here (handle), or for one that is described (the graph's device properties; a null
/// handle). Leaves the reason in `refusal` where cuDNN does not want the graph.
void build(CudnnPlan& plan, int architecture, cudnnHandle_t handle) {
  fe::graph::Graph& graph = plan.graph;
  graph.set_io_data_type(fe::DataType_t::BFLOAT16)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT)
      .set_sm_version(architecture);
  plan.shape.backward ? add_backward(graph, plan.shape) : add_forward(graph, plan.shape);
  auto good = [&](fe::error_t status) {
    if (status.is_bad()) plan.refusal = status.get_message();
    return status.is_good();
  };
  bool built = good(graph.validate()) && good(graph.build_operation_graph(handle)) &&
               good(graph.create_execution_plans({fe::HeurMode_t::A})) && good(graph.check_support()) &&
               good(graph.build_plans()) && good(graph.get_workspace_size(plan.workspace));
  if (!built && plan.refusal.empty()) plan.refusal = "no reason given";
}

}  // namespace

struct CudnnPlans::State {
  cudnnHandle_t handle = nullptr;
  int architecture = 0;
  std::map<BandShape, std::unique_ptr<CudnnPlan>> plans;
};

CudnnPlans::CudnnPlans(const CudaDevice& device) : state_(std::make_unique<State>()) {
  state_->architecture = device.architecture();
  try {
    device.use();
    if (!open_library() || fe::detail::create_handle(&state_->handle) != CUDNN_STATUS_SUCCESS) return;
    if (fe::detail::set_stream(state_->handle, device.stream()) == CUDNN_STATUS_SUCCESS) return;
    fe::detail::destroy_handle(state_->handle);
    state_->handle = nullptr;
  } catch (const std::exception&) {  // the frontend throws where a library or a function does not exist
    state_->handle = nullptr;
  }
}

CudnnPlans::~CudnnPlans() {
  state_->plans.clear();
  if (state_->handle) fe::detail::destroy_handle(state_->handle);
}

bool CudnnPlans::usable() const { return state_->handle != nullptr; }

const CudnnPlan* CudnnPlans::plan(const BandShape& shape) {
  std::unique_ptr<CudnnPlan>& plan = state_->plans[shape];
  if (!plan) {
    plan = std::make_unique<CudnnPlan>();
    plan->shape = shape;
    try {
      build(*plan, state_->architecture, state_->handle);
    } catch (const std::exception& error) {
      plan->refusal = error.what();
    }
  }
  return plan->refusal.empty() ? plan.get() : nullptr;
}

void CudnnPlans::run(const CudnnPlan& plan, const BandTensors& t, void* workspace) {
  std::unordered_map<int64_t, void*> pointers = {
      {kQ, t.q}, {kK, t.k}, {kV, t.v}, {kOut, t.out}, {kLogSum, t.log_sum}};
  if (plan.shape.limits) pointers.insert({{kRows, t.row_count}, {kKeys, t.key_count}});
  if (plan.shape.backward) pointers.insert({{kDout, t.dout}, {kDq, t.dq}, {kDk, t.dk}, {kDv, t.dv}});
  fe::error_t status = plan.graph.execute(state_->handle, pointers, workspace);
  if (status.is_bad())
    fail("CUDA: cuDNN could not run attention of {} queries over {} keys ({}); --device cpu works",
         plan.shape.rows, plan.shape.keys, status.get_message());
}

int64_t workspace_bytes(const CudnnPlan& plan) { return plan.workspace; }

}  // namespace longspan
