#include "base/energy.h"

#include <fstream>
#include <string>

namespace longspan {

namespace fs = std::filesystem;

namespace {

std::optional<int64_t> number_in(const fs::path& file) {
  int64_t number = 0;
  if (std::ifstream in(file); in >> number && number >= 0) return number;
  return std::nullopt;
}

}  // namespace

std::vector<EnergyCounter> energy_counters(const fs::path& root) {
  std::vector<EnergyCounter> counters;
  // The parts of a package (intel-rapl:0:1) are counted in it.
  for (int package = 0;; ++package) {
    fs::path zone = root / "sys/class/powercap" / ("intel-rapl:" + std::to_string(package));
    std::optional<int64_t> energy = number_in(zone / "energy_uj"),
                           range = number_in(zone / "max_energy_range_uj");
    if (!energy || !range) return counters;
    counters.push_back({*energy, *range});
  }
}

std::optional<double> joules_between(const std::vector<EnergyCounter>& before,
                                     const std::vector<EnergyCounter>& after) {
  if (before.empty() || before.size() != after.size()) return std::nullopt;
  double microjoules = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    int64_t taken = after[i].microjoules - before[i].microjoules;
    microjoules += static_cast<double>(taken < 0 ? taken + before[i].range : taken);
  }
  return microjoules * 1e-6;
}

}  // namespace longspan
