#include "position/training_positions.h"

#include <algorithm>
#include <cassert>
#include <set>

namespace longspan {

std::vector<double> randomised_positions(int64_t tokens, Random& random) {
  std::vector<double> positions(static_cast<size_t>(tokens));
  double sum = 0;
  for (double& p : positions) p = sum += 2 * random.uniform();
  auto limit = static_cast<double>(tokens);
  for (double& p : positions) p *= limit / std::max(sum, limit);
  return positions;
}

std::vector<double> pose_positions(int64_t tokens, int64_t target, int64_t chunks, Random& random) {
  assert(tokens > 0 && tokens <= target && chunks > 0);
  auto pieces = static_cast<size_t>(std::min(chunks, tokens));
  std::set<int64_t> cuts;  // first tokens of the chunks after the first
  while (cuts.size() + 1 < pieces)
    cuts.insert(1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(tokens - 1))));
  std::vector<int64_t> skips;
  for (size_t i = 0; i < cuts.size(); ++i)
    skips.push_back(static_cast<int64_t>(random.below(static_cast<uint64_t>(target - tokens) + 1)));
  std::sort(skips.begin(), skips.end());

  std::vector<double> positions(static_cast<size_t>(tokens));
  size_t chunk = 0;
  int64_t skip = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    if (cuts.contains(t)) skip = skips[chunk++];
    positions[static_cast<size_t>(t)] = static_cast<double>(t + skip);
  }
  return positions;
}

}  // namespace longspan
