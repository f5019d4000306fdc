#include "kernels/cuda/device.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <map>
#include <mutex>

#include "base/error.h"
#include "base/text.h"
#include "kernels/cuda/attention_cudnn.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

constexpr int64_t kScratchAlign = 256;
constexpr int64_t kFirstScratch = int64_t{64} << 20;
constexpr int64_t kStaging = int64_t{4} << 20;
constexpr size_t kMostGraphs = 64;

std::string human(int64_t bytes) { return human_bytes(static_cast<double>(bytes)); }

std::string version(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

int driver_version() {
  int driver = 0;
  cudaDriverGetVersion(&driver);
  return driver;
}

}  // namespace

void make_gpu_deterministic(Device& device) {
  make_attention_deterministic(static_cast<CudaDevice&>(device));
}

int count_gpus(std::string& why) {
  int count = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  cudaGetLastError();  // the next call must not meet this one's error
  if (driver_version() == 0)
    why = "no NVIDIA driver was found (libcuda.so.1)";
  else if (status == cudaErrorInsufficientDriver)
    why = fmt::format("the NVIDIA driver knows CUDA up to {}, but this program needs {}: update the driver",
                      version(driver_version()), version(CUDART_VERSION));
  else if (status != cudaSuccess && status != cudaErrorNoDevice)
    why = cudaGetErrorString(status);
  else
    why = "no NVIDIA GPU is visible to this process";
  return 0;
}

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail("CUDA: {} failed: {} (the GPU cannot be used further by this run; --device cpu works)", what,
       cudaGetErrorString(status));
}

CudaDevice::CudaDevice(int index) : index_(index) {
  std::string why;
  int count = count_gpus(why);
  if (count == 0) fail("--device cuda: {}; --device cpu works", why);
  if (index < 0 || index >= count)
    fail("--device cuda:{}: there {} here, counted from 0; --device cpu works", index,
         count == 1 ? "is 1 GPU" : fmt::format("are {} GPUs", count));
  check(cudaSetDevice(index), "the choice of the GPU");
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, index), "the query of the GPU");
  multiprocessors_ = properties.multiProcessorCount;
  architecture_ = 10 * properties.major + properties.minor;
  if (code_architecture() == 0)
    fail(
        "--device cuda:{}: this program holds no code for the {} (architecture {}.{}): build it with "
        "-DCMAKE_CUDA_ARCHITECTURES={}, or use --device cpu",
        index, properties.name, properties.major, properties.minor, architecture_);
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "the creation of a stream");
}

CudaDevice::~CudaDevice() {
  cudaSetDevice(index_);
  if (stream_) cudaStreamSynchronize(stream_);
  forget_graphs();
  cublas.reset();
  cudnn.reset();
  if (staging_) cudaFreeHost(staging_);
  for (const Block& b : scratch_) cudaFree(b.data);
  if (stream_) cudaStreamDestroy(stream_);
}

void CudaDevice::use() const { check(cudaSetDevice(index_), "the choice of the GPU"); }

void* CudaDevice::take(std::string_view label, int64_t bytes) {
  use();
  void* data = nullptr;
  if (cudaMalloc(&data, static_cast<size_t>(bytes)) == cudaSuccess) return data;
  cudaGetLastError();
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  fail("out of memory on the GPU: {} ({}) does not fit into the {} that are free of {}", label, human(bytes),
       human(static_cast<int64_t>(free)), human(static_cast<int64_t>(total)));
}

void* CudaDevice::allocate(std::string_view label, int64_t bytes) {
  bytes = std::max<int64_t>(bytes, 1);
  void* data = take(label, bytes);
  check(cudaMemsetAsync(data, 0, static_cast<size_t>(bytes), stream_), "clearing memory");
  return data;
}

void CudaDevice::free(void* data, int64_t) {
  cudaSetDevice(index_);
  cudaStreamSynchronize(stream_);
  // Keys name memory by its address, which may soon be another model's or another cache's.
  forget_graphs();
  cudaFree(data);
}

std::byte* CudaDevice::staging(int64_t bytes) {
  bytes = (bytes + kScratchAlign - 1) / kScratchAlign * kScratchAlign;
  if (!staging_) {
    void* data = nullptr;
    check(cudaHostAlloc(&data, kStaging, cudaHostAllocDefault), "the allocation of page-locked memory");
    staging_ = static_cast<std::byte*>(data);
  }
  if (staged_ + bytes > kStaging) synchronise();
  std::byte* at = staging_ + staged_;
  staged_ += bytes;
  return at;
}

void CudaDevice::upload(void* to, const void* from, int64_t bytes) {
  if (bytes <= 0) return;
  use();
  assert(!recording_);
  if (bytes <= kStaging / 16) from = std::memcpy(staging(bytes), from, static_cast<size_t>(bytes));
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_), "an upload");
}

void CudaDevice::download(void* to, const void* from, int64_t bytes) {
  use();
  assert(!recording_);
  if (bytes <= 0) return;
  std::byte* through = bytes <= kStaging / 4 ? staging(bytes) : nullptr;
  check(cudaMemcpyAsync(through ? through : to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost,
                        stream_),
        "a download");
  synchronise();
  if (through) std::memcpy(to, through, static_cast<size_t>(bytes));
}

void CudaDevice::copy(void* to, const void* from, int64_t bytes) {
  if (bytes <= 0) return;
  use();
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, stream_), "a copy");
}

void CudaDevice::synchronise() {
  use();
  check(cudaStreamSynchronize(stream_), "the work on the GPU");
  staged_ = 0;
}

void CudaDevice::forget_graphs() {
  for (auto& [key, graph] : graphs_)
    if (graph) cudaGraphExecDestroy(graph);
  graphs_.clear();
}

void CudaDevice::replay(std::span<const int64_t> key, const std::function<void()>& body) {
  use();
  if (recording_) return body();
  if (graphs_.size() > kMostGraphs) forget_graphs();
  std::vector<int64_t> name(key.begin(), key.end());
  auto [at, first] = graphs_.try_emplace(std::move(name), nullptr);
  // The first time makes plans, loads modules and lets the working memory grow, none of which can be
  // recorded.
  if (first) return body();
  if (!at->second) {
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "the start of a recording");
    cudaGraph_t graph = nullptr;
    recording_ = true;
    try {
      body();
    } catch (...) {
      recording_ = false;
      cudaStreamEndCapture(stream_, &graph);
      if (graph) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    recording_ = false;
    check(cudaStreamEndCapture(stream_, &graph), "a recording");
    cudaError_t status = cudaGraphInstantiate(&at->second, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "the preparation of a recording");
  }
  check(cudaGraphLaunch(at->second, stream_), "the launch of a recording");
}

std::optional<int64_t> CudaDevice::free_memory() const {
  use();
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "the query of free memory");
  return static_cast<int64_t>(free);
}

const Kernels& CudaDevice::kernels() const { return kCudaKernels; }

Scratch::Scratch(CudaDevice& device)
    : device_(device),
      top_(device.top_),
      used_(device.scratch_.empty() ? 0 : device.scratch_[device.top_].used) {}

Scratch::~Scratch() {
  std::vector<CudaDevice::Block>& blocks = device_.scratch_;
  if (blocks.empty()) return;
  for (size_t i = top_ + 1; i < blocks.size(); ++i) blocks[i].used = 0;
  blocks[top_].used = used_;
  device_.top_ = top_;
  if (top_ > 0 || used_ > 0 || blocks.size() == 1) return;
  // Nothing is in use: one block takes the place of the many that it took to get here. Recordings hold their
  // addresses.
  device_.forget_graphs();
  int64_t total = 0;
  cudaStreamSynchronize(device_.stream_);
  for (const CudaDevice::Block& b : blocks) cudaFree(b.data), total += b.bytes;
  blocks.clear();
  void* data = nullptr;
  if (cudaMalloc(&data, static_cast<size_t>(total)) == cudaSuccess)
    blocks.push_back({static_cast<std::byte*>(data), total, 0});
  else
    cudaGetLastError();
}

void* Scratch::bytes(int64_t n) {
  std::vector<CudaDevice::Block>& blocks = device_.scratch_;
  n = (std::max<int64_t>(n, 1) + kScratchAlign - 1) / kScratchAlign * kScratchAlign;
  auto fits = [&] { return blocks[device_.top_].used + n <= blocks[device_.top_].bytes; };
  while (!blocks.empty() && !fits() && device_.top_ + 1 < blocks.size()) ++device_.top_;
  if (blocks.empty() || !fits()) {
    int64_t size = std::max(n, kFirstScratch);
    blocks.push_back({static_cast<std::byte*>(device_.take("working memory", size)), size, 0});
    device_.top_ = blocks.size() - 1;
  }
  CudaDevice::Block& block = blocks[device_.top_];
  void* at = block.data + block.used;
  block.used += n;
  return at;
}

CudaDevice& device_of(const Tensor& tensor) {
  assert(tensor.device && !tensor.device->is_host());
  auto& device = static_cast<CudaDevice&>(*tensor.device);
  device.use();
  return device;
}

std::shared_ptr<Device> cuda_device(int index) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<CudaDevice>> devices;
  std::lock_guard lock(mutex);
  std::shared_ptr<CudaDevice> device = devices[index].lock();
  if (!device) devices[index] = device = std::make_shared<CudaDevice>(index);
  return device;
}

}  // namespace longspan
