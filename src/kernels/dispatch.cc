// Which implementation runs: the only place that chooses.
#include <fmt/ranges.h>

#include <charconv>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/nearest.h"
#include "base/text.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cuda/cuda.h"
#include "kernels/devices.h"
#include "kernels/kernels.h"
#include "kernels/reference/reference.h"

namespace longspan {

namespace {
const Kernels* const kAll[] = {&kReferenceKernels,  &kAvx2Kernels,       &kAvx2VnniKernels, &kAvx512Kernels,
                               &kAvx512VnniKernels, &kAvx512Bf16Kernels, &kAmxKernels};

const Kernels& choose() {
  if (const char* forced = std::getenv("LONGSPAN_KERNELS"); forced && *forced) return kernels_named(forced);
  const Kernels* best = kAll[0];
  for (const Kernels* k : kAll)
    if (k->on_host && k->supported()) best = k;
  return *best;
}
}  // namespace

std::span<const Kernels* const> all_kernels() { return kAll; }

const Kernels& kernels() {
  static const Kernels& chosen = [&]() -> const Kernels& {
    const Kernels& best = choose();
    limit_onednn(best);
    return best;
  }();
  return chosen;
}

const Kernels& kernels_named(std::string_view name) {
  std::vector<std::string> known;
  for (const Kernels* k : kAll) {
    if (name == k->name && !k->supported())
      fail(
          "kernels \"{}\": this processor lacks their instructions; leave LONGSPAN_KERNELS unset for the "
          "best it has",
          name);
    if (name == k->name) return *k;
    known.push_back(k->name);
  }
  fail("kernels {} are unknown{}; there are: {}", in_quotes(name), meant_name(name, known),
       fmt::join(known, ", "));
}

namespace {
/// The number of the GPU in "cuda" or "cuda:N"; -1 for the processor, null for anything else.
std::optional<int> gpu_of(std::string_view name) {
  if (name == "cpu") return -1;
  if (name == "cuda") return 0;
  if (!name.starts_with("cuda:")) return std::nullopt;
  int index = 0;
  const char *first = name.data() + 5, *end = name.data() + name.size();
  auto [stop, error] = std::from_chars(first, end, index);
  if (error != std::errc() || stop != end || index < 0) return std::nullopt;
  return index;
}
}  // namespace

std::string device_name_problem(std::string_view name) {
  if (gpu_of(name)) return {};
  return fmt::format("device {}: expected cpu, cuda or cuda:N", in_quotes(name));
}

std::shared_ptr<Device> device_named(std::string_view name, const Kernels& on_cpu) {
  if (std::string problem = device_name_problem(name); !problem.empty()) fail("{}", problem);
  int gpu = *gpu_of(name);
  return gpu < 0 ? host_device(on_cpu) : cuda_device(gpu);
}

void make_deterministic(Device& device) {
  if (!device.is_host()) make_gpu_deterministic(device);
}

const char* name(Compute compute) {
  constexpr const char* kNames[] = {"f32", "bf16", "int8"};
  return kNames[static_cast<size_t>(compute)];
}

std::optional<Compute> compute_named(std::string_view text) {
  for (Compute compute : {Compute::F32, Compute::BF16, Compute::Int8})
    if (text == name(compute)) return compute;
  return std::nullopt;
}

std::shared_ptr<void>& PackedCopies::of(const void* owner) {
  for (auto& [who, copy] : copies_)
    if (who == owner) return copy;
  return copies_.emplace_back(owner, nullptr).second;
}

std::span<const DType> cache_dtypes() {
  static constexpr DType kTypes[] = {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0};
  return kTypes;
}

}  // namespace longspan
