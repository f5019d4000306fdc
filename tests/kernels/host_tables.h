// The tables of kernels that tests walk.
#pragma once

#include <string_view>
#include <vector>

#include "kernels/kernels.h"

namespace longspan {

/// Reference first, then all others on the host but those (*_vnni) that are another table in everything but
/// products in 8 bits, which tests/kernels/linear_test.cc tests with all tables.
inline std::vector<const Kernels*> host_tables() {
  std::vector<const Kernels*> tables;
  for (const Kernels* k : all_kernels())
    if (!std::string_view(k->name).ends_with("_vnni")) tables.push_back(k);
  return tables;
}

}  // namespace longspan
