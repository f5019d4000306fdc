#include "tensor/device.h"

#include <sys/mman.h>

#include <cstring>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

namespace longspan {

namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;

class HostDevice final : public Device {
 public:
  explicit HostDevice(const Kernels& kernels) : kernels_(kernels) {}

  const Kernels& kernels() const override { return kernels_; }
  bool is_host() const override { return true; }
  void* allocate(std::string_view label, int64_t bytes) override { return allocate_on_host(label, bytes); }
  void free(void* data, int64_t bytes) override { free_on_host(data, bytes); }
  void upload(void* to, const void* from, int64_t bytes) override { copy(to, from, bytes); }
  void download(void* to, const void* from, int64_t bytes) override { copy(to, from, bytes); }
  void copy(void* to, const void* from, int64_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
  }
  void synchronise() override {}
  std::optional<int64_t> free_memory() const override { return available_memory(); }

 private:
  const Kernels& kernels_;
};

}  // namespace

void Device::replay(std::span<const int64_t>, const std::function<void()>& body) { body(); }

Tensor Device::matrix(void* data, DType dtype, int64_t rows, int64_t cols) {
  Tensor t = host_matrix(data, dtype, rows, cols);
  if (!is_host()) t.device = this;
  return t;
}

std::shared_ptr<Device> host_device(const Kernels& kernels) { return std::make_shared<HostDevice>(kernels); }

void* allocate_on_host(std::string_view label, int64_t bytes) {
  if (bytes <= 0) bytes = 1;
  void* p = ::mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    fail("out of memory: {} ({}) was refused by the system", label, human_bytes(static_cast<double>(bytes)));
  if (bytes >= 4 * kHugePage) ::madvise(p, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  return p;
}

void free_on_host(void* data, int64_t bytes) { ::munmap(data, static_cast<size_t>(bytes <= 0 ? 1 : bytes)); }

}  // namespace longspan
