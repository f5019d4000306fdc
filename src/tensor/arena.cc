#include "tensor/arena.h"

#include <sys/mman.h>

#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {
constexpr int64_t kHugePage = int64_t{2} << 20;
}

Arena::~Arena() { release(); }
Arena::Arena(Arena&& other) noexcept : blocks_(std::exchange(other.blocks_, {})) {}
Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(blocks_, other.blocks_);
  return *this;
}

void* Arena::allocate(std::string label, int64_t bytes) {
  if (bytes <= 0) bytes = 1;
  void* p = ::mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    fail("out of memory: {} ({}) was refused by the system", label, human_bytes(static_cast<double>(bytes)));
  if (bytes >= 4 * kHugePage) ::madvise(p, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  blocks_.push_back({std::move(label), p, bytes});
  return p;
}

Tensor Arena::matrix(std::string label, DType dtype, int64_t rows, int64_t cols) {
  return matrix_view(allocate(std::move(label), rows * dtype_bytes(dtype, cols)), dtype, rows, cols);
}

void Arena::release() {
  for (const Block& b : blocks_) ::munmap(b.data, static_cast<size_t>(b.bytes));
  blocks_.clear();
}

int64_t Arena::bytes() const {
  int64_t n = 0;
  for (const Block& b : blocks_) n += b.bytes;
  return n;
}

std::vector<std::pair<std::string, int64_t>> Arena::table() const {
  std::vector<std::pair<std::string, int64_t>> rows;
  for (const Block& b : blocks_) {
    bool found = false;
    for (auto& [label, bytes] : rows)
      if (label == b.label) bytes += b.bytes, found = true;
    if (!found) rows.emplace_back(b.label, b.bytes);
  }
  return rows;
}

}  // namespace longspan
