#include "kernels/cpu/cpu.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <dnnl.hpp>
#include <memory>
#include <new>

namespace longspan {

namespace {

/// clang 14, which builds the fuzz targets, does not know this feature by name.
bool has_f16c() {
  unsigned a, b, c = 0, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

}  // namespace

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx2_vnni() {
  constexpr unsigned kVnni = 1u << 4;  // of CPUID leaf 7.1, EAX
  unsigned a = 0, b, c, d;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & kVnni);
}

bool has_avx512_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

bool has_avx512_bf16() { return has_avx512_vnni() && __builtin_cpu_supports("avx512bf16"); }

bool has_amx() {
  static const bool granted = [] {
    constexpr unsigned kBf16 = 1u << 22, kTiles = 1u << 24;  // of CPUID leaf 7, EDX
    unsigned a, b, c, d = 0;
    if (!has_avx512_bf16() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) ||
        (d & (kBf16 | kTiles)) != (kBf16 | kTiles))
      return false;
    constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM of asm/prctl.h
    return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return granted;
}

void limit_onednn(const Kernels& k) {
  if (&k == &kAvx2Kernels || &k == &kAvx2VnniKernels) dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
  if (&k == &kAvx512Kernels || &k == &kAvx512VnniKernels) dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx512_core);
  if (&k == &kAvx512Bf16Kernels) dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx512_core_bf16);
}

bool rounds_to_eight_bits(const Linear& w) { return w.eight_bits && w && is_quantised(w.weight.dtype); }

bool reads_as_stored(const Linear& w) { return w.as_stored && w.weight.cols() % 32 == 0; }

DType cpu_product_dtype(Compute compute, int64_t rows) {
  return compute == Compute::BF16 && rows >= kGemmRows ? DType::BF16 : DType::F32;
}

void* scratch(int64_t bytes) {
  static thread_local std::unique_ptr<void, decltype(&std::free)> memory(nullptr, std::free);
  static thread_local int64_t held = 0;
  if (bytes > held) {
    memory.reset();
    held = 0;
    int64_t whole = (bytes + 4095) / 4096 * 4096;
    memory.reset(std::aligned_alloc(64, static_cast<size_t>(whole)));
    if (!memory) throw std::bad_alloc();
    held = whole;
  }
  return memory.get();
}

}  // namespace longspan
