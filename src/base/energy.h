// The energy that the processors have taken, where the system counts it: the RAPL counters of Intel's and
// AMD's packages, which Linux shows as files (Documentation/power/powercap). Many systems let only root read
// them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace longspan {

/// The counter of one package: microjoules since some moment, from 0 again when it would exceed `range`.
struct EnergyCounter {
  int64_t microjoules = 0, range = 0;
};

/// Of all packages, in the order of their numbers; empty where the system tells nothing. `root` is the folder
/// that holds sys/: tests pass one of their own.
std::vector<EnergyCounter> energy_counters(const std::filesystem::path& root = "/");

/// Joules of all packages between two readings, during which no counter began twice from 0; null where one of
/// them tells nothing.
std::optional<double> joules_between(const std::vector<EnergyCounter>& before,
                                     const std::vector<EnergyCounter>& after);

}  // namespace longspan
